// SPDX-License-Identifier: GPL-2.0
/*
 * Time in the guest: TSC rate, offset and agreement between vCPUs, the
 * paravirtual clock, steal time, and what the host accounts as guest time.
 *
 * No test expects a duration: the host's own may be emulated. The host reads
 * its clock before and after the guest does, and the guest's must lie between.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define MSR_IA32_TSC_ADJUST	0x3b
#define MSR_WALL_CLOCK		0x11
#define MSR_SYSTEM_TIME		0x12
#define MSR_WALL_CLOCK_NEW	0x4b564d00
#define MSR_SYSTEM_TIME_NEW	0x4b564d01
#define MSR_STEAL_TIME		0x4b564d03
#define MSR_ENABLE		1UL

#define FEATURE_CLOCKSOURCE	(1U << 0)
#define FEATURE_CLOCKSOURCE2	(1U << 3)
#define FEATURE_STEAL_TIME	(1U << 5)
#define FEATURE_STABLE		(1U << 24)
#define TIME_INFO_STABLE	1

#define NS_PER_SEC		1000000000UL

/* What the guest finds at MSR_SYSTEM_TIME (Linux: x86/pvclock-abi.h) */
struct time_info {
	u32 version;
	u32 pad0;
	u64 tsc;
	u64 ns;
	u32 mul;
	signed char shift;
	u8 flags;
	u8 pad[2];
};

struct wall_clock {
	u32 version, sec, nsec;
};

struct steal_time {
	u64 steal;
	u32 version, flags;
	u32 rest[12];
};

/* A page for each vCPU, and the wall clock's */
#define INFO_GPA(id)	(DATA_GPA + (id) * PAGE_SIZE)
#define WALL_GPA	(DATA_GPA + 16 * PAGE_SIZE)
#define STEAL_GPA	(DATA_GPA + 17 * PAGE_SIZE)

/* How far the guest's clock may be from GET_CLOCK, in ns: KVM has two clocks. */
static u64 clock_slack(void)
{
	return dev_is_minivmm() ? 1 : 10 * 1000 * 1000;
}

static void burn(u64 ticks)
{
	u64 start = rdtsc();

	while (rdtsc() - start < ticks)
		;
}

static u64 get_clock(struct vm *vm)
{
	struct minivmm_clock_data data;

	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_CLOCK, &data));
	return data.clock;
}

static void set_clock(struct vm *vm, u64 ns)
{
	struct minivmm_clock_data data = { .clock = ns };

	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data));
}

static u64 get_tsc(struct vcpu *vcpu)
{
	u64 value;

	ASSERT(vcpu_get_msr(vcpu, MSR_IA32_TSC, &value));
	return value;
}

static void set_tsc(struct vcpu *vcpu, u64 value)
{
	ASSERT(vcpu_set_msr(vcpu, MSR_IA32_TSC, value));
}

static long tsc_khz(struct vcpu *vcpu)
{
	return ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_TSC_KHZ, 0));
}

static long set_tsc_khz(struct vcpu *vcpu, unsigned long khz)
{
	return ioctl(vcpu->fd, MINIVMM_SET_TSC_KHZ, khz);
}

static void need_tsc_control(void)
{
	int fd = dev_open();

	if (!ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_TSC_CONTROL))
		SKIP("this CPU cannot scale the TSC");
	close(fd);
}

static void need_feature(u32 feature)
{
	struct minivmm_cpuid_entry2 *e;

	e = cpuid_entry(supported_cpuid(), 0x40000001, 0);
	if (!e || (e->eax & feature) != feature)
		SKIP("no such clock on this host");
}

