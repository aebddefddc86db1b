// SPDX-License-Identifier: GPL-2.0
/* CAP_X86_DISABLE_EXITS: HLT that stays in the guest. */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest.h"
#include "x2apic.h"

#define HLT	MINIVMM_X86_DISABLE_EXITS_HLT
#define PAUSE	MINIVMM_X86_DISABLE_EXITS_PAUSE
#define VECTOR	0x55

static struct vm *make_vm(bool irqchip)
{
	struct vm *vm = irqchip ? vm_create_irqchip() : vm_create();

	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_X86_DISABLE_EXITS,
				HLT | PAUSE));
	return vm;
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void start_alarm(void)
{
	struct itimerval timer = { .it_value.tv_usec = 50000 };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	ASSERT_OK(setitimer(ITIMER_REAL, &timer, NULL));
}

guest_code64(halts,
	     "1: sti\n"
	     "hlt\n"
	     "jmp 1b\n");

/*
 * The client hears nothing of a HLT. A signal gets through, and the guest goes
 * on: it may be halted still, or (Bochs) execute the next instruction.
 */
TEST(hlt_stays_in_the_guest)
{
	struct vcpu *vcpu = vcpu_create(make_vm(false), 0);
	int i;

	vcpu_setup_blob64(vcpu, &halts);
	for (i = 0; i < 3; i++) {
		start_alarm();
		ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	}
}

static void guest_waits(void)
{
	guest_handlers[VECTOR] = count_event;
	guest_handlers[NMI_VECTOR] = count_event;
	guest_sync(1, 0);
	while (!event_counts[VECTOR])
		asm volatile("sti; hlt; cli" : : : "memory");
	guest_sync(2, event_counts[VECTOR]);
	while (!event_counts[NMI_VECTOR])
		asm volatile("sti; hlt; cli" : : : "memory");
	guest_sync(3, event_counts[NMI_VECTOR]);
}

/* What the client injects ends it. */
TEST(client_wakes_it)
{
	struct vcpu *vcpu = vcpu_create(make_vm(false), 0);
	struct minivmm_interrupt irq = { VECTOR };

	vcpu_setup_long(vcpu, guest_waits, 0);
	ASSERT_SYNC(vcpu, 1);
	start_alarm();
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 1);
	start_alarm();
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), 1);
}

static void guest_waits_for_msi(void)
{
	guest_handlers[VECTOR] = count_event_x2apic;
	x2apic_enable();
	guest_sync(1, 0);
	while (event_counts[VECTOR] < 20)
		asm volatile("sti; hlt; cli" : : : "memory");
	guest_sync(2, event_counts[VECTOR]);
}

static volatile bool stop;

static void *send_msis(void *arg)
{
	struct vm *vm = arg;

	while (!stop) {
		vm_msi(vm, MSI_DEST(0), VECTOR);
		usleep(1000);
	}
	return NULL;
}

/* An interrupt from elsewhere, with the local APIC in the kernel */
TEST(interrupt_wakes_it)
{
	struct vm *vm = make_vm(true);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	pthread_t thread;

	vcpu_setup_long(vcpu, guest_waits_for_msi, 0);
	ASSERT_SYNC(vcpu, 1);
	ASSERT_EQ(pthread_create(&thread, NULL, send_msis, vm), 0);
	EXPECT_GE(ASSERT_SYNC(vcpu, 2), 20);
	stop = true;
	pthread_join(thread, NULL);
}

static void guest_waits_for_timer(void)
{
	int i;

	guest_handlers[VECTOR] = count_event_x2apic;
	x2apic_enable();
	wrmsr(X2APIC_MSR(APIC_LVT_TIMER), VECTOR);
	for (i = 0; i < 5; i++) {
		wrmsr(X2APIC_MSR(APIC_TMICT), 100000);
		while (event_counts[VECTOR] == i)
			asm volatile("sti; hlt; cli" : : : "memory");
	}
	guest_sync(1, event_counts[VECTOR]);
}

TEST(timer_wakes_it)
{
	struct vcpu *vcpu = vcpu_create(make_vm(true), 0);

	vcpu_setup_long(vcpu, guest_waits_for_timer, 0);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 1), 5);
}

TEST(bad_input)
{
	struct vm *vm = vm_create();

	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_X86_DISABLE_EXITS, 0x10),
		     EINVAL);
	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_X86_DISABLE_EXITS,
				   1ULL << 63), EINVAL);
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_X86_DISABLE_EXITS, 0));
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_X86_DISABLE_EXITS,
				MINIVMM_X86_DISABLE_VALID_EXITS));
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_CHECK_EXTENSION,
			MINIVMM_CAP_X86_DISABLE_EXITS) & (HLT | PAUSE),
		  HLT | PAUSE);
	vcpu_create(vm, 0);
	if (!dev_is_minivmm())
		SKIP("stock KVM refuses it only from 6.2 on");
	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_X86_DISABLE_EXITS, HLT),
		     EINVAL);
}
