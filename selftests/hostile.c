// SPDX-License-Identifier: GPL-2.0
/*
 * Random ioctl arguments, guest state and guest code: each may fail or fault
 * as it likes, but RUN comes back on a signal, and the device goes on to work
 * for others.  The testbed looks for complaints in the host's kernel log.
 *
 * The generator starts from the same seed every time, so a failure repeats.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "vm.h"

guest_code64(canary, "movl $0x600d, %eax; outw %ax, $0x10; hlt");
guest_code16(nothing16, "hlt");
guest_code32(nothing32, "hlt");
guest_code64(nothing64, "hlt");

static u64 random_state = 0x853c49e6748fea9b;

/* xorshift64 */
static u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void fill_random(void *to, size_t size)
{
	u8 *byte = to;
	size_t i;

	for (i = 0; i < size; i++)
		byte[i] = next_random() >> 24;
}

/* Change a few bytes: closer to valid than all of them at random */
static void spoil(void *what, size_t size, int changes)
{
	u8 *byte = what;

	while (changes--)
		byte[next_random() % size] ^= 1 << next_random() % 8;
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void set_timer(int microseconds)
{
	/* It repeats: an alarm that comes before RUN must not be the last. */
	struct itimerval timer = {
		.it_value.tv_usec = microseconds,
		.it_interval.tv_usec = microseconds,
	};

	ASSERT_OK(setitimer(ITIMER_REAL, &timer, NULL));
}

/* Exits until the signal comes, as many as a client would serve. */
static void run_a_while(struct vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int i, reason;

	ASSERT_OK(sigaction(SIGALRM, &action, NULL));
	set_timer(4000);
	for (i = 0; i < 100; i++) {
		reason = vcpu_run(vcpu);
		if (reason < 0 || reason == MINIVMM_EXIT_SHUTDOWN ||
		    reason == MINIVMM_EXIT_FAIL_ENTRY ||
		    reason == MINIVMM_EXIT_INTERNAL_ERROR)
			break;
	}
	set_timer(0);
}

static void expect_device_works(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &canary);
	ASSERT_OUT(vcpu, 0x10, 0x600d);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	vm_free(vcpu->vm);
}

/* ------------------------------------------------------------------------ */

/* All but RUN, and SET_SIGNAL_MASK, which would keep our alarm out */
static const unsigned long vcpu_requests[] = {
	MINIVMM_GET_REGS, MINIVMM_SET_REGS, MINIVMM_GET_SREGS,
	MINIVMM_SET_SREGS, MINIVMM_TRANSLATE, MINIVMM_INTERRUPT,
	MINIVMM_GET_MSRS, MINIVMM_SET_MSRS, MINIVMM_GET_FPU, MINIVMM_SET_FPU,
	MINIVMM_SET_CPUID2, MINIVMM_GET_CPUID2, MINIVMM_GET_MP_STATE,
	MINIVMM_SET_MP_STATE, MINIVMM_NMI, MINIVMM_GET_VCPU_EVENTS,
	MINIVMM_SET_VCPU_EVENTS, MINIVMM_GET_DEBUGREGS, MINIVMM_SET_DEBUGREGS,
	MINIVMM_GET_XSAVE, MINIVMM_SET_XSAVE, MINIVMM_GET_XCRS,
	MINIVMM_SET_XCRS, MINIVMM_ENABLE_CAP, MINIVMM_SET_DEVICE_ATTR,
	MINIVMM_GET_DEVICE_ATTR, MINIVMM_HAS_DEVICE_ATTR,
};

static const unsigned long vm_requests[] = {
	MINIVMM_CREATE_VCPU, MINIVMM_SET_USER_MEMORY_REGION,
	MINIVMM_SET_TSS_ADDR, MINIVMM_SET_IDENTITY_MAP_ADDR,
	MINIVMM_CHECK_EXTENSION, MINIVMM_ENABLE_CAP, MINIVMM_SET_BOOT_CPU_ID,
	MINIVMM_SET_TSC_KHZ, MINIVMM_GET_TSC_KHZ,
};

