// SPDX-License-Identifier: GPL-2.0
/* CAP_X86_TRIPLE_FAULT_EVENT: a triple fault that waits is part of the state. */
#include "vm.h"

#define VALID	MINIVMM_VCPUEVENT_VALID_TRIPLE_FAULT

guest_code64(writes,
	     "movl $0x1234, %edx\n"
	     "1: outl %eax, %dx\n"
	     "jmp 1b");

static struct minivmm_vcpu_events get_events(struct vcpu *vcpu)
{
	struct minivmm_vcpu_events events;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_VCPU_EVENTS, &events));
	return events;
}

static int set_pending(struct vcpu *vcpu, bool pending)
{
	struct minivmm_vcpu_events events = get_events(vcpu);

	events.flags |= VALID;
	events.triple_fault.pending = pending;
	return ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events);
}

static struct vcpu *start(bool enable)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;

	if (enable)
		ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_X86_TRIPLE_FAULT_EVENT,
					1));
	vcpu = vcpu_create(vm, 0);
	vcpu_setup_blob64(vcpu, &writes);
	return vcpu;
}

TEST(not_enabled)
{
	struct vcpu *vcpu = start(false);

	EXPECT(!(get_events(vcpu).flags & VALID));
	EXPECT_ERRNO(set_pending(vcpu, true), EINVAL);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
}

TEST(pending)
{
	struct vcpu *vcpu = start(true);
	struct minivmm_vcpu_events events = get_events(vcpu);

	EXPECT(events.flags & VALID);
	EXPECT_EQ(events.triple_fault.pending, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_OK(set_pending(vcpu, true));
	/* it waits as long as the guest is not to run */
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
	EXPECT_EQ(get_events(vcpu).triple_fault.pending, 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
	EXPECT_EQ(get_events(vcpu).triple_fault.pending, 0);
}

TEST(taken_back)
{
	struct vcpu *vcpu = start(true);

	EXPECT_OK(set_pending(vcpu, true));
	EXPECT_OK(set_pending(vcpu, false));
	EXPECT_EQ(get_events(vcpu).triple_fault.pending, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
}

/* Without the flag it stays as it is. */
TEST(without_the_flag)
{
	struct vcpu *vcpu = start(true);
	struct minivmm_vcpu_events events;

	EXPECT_OK(set_pending(vcpu, true));
	events = get_events(vcpu);
	events.flags &= ~VALID;
	events.triple_fault.pending = 0;
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events));
	EXPECT_EQ(get_events(vcpu).triple_fault.pending, 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
}

TEST(disabled_again)
{
	struct vcpu *vcpu = start(true);

	ASSERT_OK(vm_enable_cap(vcpu->vm, MINIVMM_CAP_X86_TRIPLE_FAULT_EVENT,
				0));
	EXPECT(!(get_events(vcpu).flags & VALID));
	EXPECT_ERRNO(set_pending(vcpu, true), EINVAL);
}