TEST(capabilities)
{
	struct minivmm_cpuid_entry2 *e;
	int fd = dev_open();

	ASSERT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_GET_TSC_KHZ),
		  1);
	ASSERT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_ADJUST_CLOCK),
		  MINIVMM_CLOCK_TSC_STABLE | MINIVMM_CLOCK_REALTIME |
		  MINIVMM_CLOCK_HOST_TSC);
	ASSERT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_NOP_IO_DELAY),
		  1);
	e = cpuid_entry(supported_cpuid(), 0x40000001, 0);
	ASSERT(e);
	ASSERT_EQ(!!(e->eax & FEATURE_CLOCKSOURCE),
		  ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_CLOCKSOURCE));
}

/* ---- the TSC's rate --------------------------------------------------------- */

TEST(tsc_khz)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	long host = tsc_khz(vcpu);

	ASSERT(host > 0);
	/* within 250 ppm, any CPU can do it */
	ASSERT_OK(set_tsc_khz(vcpu, host + host / 10000));
	ASSERT_EQ(tsc_khz(vcpu), host + host / 10000);
	ASSERT_OK(set_tsc_khz(vcpu, 0));
	ASSERT_EQ(tsc_khz(vcpu), host);
	EXPECT_ERRNO(set_tsc_khz(vcpu, 0x7fffffff), EINVAL);
	EXPECT_ERRNO(set_tsc_khz(vcpu, 0xffffffff), EINVAL);
	ASSERT_EQ(tsc_khz(vcpu), host);
}

TEST(tsc_khz_scaled)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	long host = tsc_khz(vcpu);

	if (!ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
		   MINIVMM_CAP_TSC_CONTROL)) {
		ASSERT_ERRNO(set_tsc_khz(vcpu, host / 2), EINVAL);
		ASSERT_EQ(tsc_khz(vcpu), host);
		return;
	}
	ASSERT_OK(set_tsc_khz(vcpu, host / 2));
	ASSERT_EQ(tsc_khz(vcpu), host / 2);
	ASSERT_OK(set_tsc_khz(vcpu, host * 2));
	ASSERT_EQ(tsc_khz(vcpu), host * 2);
	ASSERT_OK(set_tsc_khz(vcpu, 1));
	ASSERT_EQ(tsc_khz(vcpu), 1);
}

static void guest_sync_tsc(void)
{
	u64 stage;

	for (stage = 0; ; stage++)
		guest_sync(stage, rdtsc());
}

/* A guest's TSC, and the host's before and after */
struct sample {
	u64 before, guest, after;
};

static struct sample sample_rdtsc(struct vcpu *vcpu, u64 stage)
{
	struct sample s = { .before = rdtsc() };

	s.guest = ASSERT_SYNC(vcpu, stage);
	s.after = rdtsc();
	return s;
}

/* Between two samples the guest's TSC did num/den of the host's ticks. */
static void expect_rate(const struct sample *a, const struct sample *b,
			u64 num, u64 den)
{
	u64 ticks = b->guest - a->guest;

	EXPECT_GE(ticks + 2, (b->before - a->after) * num / den);
	EXPECT_GE((b->after - a->before) * num / den + 2, ticks);
}

static void check_rate(u64 num, u64 den)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	/* a rate that divides: nothing is lost in kHz */
	u64 khz = tsc_khz(vcpu) / den * num;
	struct sample a, b;

	if (num != den)
		ASSERT_OK(set_tsc_khz(vcpu, khz));
	vcpu_setup_long(vcpu, guest_sync_tsc, 0);
	a = sample_rdtsc(vcpu, 0);
	burn(20 * 1000 * 1000);
	b = sample_rdtsc(vcpu, 1);
	expect_rate(&a, &b, num, den);
}

TEST(rdtsc_as_host)
{
	check_rate(1, 1);
}

TEST(rdtsc_half)
{
	need_tsc_control();
	check_rate(1, 2);
}

TEST(rdtsc_double)
{
	need_tsc_control();
	check_rate(2, 1);
}

TEST(rdtsc_fast)
{
	need_tsc_control();
	check_rate(35, 1);
}

/* ---- writing IA32_TSC --------------------------------------------------------- */

