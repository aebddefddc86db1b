# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What testbed/fetch, testbed/run and the Makefile's scripts share: messages,
# the cache folder, Debian packages from other suites than this machine's.

# shellcheck disable=SC2034 # for those who read this file
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${MINIVMM_CACHE:-$HOME/.cache/minivmm}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# What a healthy host's kernel never says.
# shellcheck disable=SC2034 # for those who read this file
kernel_complaints='Oops|BUG:|WARNING:|Call Trace|KASAN|KFENCE|UBSAN|lockdep|possible recursive'
kernel_complaints+='|circular locking|inconsistent lock|suspicious RCU|unchecked MSR'
kernel_complaints+='|blocked for more than|soft lockup|rcu.*stall|general protection fault'
kernel_complaints+='|Kernel panic|scheduling while atomic|refcount_t:|Bad page'

say()
{
	echo "${0##*/}: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# kernel_suite VERSION: the Debian suite that has this kernel.
kernel_suite()
{
	case $1 in
	6.1)	echo bookworm ;;
	6.12)	echo bookworm-backports ;;
	7.3)	echo trixie-backports ;;
	*)	die "kernel '$1' is not one of 6.1, 6.12, 7.3" ;;
	esac
}

# kernel_compiler VERSION: the package of the compiler its headers name.
kernel_compiler()
{
	case $1 in
	6.1|6.12)	echo gcc-12 ;;
	7.3)		echo gcc-14 ;;
	esac
}

# toolchain VERSION: the cached folder with that compiler, or nothing where this
# machine has a package of it: Debian 13 has all, Debian 12 no gcc-14.
toolchain()
{
	# shellcheck source=/dev/null
	if [ "$(kernel_compiler "$1")" = gcc-14 ] &&
	   [ "$(. /etc/os-release && echo "$VERSION_CODENAME")" = bookworm ]; then
		echo "$cache/toolchain-trixie"
	fi
}

# as_root COMMAND...: the only place that asks for more rights.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# need_packages WHY PACKAGE...: install what is missing, saying so first.
need_packages()
{
	local why=$1 package missing=()

	shift
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]} ($why)"
	mkdir -p "$cache"
	(
		flock 9
		as_root apt-get -qq update
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
			--no-install-recommends "${missing[@]}" </dev/null
	) 9>"$cache/apt.lock" >"$cache/apt-install.$$.log" 2>&1 || {
		cat "$cache/apt-install.$$.log" >&2
		die "apt could not install ${missing[*]}: see its words above"
	}
	rm -f "$cache/apt-install.$$.log"
}

# mirror: the address this machine's apt gets Debian from.
mirror()
{
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' \
		'Created-By: Packages' |
		awk '!found && $1 == "main" &&
		     $2 ~ /^(bookworm|trixie|stable|oldstable)$/ {
			print $3; found = 1 }
		     END { exit !found }' ||
		die "apt's sources on this machine name no Debian 12 or 13 mirror"
}

# apt_for SUITE VERB ARGS...: apt for one suite (or several: SUITE+SUITE), with its
# own configuration; the machine's own lists and packages stay as they are. VERB:
# get or cache.
apt_for()
{
	local suite=$1 verb=$2 dir=$cache/apt/$1 mirror

	shift 2
	if [ ! -e "$dir/sources.list" ]; then
		mkdir -p "$dir/lists/partial" "$dir/archives/partial"
		mirror=$(mirror)
		# shellcheck disable=SC2086 # the suites are words
		printf "deb [signed-by=$keyring] $mirror %s main\n" ${suite//+/ } \
			>"$dir/sources.list.new"
		: >"$dir/status"
		mv "$dir/sources.list.new" "$dir/sources.list"
	fi
	"apt-$verb" -q -o Dir::Etc::SourceList="$dir/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State::Lists="$dir/lists" \
		-o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir" -o Dir::Cache::archives=archives \
		-o APT::Architecture=amd64 -o APT::Sandbox::User=root \
		-o Debug::NoLocking=true -o Acquire::Retries=3 "$@"
}

# apt_quiet SUITE ARGS...: apt-get that shows its output only when it fails.
apt_quiet()
{
	local suite=$1 out

	shift
	out=$(apt_for "$suite" get "$@" 2>&1) || {
		echo "$out" >&2
		die "apt could not fetch from $suite: see its words above"
	}
}

# update_suite SUITE: the suite's package lists, once per process.
declare -A updated=()
update_suite()
{
	[ -z "${updated[$1]:-}" ] || return 0
	apt_quiet "$1" update
	updated[$1]=1
}

# depends_of SUITE PACKAGE PATTERN: PACKAGE and, transitively, those of its
# dependencies whose name matches the extended regular expression PATTERN.
depends_of()
{
	apt_for "$1" cache depends --recurse --no-recommends --no-suggests \
		--no-conflicts --no-breaks --no-replaces --no-enhances "$2" |
		awk -v package="$2" -v pattern="^($3)\$" \
			'$0 == package || $0 ~ pattern' | sort -u
}

# unpack DIR DEB...: the files of some packages, without installing them.
unpack()
{
	local dir=$1 deb

	shift
	mkdir -p "$dir"
	for deb; do
		dpkg-deb -x "$deb" "$dir"
	done
}
