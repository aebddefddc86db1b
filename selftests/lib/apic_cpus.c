// SPDX-License-Identifier: GPL-2.0
/* VMs of several vCPUs, and handlers that log: see apic_cpus.h. */
#include "apic_cpus.h"

volatile u64 hits, order[16];

void guest_log(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	apic_eoi();
}

void guest_log_nmi(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
}

void log_vectors(const u8 *vectors, int nr)
{
	while (nr--)
		guest_handlers[vectors[nr]] = guest_log;
}

void assert_order(const u8 *vectors, int nr)
{
	int i;

	GUEST_ASSERT_EQ(hits, nr);
	for (i = 0; i < nr; i++)
		GUEST_ASSERT_EQ(order[i], vectors[i]);
}

void guest_receiver(void)
{
	LOG_VECTORS(0x41, 0x51);
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	for (;;) {
		guest_sync(1, hits);
		take_interrupts();
	}
}

/* What the host wants sent */
static volatile u32 icr_dest, icr_low;

void guest_sender(void)
{
	for (;;) {
		guest_sync(0, 0);
		apic_send(icr_dest, icr_low);
	}
}

void enable_apic(struct vcpu *vcpu, u64 mode)
{
	vcpu_set_apic_mode(vcpu, mode);
	vcpu_set_apic_reg(vcpu, APIC_SVR, SVR_ENABLE | 0xff);
	vcpu_set_apic_reg(vcpu, APIC_LVT_LINT0, LVT_MASKED);
}

struct vcpu *add_cpu(struct vm *vm, int id, u64 mode, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_setup_long(vcpu, fn, mode);
	vcpu_set_mp_state(vcpu, MINIVMM_MP_STATE_RUNNABLE);
	enable_apic(vcpu, mode);
	return vcpu;
}

struct vm *start_cpus(u64 mode)
{
	struct vm *vm = vm_create_irqchip();
	int id;

	for (id = 0; id < NR_VCPUS; id++)
		add_cpu(vm, id, mode, guest_sender);
	ASSERT_SYNC(vm->vcpus[0], 0);
	return vm;
}

struct vm *start_flat(void)
{
	struct vm *vm = start_cpus(XAPIC);
	int id;

	for (id = 0; id < NR_VCPUS; id++) {
		vcpu_set_apic_reg(vm->vcpus[id], APIC_DFR, DFR_FLAT);
		vcpu_set_apic_reg(vm->vcpus[id], APIC_LDR, 1 << (24 + id));
	}
	return vm;
}

struct vm *start_pair(u64 mode)
{
	struct vm *vm = vm_create_irqchip();

	add_cpu(vm, 0, mode, guest_sender);
	add_cpu(vm, 1, mode, guest_receiver);
	ASSERT_SYNC(vm->vcpus[0], 0);
	ASSERT_SYNC(vm->vcpus[1], 1);
	return vm;
}

void ipi(struct vm *vm, u32 dest, u32 low)
{
	*vm_guest_ptr(vm, &icr_dest) = dest;
	*vm_guest_ptr(vm, &icr_low) = low;
	ASSERT_SYNC(vm->vcpus[0], 0);
}

u32 receivers(struct vm *vm, u32 vector)
{
	u32 mask = 0;
	int id;

	for (id = 0; id < NR_VCPUS; id++)
		if (vcpu_apic_bit(vm->vcpus[id], APIC_IRR, vector))
			mask |= 1U << id;
	return mask;
}

u64 taken(struct vcpu *vcpu)
{
	return ASSERT_SYNC(vcpu, 1);
}

void run_with_apic(void *fn, u64 mode)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, fn, mode);
	ASSERT_DONE(vcpu);
}

/* It says what SIPI made of CS. */
guest_code16(trampoline,
	     "movw %cs, %ax\n"
	     "outw %ax, $0x10\n"
	     "1: hlt\n"
	     "jmp 1b");

void add_trampoline(struct vm *vm)
{
	memcpy(vm_gpa(vm, TRAMPOLINE_GPA), trampoline.start,
	       (const char *)trampoline.end - (const char *)trampoline.start);
}

/* RUN of a vCPU that waits returns once for what ended the wait. */
static int run_ap(struct vcpu *vcpu)
{
	int reason, tries = 0;

	do
		reason = vcpu_run(vcpu);
	while (reason == -EAGAIN && ++tries < 3);
	return reason;
}

void expect_at_trampoline(struct vcpu *vcpu)
{
	ASSERT_EQ(run_ap(vcpu), MINIVMM_EXIT_IO);
	EXPECT_EQ(vcpu->run->io.port, 0x10);
	EXPECT_EQ(*(u16 *)vcpu_io_data(vcpu), TRAMPOLINE_VECTOR << 8);
	EXPECT_EQ(vcpu_sregs(vcpu).cs.base, TRAMPOLINE_GPA);
	EXPECT_EQ(vcpu_mp_state(vcpu), MINIVMM_MP_STATE_RUNNABLE);
}
