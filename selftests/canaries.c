// SPDX-License-Identifier: GPL-2.0
/*
 * Several guests on one CPU, and the host process that runs them: everyone
 * finds their registers as they left them.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <asm/prctl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "canaries.h"

#define NR_VMS		3
#define NR_VCPUS	2	/* of each */

/* ------------------------------------------------------------------------ */
/* Guest against guest                                                       */

static struct vcpu *guests[NR_VMS * NR_VCPUS];

static void create_guests(void)
{
	struct vm *vm;
	int i, id;

	for (i = 0; i < NR_VMS; i++) {
		vm = vm_create();
		for (id = 0; id < NR_VCPUS; id++)
			guests[i * NR_VCPUS + id] =
				canary_vcpu(vm, id, 77 * i + id + 1);
	}
}

TEST(guests_take_turns)
{
	bool done[NR_VMS * NR_VCPUS] = {};
	int i, left = ARRAY_SIZE(guests);

	create_guests();
	while (left) {
		for (i = 0; i < ARRAY_SIZE(guests); i++) {
			if (done[i] || canary_step(guests[i]))
				continue;
			done[i] = true;
			left--;
		}
	}
}

static void *run_to_the_end(void *vcpu)
{
	while (canary_step(vcpu))
		;
	return NULL;
}

TEST(guests_in_threads)
{
	pthread_t threads[ARRAY_SIZE(guests)];
	int i;

	create_guests();
	for (i = 0; i < ARRAY_SIZE(guests); i++)
		ASSERT(!pthread_create(&threads[i], NULL, run_to_the_end,
				       guests[i]));
	for (i = 0; i < ARRAY_SIZE(guests); i++)
		pthread_join(threads[i], NULL);
}

/* ------------------------------------------------------------------------ */
/* Guest against host: one that has canaries of its own everywhere           */

#define STEPS	40

static struct vcpu *endless_guest(u64 seed)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = canary_vcpu(vm, 0, seed);

	*vm_guest_ptr(vm, &canary_rounds) = -1;
	return vcpu;
}

/* FPU state in, MINIVMM_RUN, FPU state out, and nothing in between */
static int run_with_fpu(struct vcpu *vcpu, struct fpu_area *in,
			struct fpu_area *out, u64 mask)
{
	u32 mxcsr = 0x1f80;
	int ret;

	asm volatile("movl %k[mask], %%eax\n"
		     "xorl %%edx, %%edx\n"
		     "cmpl %[legacy], %%eax\n"
		     "je 1f\n"
		     "xrstor64 (%[in])\n"
		     "jmp 2f\n"
		     "1: fxrstor64 (%[in])\n"
		     "2: movl %[nr], %%eax\n"
		     "syscall\n"
		     "movl %%eax, %[ret]\n"
		     "movl %k[mask], %%eax\n"
		     "xorl %%edx, %%edx\n"
		     "cmpl %[legacy], %%eax\n"
		     "je 3f\n"
		     "xsave64 (%[out])\n"
		     "jmp 4f\n"
		     "3: fxsave64 (%[out])\n"
		     "4: fninit\n"
		     "ldmxcsr %[mxcsr]"
		     : [ret] "=&r"(ret)
		     : "D"(vcpu->fd), "S"(MINIVMM_RUN), [mask] "r"(mask),
		       [in] "r"(in), [out] "r"(out), [nr] "i"(SYS_ioctl),
		       [legacy] "i"(FPU_LEGACY), [mxcsr] "m"(mxcsr)
		     : "rax", "rdx", "rcx", "r11", "memory", "cc");
	return ret < 0 ? ret : vcpu->run->exit_reason;
}

static u64 host_fpu_mask(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	if (!(regs[2] >> 27 & 1))	/* OSXSAVE */
		return FPU_LEGACY;
	return xgetbv() & FPU_COMPONENTS;
}