static const unsigned long dev_requests[] = {
	MINIVMM_GET_API_VERSION, MINIVMM_CREATE_VM, MINIVMM_GET_MSR_INDEX_LIST,
	MINIVMM_CHECK_EXTENSION, MINIVMM_GET_VCPU_MMAP_SIZE,
	MINIVMM_GET_SUPPORTED_CPUID, MINIVMM_GET_MSR_FEATURE_INDEX_LIST,
	MINIVMM_GET_MSRS,
};

static void random_ioctl(int fd, const unsigned long *requests, int count,
			 void *buffer, size_t size)
{
	unsigned long request = requests[next_random() % count];
	int ret;

	fill_random(buffer, 64 + next_random() % (size - 64));
	/* counts that are believable, so that the entries are looked at */
	if (next_random() % 2)
		*(u32 *)buffer = next_random() % 64;
	if (_IOC_DIR(request) == _IOC_NONE || next_random() % 16 == 0)
		buffer = (void *)(next_random() >> next_random() % 64);
	ret = ioctl(fd, request, buffer);
	if (ret > STDERR_FILENO && (request == MINIVMM_CREATE_VM ||
				    request == MINIVMM_CREATE_VCPU))
		close(ret);
}

#define BUFFER_SIZE	(8 * PAGE_SIZE)

TEST(random_ioctls)
{
	char *buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vcpu *vcpu;
	int round, i;

	ASSERT(buffer != MAP_FAILED);
	for (round = 0; round < 20; round++) {
		vcpu = vcpu_create(vm_create(), 0);
		for (i = 0; i < 300; i++) {
			random_ioctl(vcpu->fd, vcpu_requests,
				     ARRAY_SIZE(vcpu_requests), buffer, 8192);
			random_ioctl(vcpu->vm->fd, vm_requests,
				     ARRAY_SIZE(vm_requests), buffer, 128);
			random_ioctl(vcpu->vm->dev_fd, dev_requests,
				     ARRAY_SIZE(dev_requests), buffer, 128);
		}
		vm_free(vcpu->vm);
	}
	expect_device_works();
}

/* Every number and size that _IOC can make, of our type and of others */
TEST(random_numbers)
{
	char *buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	unsigned int request;
	int i;

	ASSERT(buffer != MAP_FAILED);
	for (i = 0; i < 5000; i++) {
		request = next_random();
		if (i % 4)
			request = (request & 0xffff00ff) | MINIVMMIO << 8;
		if (request == MINIVMM_RUN || request == MINIVMM_CREATE_VM ||
		    request == MINIVMM_CREATE_VCPU)
			continue;
		ioctl(vcpu->fd, request, buffer);
		ioctl(vcpu->vm->fd, request, buffer);
		ioctl(vcpu->vm->dev_fd, request, buffer);
	}
	expect_device_works();
}

/* ------------------------------------------------------------------------ */

static void need_interruptible_guests(void)
{
	if (!dev_is_minivmm())
		SKIP("a guest that spins with IF=0 hangs Bochs under KVM");
}

static void setup_some_mode(struct vcpu *vcpu)
{
	switch (next_random() % 5) {
	case 0:
		vcpu_setup_real(vcpu, &nothing16);
		break;
	case 1:
		vcpu_setup_prot32(vcpu, &nothing32);
		break;
	case 2:
		vcpu_setup_paging32(vcpu, &nothing32);
		break;
	case 3:
		vcpu_setup_pae(vcpu, &nothing32);
		break;
	case 4:
		vcpu_setup_blob64(vcpu, &nothing64);
		break;
	}
}

/* Guests in some mode or other, of which @spoil makes something else */
static void run_many(int guests, void (*spoil)(struct vcpu *vcpu))
{
	struct vcpu *vcpu;

	need_interruptible_guests();
	while (guests--) {
		vcpu = vcpu_create(vm_create(), 0);
		setup_some_mode(vcpu);
		spoil(vcpu);
		run_a_while(vcpu);
		vm_free(vcpu->vm);
	}
	expect_device_works();
}