static void guest_three_ways(void)
{
	u64 first = rdtsc();
	u64 second = rdmsr(MSR_IA32_TSC);
	u64 third = rdtsc();

	GUEST_ASSERT(first <= second);
	GUEST_ASSERT(second <= third);
	guest_sync(0, first);
}

/* What the client writes is what it reads, and the guest, a little later. */
static void check_read_back(long num, long den)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	const u64 value = 1UL << 44;
	u64 before, limit, first, guest;

	if (num != den)
		ASSERT_OK(set_tsc_khz(vcpu, tsc_khz(vcpu) / den * num));
	vcpu_setup_long(vcpu, guest_three_ways, 0);
	before = rdtsc();
	set_tsc(vcpu, value);
	first = get_tsc(vcpu);
	guest = ASSERT_SYNC(vcpu, 0);
	limit = value + (rdtsc() - before) * num / den + 2;
	EXPECT_GE(first, value);
	EXPECT_GE(guest, first);
	EXPECT_GE(limit, guest);
	EXPECT_GE(get_tsc(vcpu), guest);
}

TEST(tsc_read_back)
{
	check_read_back(1, 1);
}

TEST(tsc_read_back_half)
{
	need_tsc_control();
	check_read_back(1, 2);
}

TEST(tsc_read_back_double)
{
	need_tsc_control();
	check_read_back(2, 1);
}

/* Reads in turn only ever go up if the two agree. */
static void expect_agree(struct vcpu *a, struct vcpu *b)
{
	u64 t0 = get_tsc(a), t1 = get_tsc(b), t2 = get_tsc(a);

	EXPECT_GE(t1, t0);
	EXPECT_GE(t2, t1);
}

static void check_sync(unsigned long khz)
{
	struct vm *vm = vm_create();
	struct vcpu *a = vcpu_create(vm, 0), *b = vcpu_create(vm, 1);
	u64 far = 1UL << 50;

	if (khz) {
		ASSERT_OK(set_tsc_khz(a, khz));
		ASSERT_OK(set_tsc_khz(b, khz));
	}
	expect_agree(a, b);
	/* one after the other, as clients do: the same moment is meant */
	set_tsc(a, 1UL << 44);
	burn(1000 * 1000);
	set_tsc(b, 1UL << 44);
	expect_agree(a, b);
	EXPECT_GE(get_tsc(a), 1UL << 44);
	/* a reset of one */
	burn(1000 * 1000);
	set_tsc(b, 0);
	expect_agree(a, b);
	/* something else altogether is taken as it is */
	set_tsc(b, far);
	EXPECT_GE(get_tsc(b), far);
	EXPECT_GE(far, get_tsc(a));
	/* ... and is what counts from then on */
	set_tsc(a, 0);
	expect_agree(a, b);
	EXPECT_GE(get_tsc(a), far);
}

TEST(tscs_agree)
{
	check_sync(0);
}

TEST(tscs_agree_scaled)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	need_tsc_control();
	check_sync(tsc_khz(vcpu) / 3);
}

static void guest_adjust(void)
{
	const u64 step = 1UL << 40;
	u64 before = rdtsc();
	u64 adjust = rdmsr(MSR_IA32_TSC_ADJUST);

	GUEST_ASSERT_EQ(adjust, 0);
	wrmsr(MSR_IA32_TSC_ADJUST, step);
	GUEST_ASSERT(rdtsc() - before >= step);
	GUEST_ASSERT(rdtsc() - before < 2 * step);
	/* back again, and the distance is in TSC_ADJUST */
	wrmsr(MSR_IA32_TSC, before);
	adjust = rdmsr(MSR_IA32_TSC_ADJUST);
	GUEST_ASSERT(adjust + (rdtsc() - before) >= adjust);
	GUEST_ASSERT((s64)adjust <= 0);
	GUEST_ASSERT((s64)adjust > -(s64)step);
	guest_sync(0, adjust);
	/* the client's write of the TSC is none of the guest's */
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_ADJUST), adjust);
	GUEST_ASSERT(rdtsc() >= 1UL << 50);
}

