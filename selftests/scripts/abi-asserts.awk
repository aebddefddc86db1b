# SPDX-License-Identifier: GPL-2.0
#
# Read uapi/linux/minivmm.h, print one static assertion for each macro, each
# structure and each field in it against its namesake in <linux/kvm.h>.  What
# this cannot parse it refuses, so that no line of the header goes unchecked.

function fail(why)
{
	printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0 >"/dev/stderr"
	failed = 1
	exit 1
}

function kvm_name(name)
{
	gsub(/MINIVMM/, "KVM", name)
	gsub(/minivmm/, "kvm", name)
	return name
}

function add_field(name, sized)
{
	count[depth]++
	field[depth, count[depth]] = name
	has_size[depth, count[depth]] = sized
}

# Close the innermost brace: hand its fields, prefixed, to the one around it.
function close_brace(name,	i, inner, prefix)
{
	inner = depth
	depth--
	prefix = name == "" ? "" : name "."
	if (name != "")
		add_field(name, 1)
	for (i = 1; i <= count[inner]; i++)
		add_field(prefix field[inner, i], has_size[inner, i])
}

function close_struct(	i, ours, theirs)
{
	ours = "struct " tag
	theirs = kvm_name(ours)
	printf "ABI_SIZE(%s, %s)\n", ours, theirs
	for (i = 1; i <= count[1]; i++)
		printf "%s(%s, %s, %s, %s)\n",
		       has_size[1, i] ? "ABI_FIELD" : "ABI_OFFSET",
		       ours, field[1, i], theirs, kvm_name(field[1, i])
	depth = 0
}

{
	gsub(/\/\*[^*]*\*\//, "")
	if (in_comment) {
		if (!sub(/^.*\*\//, ""))
			next
		in_comment = 0
	}
	if (sub(/\/\*.*$/, ""))
		in_comment = 1
	sub(/[ \t]+$/, "")
}

/^$/ || /^#(include|ifndef|endif)/	{ next }
/^#define (_UAPI_LINUX_MINIVMM_H|__user)$/	{ next }

# The second line of a macro
continued {
	continued = /\\$/
	next
}

/^#define[ \t]/ {
	split($2, part, "(")
	if (part[1] != $2)
		fail("a macro with arguments")
	if (NF < 3 || $2 !~ /MINIVMM/)
		fail("a macro without value or of a foreign name")
	printf "ABI_VALUE(%s, %s)\n", $2, kvm_name($2)
	continued = /\\$/
	next
}

depth == 0 && /^struct minivmm_[a-z0-9_]+ \{$/ {
	tag = $2
	depth = 1
	count[1] = 0
	next
}

depth > 0 && /^[ \t]*(struct|union) \{$/ {
	depth++
	count[depth] = 0
	next
}

depth == 1 && /^\};$/ {
	close_struct()
	next
}

depth > 1 && /^[ \t]*\}( [a-z_0-9]+)?;$/ {
	name = $2
	if (NF == 1)
		name = ""
	sub(/;/, "", name)
	close_brace(name)
	next
}

depth > 0 && /^[ \t]*(struct [a-z0-9_]+|__[us](8|16|32|64)|char|void __user)[ \t]+\*?[a-z0-9_]+[^;{}]*;$/ {
	line = $0
	sub(/^[ \t]*(struct[ \t]+[a-z0-9_]+|__[us][0-9]+|char|void __user)[ \t]+\*?/, "", line)
	sub(/;.*$/, "", line)
	n = split(line, names, /,[ \t]*/)
	for (i = 1; i <= n; i++) {
		sized = names[i] !~ /\[\]/
		sub(/\[.*/, "", names[i])
		add_field(names[i], sized)
	}
	next
}

{ fail("a line that no assertion covers") }

END {
	if (!failed && depth)
		fail("an open brace at the end")
	exit failed
}
