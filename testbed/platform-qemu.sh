# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # shared with testbed/run, which reads this file
#
# testbed/run's host in QEMU with KVM's nested VT-x: the real CPU, safely in a VM.

intel_parameters=''
has_apicv=1

prepare_machine()
{
	:
}

mount_usr()
{
	cp -a "$cache/$1/usr" "$root/"
}

# It is there twice until the initramfs is unpacked.
add_disk()
{
	cp -L "$1" "$root/testbed/disk"
	mem=$((mem + 2 * ($(stat -c %s "$root/testbed/disk") >> 20)))
}

start_machine()
{
	local com1="file,path=$scratch/com1"

	[ "$interactive" = 0 ] || com1="stdio,signal=off"
	qemu-system-x86_64 -accel kvm -cpu host,+vmx -smp "$smp" -m "$mem" \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$cache/kernel-$kernel/vmlinuz" \
		-initrd "$scratch/initrd" -append "$kernel_line $append" \
		-chardev "$com1,id=com1" -device isa-serial,chardev=com1,index=0 \
		-chardev "file,path=$scratch/console,id=com2" \
		-device isa-serial,chardev=com2,index=1 \
		-chardev "file,path=$scratch/control,id=com3" \
		-device isa-serial,chardev=com3,index=2 \
		<&6 6<&- 7<&- &
	machine=$!
}