static void check_adjust(unsigned long khz)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 adjust, value;

	if (khz)
		ASSERT_OK(set_tsc_khz(vcpu, khz));
	vcpu_setup_long(vcpu, guest_adjust, 0);
	adjust = ASSERT_SYNC(vcpu, 0);
	set_tsc(vcpu, 1UL << 50);
	ASSERT(vcpu_get_msr(vcpu, MSR_IA32_TSC_ADJUST, &value));
	EXPECT_EQ(value, adjust);
	ASSERT_DONE(vcpu);
}

TEST(tsc_adjust)
{
	check_adjust(0);
}

TEST(tsc_adjust_scaled)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	need_tsc_control();
	check_adjust(tsc_khz(vcpu) * 3);
}

/* ---- the paravirtual clock ------------------------------------------------------ */

/* As pvclock's ABI says; the version changes under a reader's eyes at most once. */
static u64 read_clock(const volatile struct time_info *info)
{
	u64 ticks, ns;
	u32 version;

	do {
		version = info->version;
		ticks = rdtsc() - info->tsc;
		if (info->shift < 0)
			ticks >>= -info->shift;
		else
			ticks <<= info->shift;
		ns = info->ns +
		     (u64)((__uint128_t)ticks * info->mul >> 32);
	} while ((version & 1) || version != info->version);
	return ns;
}

static void guest_clock(u64 id)
{
	const struct time_info *info = (void *)INFO_GPA(id);
	u64 last, now, stage;
	int i;

	wrmsr(MSR_SYSTEM_TIME_NEW, INFO_GPA(id) | MSR_ENABLE);
	GUEST_ASSERT_EQ(rdmsr(MSR_SYSTEM_TIME_NEW), INFO_GPA(id) | MSR_ENABLE);
	GUEST_ASSERT(info->version);
	GUEST_ASSERT(!(info->version & 1));
	last = read_clock(info);
	for (i = 0; i < 1000; i++) {
		now = read_clock(info);
		GUEST_ASSERT(now >= last);
		last = now;
	}
	for (stage = 0; ; stage++)
		guest_sync(stage, read_clock(info));
}

static struct vcpu *clock_vcpu(struct vm *vm, int id)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_setup_long(vcpu, guest_clock, id);
	return vcpu;
}

/* The guest's clock is the one that GET_CLOCK reads. */
static u64 expect_clock(struct vcpu *vcpu, u64 stage)
{
	u64 before = get_clock(vcpu->vm);
	u64 guest = ASSERT_SYNC(vcpu, stage);
	u64 after = get_clock(vcpu->vm);

	EXPECT_GE(guest + clock_slack(), before);
	EXPECT_GE(after + clock_slack(), guest);
	return guest;
}

TEST(clock)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;
	u64 stage;

	need_feature(FEATURE_CLOCKSOURCE2);
	vcpu = clock_vcpu(vm, 0);
	for (stage = 0; stage < 10; stage++)
		expect_clock(vcpu, stage);
}

TEST(clock_of_two)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu[2];
	u64 stage, now, last = 0;

	need_feature(FEATURE_CLOCKSOURCE2 | FEATURE_STABLE);
	vcpu[0] = clock_vcpu(vm, 0);
	vcpu[1] = clock_vcpu(vm, 1);
	for (stage = 0; stage < 200; stage++) {
		now = ASSERT_SYNC(vcpu[stage & 1], stage / 2);
		if (dev_is_minivmm())
			ASSERT_GE(now, last);
		last = now;
	}
	if (dev_is_minivmm()) {
		const struct time_info *a = vm_gpa(vm, INFO_GPA(0));
		const struct time_info *b = vm_gpa(vm, INFO_GPA(1));

		EXPECT_EQ(a->flags, TIME_INFO_STABLE);
		EXPECT_EQ(b->flags, TIME_INFO_STABLE);
		/* the same function, once and for all */
		EXPECT_EQ(a->version, b->version);
		EXPECT_EQ(a->tsc, b->tsc);
		EXPECT_EQ(a->ns, b->ns);
		EXPECT_EQ(a->mul, b->mul);
	}
}

