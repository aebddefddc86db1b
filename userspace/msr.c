// SPDX-License-Identifier: GPL-2.0
/*
 * IA32_TSC_DEADLINE, the one MSR that is the launcher's where the local APICs
 * are: a filter denies it to the guest, and what is denied comes to us.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "msr.h"
#include "report.h"

/* The last page below 4 GiB, and where in it a CPU begins (SDM 10.1.4) */
#define RESET_PAGE		0xfffff000ULL
#define RESET_VECTOR		0xff0
#define PAGE_SIZE		4096ULL

/**
 * msr_take_deadline - have the guest's accesses to IA32_TSC_DEADLINE come to us
 * @vm: after msr_can_have_deadline()
 */
void msr_take_deadline(const struct vm *vm)
{
	static __u64 denied;	/* bitmaps are read in units of 8 bytes */
	const struct minivmm_msr_filter filter = {
		.flags = MINIVMM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = {
			.flags = MINIVMM_MSR_FILTER_READ | MINIVMM_MSR_FILTER_WRITE,
			.base = MSR_IA32_TSC_DEADLINE, .nmsrs = 1, .bitmap = (__u8 *)&denied,
		},
	};
	const struct minivmm_enable_cap exits = {
		.cap = MINIVMM_CAP_X86_USER_SPACE_MSR,
		.args = { MINIVMM_MSR_EXIT_REASON_FILTER },
	};

	if (ioctl(vm->fd, MINIVMM_ENABLE_CAP, &exits) ||
	    ioctl(vm->fd, MINIVMM_X86_SET_MSR_FILTER, &filter))
		die(EXIT_DEVICE, "%s: does not filter MSRs: %s", vm->path, strerror(errno));
}

/* Does the WRMSR that the vCPU stands at come to us? */
static bool write_comes(int vcpu, const struct minivmm_run *run)
{
	int ret;

	do {
		ret = ioctl(vcpu, MINIVMM_RUN, 0);
	} while (ret && errno == EINTR);
	return !ret && run->exit_reason == MINIVMM_EXIT_X86_WRMSR &&
	       run->msr.index == MSR_IA32_TSC_DEADLINE;
}

static bool try_vcpu(const struct vm *vm)
{
	int size = ioctl(vm->device_fd, MINIVMM_GET_VCPU_MMAP_SIZE, 0);
	int vcpu = ioctl(vm->fd, MINIVMM_CREATE_VCPU, 0);
	struct minivmm_run *run;
	bool comes;

	if (vcpu < 0)
		return false;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	comes = run != MAP_FAILED && ioctl(vcpu, MINIVMM_GET_TSC_KHZ, 0) > 0 &&
		write_comes(vcpu, run);
	if (run != MAP_FAILED)
		munmap(run, size);
	close(vcpu);
	return comes;
}

/* A VM of its own, which executes a WRMSR, in real mode, and no more */
static bool try_vm(const struct vm *device)
{
	static const u8 code[] = {
		0x66, 0xb9, 0xe0, 0x06, 0x00, 0x00,	/* mov $MSR_IA32_TSC_DEADLINE, %ecx */
		0x0f, 0x30,				/* wrmsr */
		0xf4,					/* hlt */
	};
	struct vm vm = { .path = device->path, .device_fd = device->device_fd };
	struct ram ram = {
		.nr_regions = 1, .region[0] = { .gpa = RESET_PAGE, .size = PAGE_SIZE },
	};
	u8 *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	bool comes;

	if (page == MAP_FAILED)
		return false;
	memcpy(page + RESET_VECTOR, code, sizeof(code));
	ram.region[0].hva = page;
	vm_create(&vm, &ram);
	msr_take_deadline(&vm);
	comes = try_vcpu(&vm);
	close(vm.fd);
	munmap(page, PAGE_SIZE);
	return comes;
}

/**
 * msr_can_have_deadline - can IA32_TSC_DEADLINE be ours?
 * @vm: after vm_open_device()
 *
 * It is tried out: KVM says that it filters MSRs, and where it uses the VMX
 * preemption timer it does not look at the filter before it drops a write of this
 * one. That guest would wait for its timer for ever.
 */
bool msr_can_have_deadline(const struct vm *vm)
{
	return vm_extension(vm, MINIVMM_CAP_X86_USER_SPACE_MSR) > 0 &&
	       vm_extension(vm, MINIVMM_CAP_X86_MSR_FILTER) > 0 && try_vm(vm);
}
