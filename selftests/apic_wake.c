// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU in a thread of its own: what ends its HLT, and what gets the attention of
 * one that runs.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "apic_cpus.h"

/* ------------------------------------------------------------------------ */
/* A vCPU in a thread of its own: what wakes it, what gets its attention      */

static volatile bool ready;

static void guest_halts(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	ioapic_set_rte(PIN, RTE_DEST(1) | 0x41);
	ready = true;
	while (!hits)
		wait_interrupt();
}

static void guest_spins(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	ioapic_set_rte(PIN, RTE_DEST(1) | 0x41);
	asm volatile("sti" : : : "memory");
	ready = true;
	while (!hits)
		;
}

static void *run_to_done(void *arg)
{
	ASSERT_DONE((struct vcpu *)arg);
	return NULL;
}

static pthread_t thread;

static struct vm *start_thread(void *fn, u64 mode, void *(*routine)(void *))
{
	struct vm *vm = vm_create_irqchip();

	add_cpu(vm, 0, mode, guest_sender);
	add_cpu(vm, 1, mode, fn);
	ASSERT_SYNC(vm->vcpus[0], 0);
	ASSERT(!pthread_create(&thread, NULL, routine, vm->vcpus[1]));
	while (!*vm_guest_ptr(vm, &ready))
		sched_yield();
	return vm;
}

static void end_thread(struct vm *vm, u64 vector)
{
	pthread_join(thread, NULL);
	EXPECT_EQ(*vm_guest_ptr(vm, &hits), 1);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[0], vector);
}

TEST(ipi_wakes)
{
	struct vm *vm = start_thread(guest_halts, X2APIC, run_to_done);

	ipi(vm, 1, ICR_ASSERT | 0x41);
	end_thread(vm, 0x41);
}

TEST(ipi_interrupts)
{
	struct vm *vm = start_thread(guest_spins, XAPIC, run_to_done);

	ipi(vm, 1, ICR_ASSERT | 0x41);
	end_thread(vm, 0x41);
}

TEST(nmi_wakes)
{
	struct vm *vm = start_thread(guest_halts, XAPIC, run_to_done);

	ipi(vm, 1, DM_NMI | ICR_ASSERT);
	end_thread(vm, NMI_VECTOR);
}

TEST(nmi_interrupts)
{
	struct vm *vm = start_thread(guest_spins, X2APIC, run_to_done);

	ipi(vm, 1, DM_NMI | ICR_ASSERT);
	end_thread(vm, NMI_VECTOR);
}

TEST(msi_wakes)
{
	struct vm *vm = start_thread(guest_halts, XAPIC, run_to_done);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x41), 1);
	end_thread(vm, 0x41);
}

TEST(msi_interrupts)
{
	struct vm *vm = start_thread(guest_spins, X2APIC, run_to_done);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x41), 1);
	end_thread(vm, 0x41);
}

TEST(ioapic_wakes)
{
	struct vm *vm = start_thread(guest_halts, X2APIC, run_to_done);

	vm_irq_line(vm, PIN, 1);
	end_thread(vm, 0x41);
}

TEST(ioapic_interrupts)
{
	struct vm *vm = start_thread(guest_spins, XAPIC, run_to_done);

	vm_irq_line(vm, PIN, 1);
	end_thread(vm, 0x41);
}

static void *run_to_trampoline(void *arg)
{
	expect_at_trampoline(arg);
	return NULL;
}

static void init_thread(void *fn)
{
	struct vm *vm = start_thread(fn, XAPIC, run_to_trampoline);

	add_trampoline(vm);
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	pthread_join(thread, NULL);
	EXPECT_EQ(*vm_guest_ptr(vm, &hits), 0);
}

TEST(init_wakes)
{
	init_thread(guest_halts);
}

TEST(init_interrupts)
{
	init_thread(guest_spins);
}

#define ROUNDS	500

static volatile u64 turns[2];

static void guest_turn(struct guest_regs *regs)
{
	turns[regs->vector & 1]++;
	apic_eoi();
}

/* Whoever gets the ball sends it back; half of the waits are in HLT. */
static void guest_ping_pong(u64 id)
{
	u64 round;

	guest_handlers[0x50] = guest_turn;
	guest_handlers[0x51] = guest_turn;
	apic_start(X2APIC);
	ready = true;
	for (round = 1; round <= ROUNDS; round++) {
		if (id == 0)
			apic_send(1, ICR_ASSERT | 0x51);
		if (round & 1)
			asm volatile("sti" : : : "memory");
		while (turns[id] < round)
			if (!(round & 1))
				wait_interrupt();
		asm volatile("cli" : : : "memory");
		GUEST_ASSERT_EQ(turns[id], round);
		if (id == 1)
			apic_send(0, ICR_ASSERT | 0x50);
	}
}

/* No wake-up is lost between a look and HLT. */
TEST(ping_pong)
{
	struct vm *vm = vm_create_irqchip();
	int id;

	for (id = 0; id < 2; id++) {
		add_cpu(vm, id, X2APIC, guest_ping_pong);
		vcpu_setup_long(vm->vcpus[id], guest_ping_pong, id);
	}
	ASSERT(!pthread_create(&thread, NULL, run_to_done, vm->vcpus[1]));
	while (!*vm_guest_ptr(vm, &ready))
		sched_yield();
	ASSERT_DONE(vm->vcpus[0]);
	pthread_join(thread, NULL);
	EXPECT_EQ(vm_guest_ptr(vm, &turns[0])[0], ROUNDS);
	EXPECT_EQ(vm_guest_ptr(vm, &turns[0])[1], ROUNDS);
}