/* The clock knows the TSC's rate, and follows what is done to the TSC. */
TEST(clock_scaled)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;

	need_feature(FEATURE_CLOCKSOURCE2);
	need_tsc_control();
	vcpu = clock_vcpu(vm, 0);
	ASSERT_OK(set_tsc_khz(vcpu, tsc_khz(vcpu) * 2));
	expect_clock(vcpu, 0);
	burn(10 * 1000 * 1000);
	expect_clock(vcpu, 1);
}

static void guest_moves_tsc(void)
{
	volatile struct time_info *info = (void *)INFO_GPA(0);
	u64 last;

	wrmsr(MSR_SYSTEM_TIME, INFO_GPA(0) | MSR_ENABLE);
	GUEST_ASSERT_EQ(rdmsr(MSR_SYSTEM_TIME_NEW), INFO_GPA(0) | MSR_ENABLE);
	guest_sync(0, read_clock(info));
	guest_sync(1, read_clock(info));
	last = read_clock(info);
	wrmsr(MSR_IA32_TSC_ADJUST, 1UL << 52);
	GUEST_ASSERT(read_clock(info) >= last);
	guest_sync(2, read_clock(info));
	wrmsr(MSR_SYSTEM_TIME, 0);
	/* off: nothing is written any more */
	info->version = 0;
	wrmsr(MSR_IA32_TSC_ADJUST, 1UL << 51);
	GUEST_ASSERT_EQ(info->version, 0);
}

TEST(clock_follows_tsc)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	need_feature(FEATURE_CLOCKSOURCE);
	vcpu_setup_long(vcpu, guest_moves_tsc, 0);
	expect_clock(vcpu, 0);
	set_tsc(vcpu, 1UL << 50);
	expect_clock(vcpu, 1);
	expect_clock(vcpu, 2);
	ASSERT_DONE(vcpu);
}

TEST(set_clock)
{
	struct vm *vm = vm_create();
	struct vcpu *a, *b;

	need_feature(FEATURE_CLOCKSOURCE2);
	a = clock_vcpu(vm, 0);
	b = clock_vcpu(vm, 1);
	expect_clock(a, 0);
	expect_clock(b, 0);
	set_clock(vm, 1UL << 50);
	EXPECT_GE(get_clock(vm), 1UL << 50);
	EXPECT_GE(expect_clock(a, 1) + clock_slack(), 1UL << 50);
	EXPECT_GE(expect_clock(b, 1) + clock_slack(), 1UL << 50);
	/* back again: a client restores what it wants */
	set_clock(vm, 5);
	EXPECT_GE(1UL << 49, expect_clock(a, 2));
	EXPECT_GE(1UL << 49, expect_clock(b, 2));
}

/* What a running guest read last, and when it should stop */
static volatile u64 clock_shown, stop_showing;

static void guest_shows_clock(void)
{
	wrmsr(MSR_SYSTEM_TIME_NEW, INFO_GPA(0) | MSR_ENABLE);
	asm volatile("sti");
	while (!stop_showing)
		clock_shown = read_clock((void *)INFO_GPA(0));
}

static void *run_to_the_end(void *vcpu)
{
	ASSERT_DONE(vcpu);
	return NULL;
}

