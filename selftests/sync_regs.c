// SPDX-License-Identifier: GPL-2.0
/* Registers in the run page: valid_regs, dirty_regs. */
#include <pthread.h>
#include <string.h>

#include "vm.h"

#define ALL	MINIVMM_SYNC_X86_VALID_FIELDS

/* IN leaves an instruction to be finished by the next RUN */
guest_code64(counter,
	     "1: movl $0x1234, %edx\n"
	     "inl %dx, %eax\n"
	     "incq %rbx\n"
	     "jmp 1b");

static struct vcpu *start(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &counter);
	return vcpu;
}

static struct minivmm_vcpu_events get_events(struct vcpu *vcpu)
{
	struct minivmm_vcpu_events events;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_VCPU_EVENTS, &events));
	return events;
}

static void expect_page_is_right(struct vcpu *vcpu)
{
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;
	struct minivmm_regs regs = vcpu_regs(vcpu);
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);
	struct minivmm_vcpu_events events = get_events(vcpu);

	EXPECT(!memcmp(&page->regs, &regs, sizeof(regs)));
	EXPECT(!memcmp(&page->sregs, &sregs, sizeof(sregs)));
	EXPECT(!memcmp(&page->events, &events, sizeof(events)));
}

TEST(capability)
{
	struct vm *vm = vm_create();

	EXPECT_EQ(ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
			MINIVMM_CAP_SYNC_REGS), ALL);
}

TEST(stored)
{
	struct vcpu *vcpu = start();

	vcpu->run->minivmm_valid_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	expect_page_is_right(vcpu);
	/* what was asked for stays asked for */
	EXPECT_EQ(vcpu->run->minivmm_valid_regs, ALL);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	expect_page_is_right(vcpu);
}

TEST(stored_on_eintr)
{
	struct vcpu *vcpu = start();

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	vcpu->run->minivmm_valid_regs = ALL;
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	expect_page_is_right(vcpu);
}

TEST(only_what_was_asked_for)
{
	struct vcpu *vcpu = start();
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;
	struct minivmm_sync_regs before;

	memset(page, 0x5a, sizeof(*page));
	before = *page;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT(!memcmp(page, &before, sizeof(before)));
	vcpu->run->minivmm_valid_regs = MINIVMM_SYNC_X86_SREGS;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT(!memcmp(&page->regs, &before.regs, sizeof(before.regs)));
	EXPECT(!memcmp(&page->events, &before.events, sizeof(before.events)));
	EXPECT_EQ(page->sregs.cr3, PML4_GPA);
}

TEST(loaded)
{
	struct vcpu *vcpu = start();
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;

	vcpu->run->minivmm_valid_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	page->regs.rbx = 1000;
	page->regs.r15 = 0x1515;
	page->sregs.cr2 = 0xabc000;
	page->events.nmi.masked = 1;
	vcpu->run->minivmm_dirty_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(vcpu->run->minivmm_dirty_regs, 0);
	EXPECT_EQ(page->regs.rbx, 1001);
	EXPECT_EQ(page->regs.r15, 0x1515);
	EXPECT_EQ(page->sregs.cr2, 0xabc000);
	EXPECT_EQ(page->events.nmi.masked, 1);
	expect_page_is_right(vcpu);
}

/* Only what is named is loaded. */
TEST(not_loaded)
{
	struct vcpu *vcpu = start();
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;

	vcpu->run->minivmm_valid_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	page->regs.rbx = 1000;
	page->sregs.cr2 = 0xabc000;
	vcpu->run->minivmm_dirty_regs = MINIVMM_SYNC_X86_SREGS;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(page->regs.rbx, 1);
	EXPECT_EQ(page->sregs.cr2, 0xabc000);
}

TEST(unknown_bits)
{
	struct vcpu *vcpu = start();

	vcpu->run->minivmm_valid_regs = ALL + 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_valid_regs = 1UL << 31 | ALL;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_valid_regs = 0;
	vcpu->run->minivmm_dirty_regs = ALL + 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_dirty_regs = 1UL << 63;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_dirty_regs = 0;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
}

TEST(impossible_registers)
{
	struct vcpu *vcpu = start();
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;

	vcpu->run->minivmm_valid_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	page->sregs.cr4 = ~0ULL;
	vcpu->run->minivmm_dirty_regs = MINIVMM_SYNC_X86_SREGS;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	page->sregs = vcpu_sregs(vcpu);
	page->events = get_events(vcpu);
	page->events.flags = 1U << 31;
	vcpu->run->minivmm_dirty_regs = MINIVMM_SYNC_X86_EVENTS;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_dirty_regs = 0;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
}

/* One of them impossible: none is loaded. */
TEST(all_or_none)
{
	struct vcpu *vcpu = start();
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;

	if (!dev_is_minivmm())
		SKIP("stock KVM loads the general registers before it looks at the others");
	vcpu->run->minivmm_valid_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	page->regs.rbx = 1000;
	page->sregs.cr2 = 0xabc000;
	page->events.flags = 1U << 31;
	vcpu->run->minivmm_dirty_regs = ALL;
	ASSERT_EQ(vcpu_run(vcpu), -EINVAL);
	EXPECT_EQ(vcpu_regs(vcpu).rbx, 0);
	EXPECT_EQ(vcpu_sregs(vcpu).cr2, 0);
}

static volatile bool stop;

/* Values between which a check and its use would differ */
static void *flip(void *arg)
{
	struct vcpu *vcpu = arg;
	struct minivmm_run *run = vcpu->run;
	volatile struct minivmm_sync_regs *page = &run->s.regs;
	const u64 cr4 = page->sregs.cr4, cr0 = page->sregs.cr0;

	while (!stop) {
		run->minivmm_dirty_regs = ALL;
		page->sregs.cr4 = cr4;
		page->sregs.cr0 = cr0;
		page->events.flags = 0;
		page->events.exception.injected = 0;
		page->sregs.cr4 = ~0ULL;
		page->sregs.cr0 = 1;
		page->events.exception.nr = 200;
		page->events.exception.injected = 1;
	}
	return NULL;
}

TEST(hostile_page)
{
	struct vcpu *vcpu = start();
	pthread_t thread;
	int i, reason;

	vcpu->run->minivmm_valid_regs = ALL;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	vcpu->run->minivmm_valid_regs = 0;
	ASSERT_EQ(pthread_create(&thread, NULL, flip, vcpu), 0);
	for (i = 0; i < 3000; i++) {
		reason = vcpu_run(vcpu);
		/* CR0 without paging, which the code can be run with or not */
		ASSERT(reason == -EINVAL || reason >= 0);
	}
	stop = true;
	pthread_join(thread, NULL);
}
