// SPDX-License-Identifier: GPL-2.0
/* The device and the VM behind it: /dev/minivmm, or /dev/kvm just as well. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "report.h"
#include "vm.h"

/*
 * Only CPUs without unrestricted guest need these, for real mode on stock KVM:
 * three pages and one, in the hole below the BIOS.
 */
#define TSS_ADDR		0xfffbd000ULL
#define IDENTITY_MAP_ADDR	0xfffbc000ULL

static const char *open_hint(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "is the module loaded? `minivmm info` says what is missing";
	case EACCES:
	case EPERM:
		return "run as root, or give your user access to the device";
	case EBUSY:
		return "another hypervisor owns VMX: modprobe -r kvm_intel";
	default:
		return "`minivmm info` may say why";
	}
}

/**
 * vm_extension - what the device can do
 * @vm: after vm_open_device()
 * @cap: MINIVMM_CAP_...
 *
 * Return: 0 if it cannot, else 1 or a number that the capability defines.
 */
int vm_extension(const struct vm *vm, int cap)
{
	return ioctl(vm->device_fd, MINIVMM_CHECK_EXTENSION, cap);
}

static void check_extensions(const struct vm *vm)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{ MINIVMM_CAP_USER_MEMORY, "USER_MEMORY" },
		{ MINIVMM_CAP_EXT_CPUID, "EXT_CPUID" },
		{ MINIVMM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(needed); i++)
		if (vm_extension(vm, needed[i].cap) <= 0)
			die(EXIT_DEVICE, "%s: lacks the capability %s", vm->path, needed[i].name);
}

/**
 * vm_open_device - open the device and check that it is one we can use
 * @vm: filled in
 * @path: the device's name
 */
void vm_open_device(struct vm *vm, const char *path)
{
	int version;

	vm->path = path;
	vm->device_fd = open(path, O_RDWR | O_CLOEXEC);
	if (vm->device_fd < 0)
		die(EXIT_DEVICE, "%s: %s: %s", path, strerror(errno), open_hint(errno));

	version = ioctl(vm->device_fd, MINIVMM_GET_API_VERSION, 0);
	if (version < 0)
		die(EXIT_DEVICE, "%s: not a virtual machine device", path);
	if (version != MINIVMM_API_VERSION)
		die(EXIT_DEVICE, "%s: its API has version %d, this program speaks %d",
		    path, version, MINIVMM_API_VERSION);
	check_extensions(vm);
}

/**
 * vm_set_slot - give the VM a region of memory, or change the region's flags
 * @vm: the VM
 * @ram: the guest's memory
 * @slot: which region
 * @flags: MINIVMM_MEM_...
 *
 * Return: 0, or -1 with errno.
 */
int vm_set_slot(const struct vm *vm, const struct ram *ram, unsigned int slot, u32 flags)
{
	const struct ram_region *r = &ram->region[slot];
	struct minivmm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = r->gpa,
		.memory_size = r->size,
		.userspace_addr = (unsigned long)r->hva,
	};

	return ioctl(vm->fd, MINIVMM_SET_USER_MEMORY_REGION, &region);
}

/**
 * vm_create - create the VM and give it its memory
 * @vm: after vm_open_device()
 * @ram: the guest's memory
 */
void vm_create(struct vm *vm, const struct ram *ram)
{
	u64 identity_map = IDENTITY_MAP_ADDR;

	vm->fd = ioctl(vm->device_fd, MINIVMM_CREATE_VM, 0);
	if (vm->fd < 0)
		die(EXIT_DEVICE, "%s: cannot create a VM: %s: %s", vm->path, strerror(errno),
		    open_hint(errno));
	if (ioctl(vm->fd, MINIVMM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
	    ioctl(vm->fd, MINIVMM_SET_TSS_ADDR, TSS_ADDR))
		die(EXIT_DEVICE, "%s: cannot reserve the TSS: %s", vm->path, strerror(errno));
	for (unsigned int i = 0; i < ram->nr_regions; i++)
		if (vm_set_slot(vm, ram, i, 0))
			die(EXIT_DEVICE, "%s: refuses guest memory of %llu KiB at %#llx: %s",
			    vm->path, ram->region[i].size / KIB, ram->region[i].gpa,
			    strerror(errno));
}

/**
 * vm_supported_cpuid - what CPUID the device can give a guest
 * @vm: after vm_open_device()
 *
 * Return: the table, with room for VM_MAX_CPUID_ENTRIES entries; free() it.
 */
struct minivmm_cpuid2 *vm_supported_cpuid(const struct vm *vm)
{
	struct minivmm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + VM_MAX_CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		die(EXIT_SETUP, "out of memory");
	cpuid->nent = VM_MAX_CPUID_ENTRIES;
	if (ioctl(vm->device_fd, MINIVMM_GET_SUPPORTED_CPUID, cpuid))
		die(EXIT_DEVICE, "%s: does not tell its CPUID: %s", vm->path, strerror(errno));
	return cpuid;
}