/* A guest that runs and leaves for nothing sees it all the same. */
TEST(set_clock_while_running)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	volatile u64 *shown, *stop;
	pthread_t thread;
	u64 ns;

	need_feature(FEATURE_CLOCKSOURCE2);
	vcpu_setup_long(vcpu, guest_shows_clock, 0);
	shown = vm_guest_ptr(vm, &clock_shown);
	stop = vm_guest_ptr(vm, &stop_showing);
	ASSERT_EQ(pthread_create(&thread, NULL, run_to_the_end, vcpu), 0);
	while (!*shown)
		sched_yield();
	for (ns = 1UL << 50; ns <= 1UL << 56; ns <<= 1) {
		set_clock(vm, ns);
		/* a test that waits for ever is killed */
		while (*shown < ns)
			sched_yield();
	}
	*stop = 1;
	pthread_join(thread, NULL);
}

TEST(clock_ioctls)
{
	struct vm *vm = vm_create();
	struct minivmm_clock_data data, now;

	memset(&data, 0xff, sizeof(data));
	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_CLOCK, &data));
	EXPECT_EQ(data.pad0, 0);
	/* what was got can be set */
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data));
	if (dev_is_minivmm())
		EXPECT_EQ(data.flags, MINIVMM_CLOCK_TSC_STABLE |
			  MINIVMM_CLOCK_REALTIME | MINIVMM_CLOCK_HOST_TSC);
	/* a clock that was read an hour ago */
	data.flags = MINIVMM_CLOCK_REALTIME;
	data.realtime = (time(NULL) - 3600) * NS_PER_SEC;
	data.clock = 1000;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data));
	EXPECT_GE(get_clock(vm), 3600 * NS_PER_SEC);
	/* one from the future stays as it is */
	data.realtime = (time(NULL) + 3600) * NS_PER_SEC;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data));
	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_CLOCK, &now));
	EXPECT_GE(3600 * NS_PER_SEC, now.clock);

	data.flags = 1;
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data), EINVAL);
	data.flags = 1U << 31;
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_CLOCK, NULL), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_CLOCK, NULL), EFAULT);
	if (dev_is_minivmm()) {
		data.flags = 0;
		data.pad[3] = 1;
		EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data), EINVAL);
		data.pad[3] = 0;
		data.pad0 = 1;
		EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_CLOCK, &data), EINVAL);
	}
}

static void guest_wall_clock(void)
{
	const volatile struct wall_clock *wall = (void *)WALL_GPA;

	wrmsr(MSR_WALL_CLOCK_NEW, WALL_GPA);
	GUEST_ASSERT_EQ(rdmsr(MSR_WALL_CLOCK), WALL_GPA);
	GUEST_ASSERT(wall->version);
	GUEST_ASSERT(!(wall->version & 1));
	GUEST_ASSERT(wall->nsec < NS_PER_SEC);
	guest_sync(0, wall->sec * NS_PER_SEC + wall->nsec);
	wrmsr(MSR_WALL_CLOCK, WALL_GPA + 64);
	GUEST_ASSERT_EQ(rdmsr(MSR_WALL_CLOCK_NEW), WALL_GPA + 64);
	guest_sync(1, wall->version);
}

TEST(wall_clock)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	const struct wall_clock *wall = vm_gpa(vm, WALL_GPA);
	const struct wall_clock *other = vm_gpa(vm, WALL_GPA + 64);
	u64 then, version;

	need_feature(FEATURE_CLOCKSOURCE2);
	vcpu_setup_long(vcpu, guest_wall_clock, 0);
	/* the time when the clock was 0; to the second, for time() is coarse */
	then = ASSERT_SYNC(vcpu, 0);
	EXPECT_GE(then + get_clock(vm) + 2 * NS_PER_SEC,
		  time(NULL) * NS_PER_SEC);
	EXPECT_GE((time(NULL) + 2) * NS_PER_SEC, then + get_clock(vm));
	/* written where it is asked for, once */
	version = wall->version;
	EXPECT_EQ(ASSERT_SYNC(vcpu, 1), version);
	EXPECT(other->version);
	EXPECT_EQ(other->version & 1, 0);
	ASSERT_DONE(vcpu);
}