TEST(host_fpu)
{
	static struct fpu_area in, out;
	u64 mask = host_fpu_mask();
	struct vcpu *vcpu;
	u64 seed;
	int i;

	/* guests that use less than the host does, as much, and more */
	for (seed = 0; seed < 3; seed++) {
		vcpu = endless_guest(seed);
		for (i = 0; i < STEPS; i++) {
			fpu_fill(&in, mask, seed * STEPS + i);
			memset(&out, 0, sizeof(out));
			canary_goes_on(vcpu, run_with_fpu(vcpu, &in, &out,
							  mask));
			ASSERT_EQ(fpu_differs(&in, &out, mask), -1);
		}
		vm_free(vcpu->vm);
	}
}

TEST(host_bases)
{
	struct vcpu *vcpu = endless_guest(1);
	u64 data[2] = { 0x1234567890abcdef, 0 }, base, value, self;
	int i;

	ASSERT_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, data));
	for (i = 0; i < STEPS; i++) {
		ASSERT(canary_step(vcpu));
		asm volatile("movq %%gs:0, %0" : "=r"(value));
		ASSERT_EQ(value, data[0]);
		ASSERT_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
		ASSERT_EQ(base, data);
		ASSERT_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
		/* The ABI keeps the base at offset 0. */
		asm volatile("movq %%fs:0, %0" : "=r"(self));
		ASSERT_EQ(self, base);
	}
}

/* ------------------------------------------------------------------------ */
/* Selectors that are not null, and the LDT that they select from            */

struct selectors {
	u16 ds, es, fs, gs;
	u32 fs_data, gs_data, reloaded;
	int ret;
};

static void set_ldt_entry(int number, void *base)
{
	/* struct user_desc: 32-bit data segment, usable by programs */
	u32 desc[] = { number, (uintptr_t)base, 0xfff, 1 << 6 | 1 };

	if (syscall(SYS_modify_ldt, 1, desc, sizeof(desc)))
		SKIP("modify_ldt: %s", strerror(errno));
}

#define LDT_SELECTOR(n)	((n) << 3 | 7)

static void run_with_selectors(struct vcpu *vcpu, struct selectors *seen)
{
	u64 fs_base, rdi = vcpu->fd, rsi = MINIVMM_RUN;

	ASSERT_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base));
	asm volatile("movl %[first], %%eax\n"
		     "movw %%ax, %%ds\n"
		     "movw %%ax, %%fs\n"
		     "movl %[second], %%eax\n"
		     "movw %%ax, %%es\n"
		     "movw %%ax, %%gs\n"
		     "xorl %%edx, %%edx\n"
		     "movl %[run], %%eax\n"
		     "syscall\n"
		     "movl %%eax, %c[ret](%[seen])\n"
		     "movw %%ds, %c[ds](%[seen])\n"
		     "movw %%es, %c[es](%[seen])\n"
		     "movw %%fs, %c[fs](%[seen])\n"
		     "movw %%gs, %c[gs](%[seen])\n"
		     "movl %%fs:0, %%eax\n"
		     "movl %%eax, %c[fs_data](%[seen])\n"
		     "movl %%gs:0, %%eax\n"
		     "movl %%eax, %c[gs_data](%[seen])\n"
		     /* the LDT itself, not what the CPU remembers of it */
		     "movl %[second], %%eax\n"
		     "movw %%ax, %%fs\n"
		     "movl %%fs:0, %%eax\n"
		     "movl %%eax, %c[reloaded](%[seen])\n"
		     "xorl %%eax, %%eax\n"
		     "movw %%ax, %%ds\n"
		     "movw %%ax, %%es\n"
		     "movw %%ax, %%fs\n"
		     "movw %%ax, %%gs\n"
		     "movl %[prctl], %%eax\n"
		     "movl %[set_fs], %%edi\n"
		     "movq %[base], %%rsi\n"
		     "syscall"
		     : "+D"(rdi), "+S"(rsi)
		     : [base] "r"(fs_base), [seen] "r"(seen), [first] "i"(LDT_SELECTOR(0)),
		       [second] "i"(LDT_SELECTOR(1)), [run] "i"(SYS_ioctl),
		       [prctl] "i"(SYS_arch_prctl), [set_fs] "i"(ARCH_SET_FS),
		       [ret] "i"(offsetof(struct selectors, ret)),
		       [ds] "i"(offsetof(struct selectors, ds)),
		       [es] "i"(offsetof(struct selectors, es)),
		       [fs] "i"(offsetof(struct selectors, fs)),
		       [gs] "i"(offsetof(struct selectors, gs)),
		       [fs_data] "i"(offsetof(struct selectors, fs_data)),
		       [gs_data] "i"(offsetof(struct selectors, gs_data)),
		       [reloaded] "i"(offsetof(struct selectors, reloaded))
		     : "rax", "rcx", "rdx", "r11", "memory");
}