static void spoil_code(struct vcpu *vcpu)
{
	fill_random(vm_gpa(vcpu->vm, BLOB_GPA), 4096);
}

TEST(random_code)
{
	run_many(250, spoil_code);
}

/* Instructions that exit, between random ones: the handlers' own inputs */
static void place_exits(struct vcpu *vcpu)
{
	static const char * const exits[] = {
		"\x0f\xa2", "\x0f\x30", "\x0f\x32", "\x0f\x01\xd1",
		"\x0f\x22\xc0", "\x0f\x22\xd8", "\x0f\x22\xe0", "\x0f\x20\xc0",
		"\x0f\x23\xf8", "\x0f\x21\xf8", "\x44\x0f\x22\xc0", "\x0f\x06",
		"\x0f\x01\xf0", "\xf3\x6e", "\xf3\x6c", "\xf2\x6f", "\x66\x6d",
		"\x0f\x00\xd8", "\x0f\x01\x10", "\x0f\x01\x18", "\xcd\x80",
		"\xcc", "\xf1", "\xf4", "\x9d", "\xcf", "\xfb", "\xfa",
		"\x8e\xd0", "\xf3\xa4", "\xf3\xaa", "\xf0\x0f\xb1\x0f",
		"\x0f\xc1\x07", "\x87\x07", "\xff\x28", "\xff\x18",
	};
	struct minivmm_regs regs = vcpu_regs(vcpu);
	u8 *code = vm_gpa(vcpu->vm, BLOB_GPA);
	int i;

	for (i = 0; i < 64; i++)
		memcpy(code + 4 * i, exits[next_random() % ARRAY_SIZE(exits)],
		       4);
	for (i = 0; i < 8; i++)
		(&regs.rax)[i] = next_random() >> next_random() % 64;
	if (next_random() % 2)
		regs.rdi = MMIO_GPA + next_random() % 8192;
	if (next_random() % 2)
		regs.rsi = MMIO_GPA + next_random() % 8192;
	regs.rsp = STACK_TOP(0);
	vcpu_set_regs(vcpu, &regs);
}

TEST(random_exits)
{
	run_many(250, place_exits);
}

static void spoil_state(struct vcpu *vcpu)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);
	struct minivmm_regs regs = vcpu_regs(vcpu);
	struct minivmm_vcpu_events events = vcpu_events(vcpu);
	struct minivmm_debugregs debugregs;
	struct minivmm_xsave xsave;

	if (next_random() % 2)
		fill_random(vm_gpa(vcpu->vm, BLOB_GPA), 256);
	spoil(&sregs, sizeof(sregs), next_random() % 4);
	ioctl(vcpu->fd, MINIVMM_SET_SREGS, &sregs);
	spoil(&regs, sizeof(regs), next_random() % 8);
	ioctl(vcpu->fd, MINIVMM_SET_REGS, &regs);
	spoil(&events, sizeof(events), next_random() % 3);
	ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &debugregs));
	spoil(&debugregs, sizeof(debugregs), next_random() % 4);
	ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &debugregs);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &xsave));
	spoil(&xsave, 1024, next_random() % 16);
	ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave);
}

TEST(random_state)
{
	run_many(400, spoil_state);
}

/* Page tables and descriptor tables with random bits */
static void spoil_tables(struct vcpu *vcpu)
{
	fill_random(vm_gpa(vcpu->vm, BLOB_GPA), 256);
	fill_random(vm_gpa(vcpu->vm, IDT_GPA), 4096);
	spoil(vm_gpa(vcpu->vm, GDT_GPA), GDT_LIMIT + 1, 32);
	spoil(vm_gpa(vcpu->vm, PML4_GPA), 0x18000, 2000);
}

TEST(random_tables)
{
	run_many(250, spoil_tables);
}
