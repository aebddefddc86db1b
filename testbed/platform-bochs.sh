# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # shared with testbed/run, which reads this file
#
# testbed/run's host in Bochs: an emulated CPU with VT-x, on any machine.

# Bochs does not leave a guest that was entered with IF=0 for an interrupt.
intel_parameters=irqoff_watchdog=1
has_apicv=1
images=()	# what lies in memory, see in_memory
memmap=''	# what tells the kernel of them

# in_memory IMAGE: it lies in memory above what the host has as RAM, as if in an
# NVDIMM: no disk to find at boot, nothing to unpack. $device is its name there.
in_memory()
{
	local module

	[ ${#images[@]} -gt 0 ] ||
		for module in libnvdimm nd_btt nd_pmem nd_e820; do
			stock_module early "$module"
		done
	device=/dev/pmem${#images[@]}
	images+=("$1")
}

# mount_usr PART: a file system of pages can be used in place.
mount_usr()
{
	in_memory "$cache/$1/usr.img"
	echo "$device" >"$root/testbed/usr"
}

add_disk()
{
	in_memory "$1"
	ln -s "$device" "$root/testbed/disk"
}

# place_images ADDRESS: all of them one after the other from there on, in MiB, in the
# file $pmem, which is $pmem_size long. The kernel wants whole units of 2 MiB.
place_images()
{
	local image size

	pmem=${images[0]} pmem_at=$1 pmem_size=0
	[ ${#images[@]} = 1 ] || pmem=$scratch/pmem
	for image in "${images[@]}"; do
		size=$((($(stat -Lc %s "$image") + (2 << 20) - 1) >> 20 & ~1))
		[ "$image" = "$pmem" ] ||
			dd if="$image" of="$pmem" bs=2M seek=$((pmem_size / 2)) \
				conv=sparse status=none
		memmap+=" memmap=${size}M!$((pmem_at + pmem_size))M"
		pmem_size=$((pmem_size + size))
	done
}

# bochs_loader COMMAND-LINE: the option ROM and the parameters it hands over.
bochs_loader()
{
	local size below loader=$scratch/loader sum

	echo -n "$1" >"$scratch/cmdline"
	[ ${#1} -lt 2048 ] || die "the kernel's command line is longer than 2047 bytes"
	size=$(stat -c %s "$scratch/initrd")
	# Below the BIOS's tables at the top, which are far below 2 MiB; and in the
	# first GiB, so that a larger host can give the second as one huge page.
	below=$((mem < 1024 ? mem : 1024))
	initrd=$((((below << 20) - (2 << 20) - size) & ~0x1ffff))
	[ "$initrd" -gt $((128 << 20)) ] ||
		die "--mem $mem is too small for this host's $((size >> 20)) MiB of files"
	read -r kernel_address entry <"$cache/kernel-$kernel/vmlinux.address"
	cpp "$top/testbed/loader.S" |
		as -o "$loader.o" --defsym INITRD="$initrd" \
			--defsym INITRD_SIZE="$size" --defsym ENTRY="$entry" \
			-I "$cache/kernel-$kernel" -I "$scratch" -
	objcopy -O binary -j .params "$loader.o" "$loader.params"
	objcopy -O binary -j .rom "$loader.o" "$loader.rom"
	gcc -O2 -shared -fPIC -o "$scratch/short_read.so" "$top/testbed/short_read.c"
	sum=$(od -A n -v -t u1 -w1 "$loader.rom" | awk '{ s += $1 } END { print s % 256 }')
	printf %b "\\x$(printf %02x $(((256 - sum) % 256)))" |
		dd of="$loader.rom" bs=1 seek=511 conv=notrunc status=none
}

# bochs_config COM1-MODE: ttyS0 as a file or as a terminal.
bochs_config()
{
	local bochs=$cache/bochs-3.0 total=$mem

	# The BIOS has its tables at the end of all memory.
	[ ${#images[@]} = 0 ] || total=$((pmem_at + pmem_size + 2))
	cat >"$scratch/bochsrc" <<-EOF
		plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, gameport=0, iodebug=1
		config_interface: textconfig
		display_library: rfb, options="timeout=0"
		memory: guest=$total, host=$((total < 2048 ? total : 2048))
		romimage: file=$bochs/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=$bochs/usr/share/vgabios/vgabios.bin
		cpu: model=corei7_skylake_x, count=$smp, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
		optromimage1: file=$scratch/loader.rom, address=0xd0000
		optramimage1: file=$scratch/loader.params, address=0x800000
		optramimage2: file=$cache/kernel-$kernel/vmlinux.flat, address=$kernel_address
		optramimage3: file=$scratch/initrd, address=$(printf '%#x' "$initrd")
		com1: enabled=1, mode=$1, dev=$scratch/com1
		com2: enabled=1, mode=file, dev=$scratch/console
		com3: enabled=1, mode=file, dev=$scratch/control
		log: $scratch/bochs.log
		panic: action=fatal
		error: action=report
		info: action=report
		debug: action=ignore
		clock: sync=none, time0=utc
	EOF
	if [ ${#images[@]} -gt 0 ]; then
		echo "optramimage4: file=$pmem, address=$(printf '%#x' $((pmem_at << 20)))" \
			>>"$scratch/bochsrc"
	fi
	# Debian's Bochs has its debugger built in: tell that to continue.
	echo c >"$scratch/go"
}

# patch_bochs FILE OLD OFFSET NEW: OLD (a regular expression) must be there once, or
# nothing happens and this fails; NEW goes OFFSET bytes into it.
patch_bochs()
{
	local at

	at=$(LC_ALL=C grep -obUaP "$2" "$1" | cut -d: -f1 || true)
	[[ $at =~ ^[0-9]+$ ]] || return 1
	printf %b "$4" | dd of="$1" bs=1 seek=$((at + $3)) conv=notrunc status=none
}

# bochs_binary FILE: Debian's Bochs, less four bugs that keep a guest with a local
# APIC from running with APICv, and one of hosts with several CPUs, on stock KVM too.
bochs_binary()
{
	local old new

	cp "$cache/bochs-3.0/usr/bin/bochs-bin" "$1"

	# VM entry wants the posted-interrupt descriptor on a page boundary where
	# a CPU wants 64 bytes (SDM volume 3, 26.2.1.1).
	#	movabs $0xffffff0000000fff,%rdx		becomes ...003f
	#	mov %rax,0x8fb0(%rbx); test %rdx,%rax
	old='\x48\xba\xff\x0f\x00\x00\x00\xff\xff\xff'
	old+='\x48\x89\x83\xb0\x8f\x00\x00\x48\x85\xd0'
	patch_bochs "$1" "$old" 2 '\x3f\x00' || return

	# A VM exit in the course of delivering a virtual interrupt (its stack not
	# mapped yet) says in IDT-vectoring information which event was injected
	# last, not the interrupt. In VMX_Deliver_Virtual_Interrupt(), the call of
	# bx_instr_hwinterrupt(), which is empty, makes room for
	#	mov %r13d,0x90a8(%rbx)		the interrupt's vector
	#	movl $0,0x90ac(%rbx)		no error code
	old='\x48\x8b\x8b\xe0\x00\x00\x00\x0f\xb7\x93\x78\x01\x00\x00\x44\x89\xee'
	old+='\x8b\x7b\x30\xe8....\x45\x31\xc0\x31\xc9\x31\xd2\x44\x89\xee'
	new='\x44\x89\xab\xa8\x90\x00\x00\xc7\x83\xac\x90\x00\x00\x00\x00\x00\x00'
	new+='\x0f\x1f\x84\x00\x00\x00\x00\x00'
	patch_bochs "$1" "$old" 0 "$new" || return

	# A notification that finds nothing posted, because the vCPU has looked
	# for itself just before, makes the requesting vector 255. In
	# VMX_Posted_Interrupt_Processing():
	#	cmp rvi(%rbx),%al; jb 1f		becomes test %eax,%eax; js 1f
	#	mov %al,rvi(%rbx)
	# since what was requested before is among what is requested now.
	old='\x3a\x83\xf9\x8f\x00\x00\x72\x06\x88\x83\xf9\x8f\x00\x00'
	new='\x85\xc0\x78\x0a\x88\x83\xf9\x8f\x00\x00\x0f\x1f\x40\x00'
	patch_bochs "$1" "$old" 0 "$new" || return

	# An interrupt for the host, which may come while the guest has IF=0, has
	# a virtual interrupt delivered that waits for IF=1. In
	# HandleExtInterrupt(), the question whether an SVM guest runs makes room:
	#	cmpb $0,0x8eb9(%rbx); je 1f; mov %rbx,%rdi	in a VMX guest?
	#	mov 0x91dc(%rbx),%eax; not %eax			... event_mask
	#	and 0x91d8(%rbx),%eax; test $2,%ah; jne 2f	... pending_event
	#	jmp to the call of VMexit_ExtInterrupt()
	old='\x80\xbf\xa8\x91\x00\x00\x00\x74\x14\x48\x8b\x87\xc8\x91\x00\x00'
	old+='\xf6\x80\xec\x00\x00\x00\x01\x0f\x85\xbe\x00\x00\x00'
	old+='\x80\xbb\xb9\x8e\x00\x00\x00\x74\x15\x48\x89\xdf'
	old+='\xf6\x83\xd9\x91\x00\x00\x02\x0f\x85\x95\x00\x00\x00'
	new='\x80\xbb\xb9\x8e\x00\x00\x00\x74\x32\x48\x89\xdf'
	new+='\x8b\x83\xdc\x91\x00\x00\xf7\xd0\x23\x83\xd8\x91\x00\x00'
	new+='\xf6\xc4\x02\x0f\x85\xa8\x00\x00\x00\xeb\x11'
	patch_bochs "$1" "$old" 0 "$new" || return

	# With several CPUs, a VM exit right after an exception saves the wrong
	# RIP: see cpu_run_trace.S, which is shorter than what it replaces.
	cpp "$top/testbed/cpu_run_trace.S" | as -o "$1.o" -
	objcopy -O binary -j .text "$1.o" "$1.text"
	old='\xf3\x0f\x1e\xfa\x55\x53\x48\x89\xfb\x48\x83\xec\x08'
	old+='\x8b\x87\xe0\x91\x00\x00\x85\xc0\x74\x09\xe8\xb4\x0b\x00\x00'
	old+='\x84\xc0\x75\x53\x48\x89\xdf\xe8\x58\xfc\xff\xff'
	new=$(od -A n -v -t x1 -w1 "$1.text" | sed 's/^ */\\x/' | tr -d '\n')
	patch_bochs "$1" "$old" 0 "$new"
}

# prepare_machine: a Bochs that is not the one we know has to do without APICv.
prepare_machine()
{
	if ! bochs_binary "$scratch/bochs"; then
		say "this Bochs is not the one we know: APICv is not used"
		cp "$cache/bochs-3.0/usr/bin/bochs-bin" "$scratch/bochs"
		has_apicv=0
	fi
}

# bochs_start: Debian trixie's binary, by its own dynamic loader.
bochs_start()
{
	local lib=$cache/bochs-3.0/usr/lib/x86_64-linux-gnu

	LTDL_LIBRARY_PATH=$lib/bochs/plugins \
	BXSHARE=$cache/bochs-3.0/usr/share/bochs \
		exec "$cache/bochs-3.0/usr/lib64/ld-linux-x86-64.so.2" \
		--library-path "$lib" --preload "$scratch/short_read.so" \
		"$scratch/bochs" \
		-q -f "$scratch/bochsrc" -rc "$scratch/go" \
		</dev/null >"$scratch/bochs.out" 2>&1
}

# A file that every user of the machine can lock.
lock_file()
{
	[ -e "$1" ] || (umask 0; : >>"$1") 2>/dev/null || true
	echo "$1"
}

# One emulated CPU keeps one of ours busy: two hosts at once on the machine. Who
# waits stands in line: only the first looks for a slot.
take_slot()
{
	local slot told=''
	local wait="two testbeds are running on this machine, waiting for a slot"

	exec 8<"$(lock_file /tmp/minivmm-testbed.line)"
	if ! flock -n 8; then
		say "$wait"
		told=1
		flock 8 &
		wait "$!"	# unlike a command in front, a signal ends it
	fi
	while :; do
		for slot in 1 2; do
			exec 9<"$(lock_file "/tmp/minivmm-testbed.slot$slot")"
			if flock -n 9; then
				exec 8<&-
				[ -z "$told" ] || say "got one"
				return
			fi
		done
		[ -n "$told" ] || say "$wait"
		told=1
		sleep 0.5
	done
}

# start_machine: the host, with ttyS0 on our output or terminal.
start_machine()
{
	# The TSC runs at "ips"; CPUID says 3.5 GHz.
	local line="$kernel_line tsc=reliable tsc_early_khz=100000"

	[ "$smp" = 1 ] || line+=" idle=halt"
	[ ${#images[@]} = 0 ] || place_images $((mem + mem % 2))
	bochs_loader "$line$memmap $append"
	take_slot
	if [ "$interactive" = 1 ]; then
		bochs_config term
		socat "PTY,link=$scratch/com1,raw,echo=0" \
			"STDIO,raw,echo=0" <&6 6<&- 9<&- &
		terminal=$!
		children+=("$terminal")
		while [ ! -e "$scratch/com1" ]; do sleep 0.05; done
	else
		bochs_config file
	fi
	bochs_start 6<&- 7<&- &
	machine=$!
}