TEST(host_selectors)
{
	static u32 first = 0x11111111, second = 0x22222222;
	struct vcpu *vcpu = endless_guest(5);
	struct selectors seen;
	int i;

	set_ldt_entry(0, &first);
	set_ldt_entry(1, &second);
	for (i = 0; i < STEPS; i++) {
		memset(&seen, 0, sizeof(seen));
		run_with_selectors(vcpu, &seen);
		ASSERT_EQ(seen.ret, 0);
		ASSERT(canary_goes_on(vcpu, vcpu->run->exit_reason));
		ASSERT_EQ(seen.ds, LDT_SELECTOR(0));
		ASSERT_EQ(seen.es, LDT_SELECTOR(1));
		ASSERT_EQ(seen.fs, LDT_SELECTOR(0));
		ASSERT_EQ(seen.gs, LDT_SELECTOR(1));
		ASSERT_EQ(seen.fs_data, first);
		ASSERT_EQ(seen.gs_data, second);
		ASSERT_EQ(seen.reloaded, second);
	}
}

/* ------------------------------------------------------------------------ */
/* Breakpoints on both sides, at addresses that both have                    */

#define WRITES	5
#define VISITS	10

static volatile u32 host_watched, guest_watched, guest_hits;

static void guest_on_breakpoint(struct guest_regs *regs)
{
	(void)regs;
	GUEST_ASSERT_EQ(read_dr6() & 0xf, 1);
	write_dr6(DR6_FIXED);
	guest_hits++;
}

static void guest_watch(void)
{
	int i, j;

	guest_handlers[DB_VECTOR] = guest_on_breakpoint;
	for (i = 0; i < VISITS; i++) {
		/* every other time with a breakpoint of its own */
		write_dr0((uintptr_t)&guest_watched);
		write_dr7(i & 1 ? DR7_FIXED | 0xd0001 : DR7_FIXED);
		guest_hits = 0;
		for (j = 0; j < WRITES; j++)
			host_watched = j;
		GUEST_ASSERT_EQ(guest_hits, 0);
		for (j = 0; j < WRITES; j++)
			guest_watched = j;
		GUEST_ASSERT_EQ(guest_hits, i & 1 ? WRITES : 0);
		guest_sync(1, 0);
	}
}

TEST(host_breakpoints)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&host_watched,
		.bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 hits, written = 0;
	int fd, i;

	vcpu_setup_long(vcpu, guest_watch, 0);
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0)
		SKIP("perf_event_open: %s", strerror(errno));
	for (i = 0; i < VISITS; i++) {
		ASSERT_SYNC(vcpu, 1);
		host_watched = i;
		guest_watched = i;
		written++;
		ASSERT_EQ(read(fd, &hits, sizeof(hits)), sizeof(hits));
		ASSERT_EQ(hits, written);
	}
	ASSERT_DONE(vcpu);
	close(fd);
}

/* ------------------------------------------------------------------------ */

