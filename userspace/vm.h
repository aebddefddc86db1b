/* SPDX-License-Identifier: GPL-2.0 */
/* The device and the VM behind it: /dev/minivmm, or /dev/kvm just as well. */
#ifndef MINIVMM_VM_H
#define MINIVMM_VM_H

#include <linux/minivmm.h>

#include "ram.h"

#define VM_DEFAULT_DEVICE	"/dev/minivmm"
#define VM_MAX_CPUID_ENTRIES	256

struct vm {
	const char *path;
	int device_fd;
	int fd;
};

void vm_open_device(struct vm *vm, const char *path);
int vm_extension(const struct vm *vm, int cap);
int vm_set_slot(const struct vm *vm, const struct ram *ram, unsigned int slot, u32 flags);
void vm_create(struct vm *vm, const struct ram *ram);
struct minivmm_cpuid2 *vm_supported_cpuid(const struct vm *vm);

#endif /* MINIVMM_VM_H */
