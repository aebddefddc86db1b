# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # shared with testbed/run, which reads this file
#
# testbed/run on this very machine: the modules go into its own kernel, COMMAND
# runs in the testbed's root file system, on this machine's /dev, /proc and /sys.
# A fault of ours is a fault of the machine: only for those who ask for it.

intel_parameters=''
has_apicv=1

prepare_machine()
{
	:
}
kernel=host

mount_usr()
{
	cp -a "$cache/$1/usr" "$root/"
}

add_disk()
{
	cp -L "$1" "$root/testbed/disk"
}

[ "$(id -u)" = 0 ] ||
	die "--platform host loads modules into this machine's kernel, only root can"

# start_machine: what testbed/init does on a host of its own.
start_machine()
{
	mkdir -p "$root"/{dev,proc,sys,tmp}
	dmesg --follow-new >"$scratch/console" 2>/dev/null 6<&- 7<&- &
	children+=($!)
	host_session <&6 6<&- 7<&- >"$host_output" 2>&1 &
	machine=$!
}

# In a mount namespace of its own, so that nothing stays mounted.
host_session()
{
	local module arguments loaded='' status

	while read -r module arguments; do
		# shellcheck disable=SC2086 # arguments are words
		if ! insmod "$root/testbed/modules/$module.ko" $arguments; then
			echo "fail insmod $module.ko: see above" >>"$scratch/control"
			unload_modules "$loaded"
			return
		fi
		loaded="$module $loaded"
	done <"$root/testbed/load"
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount sh -c '
		for dir in dev proc sys; do
			mount --rbind /$dir "$1/$dir" || exit 125
		done
		exec chroot "$1" /bin/busybox sh -c "
			/bin/busybox --install -s /bin
			export PATH=/bin:/ HOME=/
			exec sh /testbed/command"' sh "$root" && status=0 || status=$?
	unload_modules "$loaded"
	echo "status $status" >>"$scratch/control"
}

# unload_modules "MODULE...": a reference that is still held is a leak.
unload_modules()
{
	local module

	for module in $1; do
		rmmod "$module" || echo "fail module $module cannot be removed" \
			"after the command" >>"$scratch/control"
	done
}