/* ---- addresses that are none ------------------------------------------------------ */

#define READ_ONLY_GPA	(VM_MEM_SIZE + 0x100000)

static const u64 hostile_addresses[] = {
	MMIO_GPA,			/* no memory */
	~0xffUL,			/* none can be there */
	VM_MEM_SIZE - 8,		/* ends after a slot's end */
	READ_ONLY_GPA,
	READ_ONLY_GPA + PAGE_SIZE - 8,	/* across its pages */
	DATA_GPA + PAGE_SIZE - 6,	/* across pages, odd address */
};

static void guest_hostile(void)
{
	unsigned int i;
	u64 gpa;

	for (i = 0; i < ARRAY_SIZE(hostile_addresses); i++) {
		gpa = hostile_addresses[i];
		wrmsr(MSR_SYSTEM_TIME_NEW, gpa | MSR_ENABLE);
		wrmsr(MSR_WALL_CLOCK_NEW, gpa);
		wrmsr(MSR_STEAL_TIME, (gpa & ~63UL) | MSR_ENABLE);
		guest_sync(i, 0);
	}
	/* bits 5:1 are reserved */
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_STEAL_TIME, STEAL_GPA | 3), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_STEAL_TIME, STEAL_GPA | 0x20),
			GP_VECTOR);
	/* none of it does harm */
	wrmsr(MSR_STEAL_TIME, 0);
	wrmsr(MSR_SYSTEM_TIME_NEW, INFO_GPA(0) | MSR_ENABLE);
	GUEST_ASSERT(((struct time_info *)INFO_GPA(0))->version);
}

TEST(hostile_addresses)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 *rom = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	need_feature(FEATURE_CLOCKSOURCE2 | FEATURE_STEAL_TIME);
	ASSERT(rom != MAP_FAILED);
	memset(rom, 0x5a, 2 * PAGE_SIZE);
	ASSERT_OK(vm_set_slot(vm, 1, MINIVMM_MEM_READONLY, READ_ONLY_GPA,
			      2 * PAGE_SIZE, rom));
	vcpu_setup_long(vcpu, guest_hostile, 0);
	for (i = 0; i < ARRAY_SIZE(hostile_addresses); i++)
		ASSERT_SYNC(vcpu, i);
	ASSERT_DONE(vcpu);
	for (i = 0; i < 2 * PAGE_SIZE / sizeof(*rom); i++)
		ASSERT_EQ(rom[i], 0x5a5a5a5a5a5a5a5a);
}

/* The client's mapping is gone: the clock is not, for RUN. */
TEST(clock_without_memory)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	void *mem = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(mem != MAP_FAILED);
	ASSERT_OK(vm_set_slot(vm, 1, 0, READ_ONLY_GPA, PAGE_SIZE, mem));
	munmap(mem, PAGE_SIZE);
	ASSERT(vcpu_set_msr(vcpu, MSR_SYSTEM_TIME_NEW,
			    READ_ONLY_GPA | MSR_ENABLE));
	vcpu_setup_long(vcpu, guest_sync_tsc, 0);
	ASSERT_SYNC(vcpu, 0);
	set_clock(vm, 1000);
	ASSERT_SYNC(vcpu, 1);
}

