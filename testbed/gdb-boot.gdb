# SPDX-License-Identifier: GPL-2.0
#
# For run-qemu's "gdb": a PC that was just switched on; $entry is the kernel's entry.

set pagination off
printf "gdb: reset %x:%x %x\n", $cs, $pc, *(unsigned char *)0xfffffff0
stepi
printf "gdb: step %x:%x\n", $cs, $pc

hbreak *$entry
continue
printf "gdb: entry %ld\n", $pc
delete
printf "gdb: long %d\n", ($efer & 0x500) == 0x500
printf "gdb: paging %d\n", ($cr0 & 0x80000001) == 0x80000001

# straight on from there
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
detach
