# SPDX-License-Identifier: GPL-2.0
#
# For run-qemu's "gdb": a system that runs, in a loop: two programs that set the host
# name to "before" and to "after", and a shell that asks for its umask.
# $umask and $sethostname are the kernel's functions, $init_uts_ns has the host name.
# Their only parameter is the address of the caller's registers: RDI is the word 112
# bytes from there, RSI the one at 104.

set pagination off
thread apply all -ascending printf "gdb: cpu %d\n", $_thread

set $code = *(long *)$umask
break *$umask
continue
printf "gdb: software %d\n", $pc == $umask
set $steps = 0
while $steps < 3
	set $last = $pc
	stepi
	if $pc <= $last || $pc > $last + 15
		loop_break
	end
	set $steps = $steps + 1
end
printf "gdb: steps %d\n", $steps

# The shell sets a umask to get the last one, and sets that again: let both calls
# return at once, with 0123. Which of them comes first?
set $calls = 0
while $calls < 3
	continue
	set $return = *(long *)$sp
	set $rax = 0123
	set $sp = $sp + 8
	set $pc = $return
	set $calls = $calls + 1
end
delete

# to the next call with "after"
define go_to_after
	continue
	while **(char **)($rdi + 112) != 'a'
		continue
	end
end

hbreak *$sethostname
go_to_after
printf "gdb: hardware %d\n", $pc == $sethostname
printf "gdb: name %s\n", *(char **)($rdi + 112)
printf "gdb: restored %d\n", *(long *)$umask == $code

# It is still "before".
find /b $init_uts_ns, +512, 'b', 'e', 'f', 'o', 'r', 'e'
set $name = $_
delete
watch -location *(char *)$name
continue
printf "gdb: written %c\n", *(char *)$name
delete
# Who asks for the name reads it.
awatch -location *(char *)$name
continue
printf "gdb: read %c\n", *(char *)$name
delete

hbreak *$sethostname
go_to_after
set $name = *(char **)($rdi + 112)
set $name[0] = 'd'
set $name[1] = 'e'
set $name[2] = 'b'
set $name[3] = 'u'
set $name[4] = 'g'
set *(long *)($rdi + 104) = 5
delete
detach