/* The I/O bitmap is beyond the TSS limit that a VM exit leaves. */
TEST(host_ports)
{
	struct vcpu *vcpu = endless_guest(2);
	u8 value;
	int i;

	ASSERT_OK(syscall(SYS_ioperm, 0x80, 1, 1));
	for (i = 0; i < STEPS; i++) {
		ASSERT(canary_step(vcpu));
		asm volatile("inb $0x80, %0" : "=a"(value));
	}
	ASSERT_OK(syscall(SYS_ioperm, 0x80, 1, 0));
	ASSERT_OK(syscall(SYS_iopl, 3));
	for (i = 0; i < STEPS; i++) {
		ASSERT(canary_step(vcpu));
		asm volatile("inb $0x80, %0" : "=a"(value));
	}
}

TEST(host_tsc_aux)
{
	struct vcpu *vcpu = endless_guest(3);
	u32 low, high, before, after;
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	ASSERT_OK(sched_setaffinity(0, sizeof(set), &set));
	asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(before));
	for (i = 0; i < STEPS; i++) {
		ASSERT(canary_step(vcpu));
		asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(after));
		ASSERT_EQ(after, before);
	}
}

/* SYSENTER, by 32-bit Linux's convention: exit(42) */
__attribute__((noreturn)) static void sysenter_exit(void)
{
	static u32 sixth_argument;

	asm volatile("movl %k0, %%ebp\n"
		     "movl $1, %%eax\n"
		     "movl $42, %%ebx\n"
		     "sysenter"
		     : : "r"(&sixth_argument));
	__builtin_unreachable();
}

TEST(host_system_calls)
{
	struct vcpu *vcpu = endless_guest(4);
	int pid, status, i;

	if (access("/proc/sys/abi/vsyscall32", F_OK))
		SKIP("the host's kernel has no 32-bit system calls");
	for (i = 0; i < STEPS; i++) {
		ASSERT(canary_step(vcpu));
		asm volatile("int $0x80" : "=a"(pid) : "0"(20) : "memory");
		ASSERT_EQ(pid, getpid());
		pid = ASSERT_OK(fork());
		if (!pid)
			sysenter_exit();
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT(WIFEXITED(status));
		ASSERT_EQ(WEXITSTATUS(status), 42);
	}
}

/* ------------------------------------------------------------------------ */
/* Somebody else on this CPU, who has nothing to do with VMs                 */

static volatile bool *stop;

/* sched_yield() in place of MINIVMM_RUN */
static void keep_canaries(void)
{
	static struct fpu_area in, out;
	u64 data = 0xfeedfacecafebeef, value, seed = 1, mask = host_fpu_mask();
	struct vcpu nobody = { .fd = -1 };
	struct minivmm_run run = {};

	nobody.run = &run;
	ASSERT_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, &data));
	while (!*stop) {
		fpu_fill(&in, mask, seed++);
		/* fails, as it should, and the registers must survive that */
		ASSERT_EQ(run_with_fpu(&nobody, &in, &out, mask), -EBADF);
		ASSERT_EQ(fpu_differs(&in, &out, mask), -1);
		fpu_load(&in, mask);
		syscall(SYS_sched_yield);
		fpu_store(&out, mask);
		asm volatile("fninit");
		ASSERT_EQ(fpu_differs(&in, &out, mask), -1);
		asm volatile("movq %%gs:0, %0" : "=r"(value));
		ASSERT_EQ(value, data);
	}
}

TEST(other_process)
{
	struct vcpu *vcpu;
	int i, status;
	pid_t pid;

	stop = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = ASSERT_OK(fork());
	if (!pid) {
		keep_canaries();
		test_exit();
	}
	vcpu = endless_guest(6);
	for (i = 0; i < 5 * STEPS; i++) {
		ASSERT(canary_step(vcpu));
		if (i % 4 == 0)
			sched_yield();
	}
	*stop = true;
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
}