TEST(clock_msrs_are_state)
{
	static const u32 wanted[] = {
		MSR_WALL_CLOCK, MSR_SYSTEM_TIME, MSR_WALL_CLOCK_NEW,
		MSR_SYSTEM_TIME_NEW, MSR_STEAL_TIME, MSR_IA32_TSC,
		MSR_IA32_TSC_ADJUST,
	};
	struct minivmm_msr_list *list = calloc(1, 4096);
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	unsigned int i, j;
	u64 value;

	need_feature(FEATURE_CLOCKSOURCE2 | FEATURE_STEAL_TIME);
	list->nmsrs = 1000;
	ASSERT_OK(ioctl(vcpu->vm->dev_fd, MINIVMM_GET_MSR_INDEX_LIST, list));
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		for (j = 0; j < list->nmsrs; j++)
			if (list->indices[j] == wanted[i])
				break;
		EXPECT(j < list->nmsrs);
		EXPECT(vcpu_get_msr(vcpu, wanted[i], &value));
	}
	EXPECT(!vcpu_set_msr(vcpu, MSR_STEAL_TIME, STEAL_GPA | 3));
	EXPECT(vcpu_set_msr(vcpu, MSR_STEAL_TIME, STEAL_GPA | 1));
	EXPECT(vcpu_get_msr(vcpu, MSR_STEAL_TIME, &value));
	EXPECT_EQ(value, STEAL_GPA | 1);
}

/* ---- what the scheduler counts --------------------------------------------------- */

/* With interrupts on: the host's clock must tick while it runs. */
static void guest_busy(u64 steal)
{
	u64 stage;
	int i;

	if (steal)
		wrmsr(MSR_STEAL_TIME, STEAL_GPA | MSR_ENABLE);
	asm volatile("sti");
	for (stage = 0; ; stage++) {
		for (i = 0; i < 1000 * 1000; i++)
			asm volatile("");
		guest_sync(stage, 0);
	}
}

/* Field @n of /proc's @file, counted from 1 after the last ')', or "cpu" */
static u64 proc_field(const char *file, int n)
{
	char line[1024] = "", *at, *save = NULL;
	FILE *f = fopen(file, "r");

	ASSERT(f);
	ASSERT(fgets(line, sizeof(line), f));
	fclose(f);
	at = strrchr(line, ')');
	at = strtok_r(at ? at + 1 : line + strlen("cpu"), "\n ", &save);
	while (at && --n)
		at = strtok_r(NULL, "\n ", &save);
	ASSERT(at);
	return strtoull(at, NULL, 10);
}

/* In USER_HZ; see proc(5). The first two fields of self/stat are cut off. */
static u64 self_guest_time(void)
{
	return proc_field("/proc/self/stat", 43 - 2);
}

static u64 all_user_time(void)
{
	return proc_field("/proc/stat", 1);
}

static u64 all_guest_time(void)
{
	return proc_field("/proc/stat", 9);
}

TEST(guest_time)
{
	u64 user = all_user_time(), all = all_guest_time();
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 self = self_guest_time(), stage;

	vcpu_setup_long(vcpu, guest_busy, 0);
	for (stage = 0; stage < 300 && self_guest_time() < self + 3; stage++)
		ASSERT_SYNC(vcpu, stage);
	EXPECT_GE(self_guest_time(), self + 3);
	all = all_guest_time() - all;
	EXPECT_GE(all, 3);
	/*
	 * It counts as user time, too. Of the host's, which is the sum of its
	 * ticks; a task's is scaled to the time that it really ran, and can be
	 * less than the guest time in it. 1: each reading is rounded down.
	 */
	EXPECT_GE(all_user_time() - user + 1, all);
}

static pid_t start_rival(void)
{
	pid_t pid = fork();

	if (!pid) {
		for (;;)
			;
	}
	ASSERT(pid > 0);
	return pid;
}

TEST(steal_time)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	const volatile struct steal_time *st = vm_gpa(vm, STEAL_GPA);
	cpu_set_t cpus;
	pid_t rival;
	u64 stage;

	need_feature(FEATURE_STEAL_TIME);
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT_OK(sched_setaffinity(0, sizeof(cpus), &cpus));
	rival = start_rival();
	vcpu_setup_long(vcpu, guest_busy, 1);
	for (stage = 0; stage < 300 && !st->steal; stage++)
		ASSERT_SYNC(vcpu, stage);
	kill(rival, SIGKILL);
	waitpid(rival, NULL, 0);
	EXPECT(st->steal);
	EXPECT(st->version);
	EXPECT_EQ(st->version & 1, 0);
}
