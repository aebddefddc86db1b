// SPDX-License-Identifier: GPL-2.0
/* Saving, restoring and comparing vCPUs; see state.h. */
#include <stdlib.h>
#include <unistd.h>

#include "apic.h"
#include "state.h"

#define MSR_IA32_TSC_ADJUST	0x3b

/* The MSRs that this vCPU lets one read, of those that the device lists */
static void find_msrs(struct vcpu *vcpu, struct vcpu_state *state)
{
	static struct {
		struct minivmm_msr_list header;
		u32 indices[STATE_MAX_MSRS];
	} list;
	static u32 readable;
	u64 value;
	u32 i;

	if (!readable) {
		list.header.nmsrs = STATE_MAX_MSRS;
		ASSERT_OK(ioctl(vcpu->vm->dev_fd, MINIVMM_GET_MSR_INDEX_LIST,
				&list));
		for (i = 0; i < list.header.nmsrs; i++)
			if (vcpu_get_msr(vcpu, list.indices[i], &value))
				list.indices[readable++] = list.indices[i];
		ASSERT(readable);
	}
	for (i = 0; i < readable; i++)
		state->msrs.entries[i].index = list.indices[i];
	state->msrs.header.nmsrs = readable;
}

static void finish_exit(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
}

static void get(struct vcpu *vcpu, struct vcpu_state *state)
{
	const int fd = vcpu->fd;

	/* asked first: what is accepted meanwhile (INIT, SIPI) shows below */
	ASSERT_OK(ioctl(fd, MINIVMM_GET_MP_STATE, &state->mp_state));
	state->regs = vcpu_regs(vcpu);
	state->sregs = vcpu_sregs(vcpu);
	ASSERT_OK(ioctl(fd, MINIVMM_GET_FPU, &state->fpu));
	ASSERT_OK(ioctl(fd, MINIVMM_GET_XSAVE, &state->xsave));
	ASSERT_OK(ioctl(fd, MINIVMM_GET_XCRS, &state->xcrs));
	ASSERT_OK(ioctl(fd, MINIVMM_GET_DEBUGREGS, &state->debugregs));
	find_msrs(vcpu, state);
	ASSERT_EQ(ioctl(fd, MINIVMM_GET_MSRS, &state->msrs),
		  state->msrs.header.nmsrs);
	ASSERT_OK(ioctl(fd, MINIVMM_GET_LAPIC, &state->lapic));
	state->events = vcpu_events(vcpu);
	state->cpuid.header.nent = STATE_MAX_CPUID;
	ASSERT_OK(ioctl(fd, MINIVMM_GET_CPUID2, &state->cpuid));
}

void vcpu_save(struct vcpu *vcpu, struct vcpu_state *state)
{
	finish_exit(vcpu);
	memset(state, 0, sizeof(*state));
	get(vcpu, state);
}

/* What is refused must not have been asked for: it has the value already. */
static void set_msr(struct vcpu *vcpu, const struct minivmm_msr_entry *entry)
{
	u64 value;

	if (vcpu_set_msr(vcpu, entry->index, entry->data))
		return;
	EXPECT(vcpu_get_msr(vcpu, entry->index, &value));
	if (value != entry->data)
		test_fail(__FILE__, __LINE__,
			  "MSR 0x%x: 0x%llx is refused, it is 0x%llx",
			  entry->index, entry->data, value);
}

void vcpu_restore(struct vcpu *vcpu, struct vcpu_state *state, bool fresh)
{
	const struct minivmm_msr_entry *deadline = NULL, *entry;
	const int fd = vcpu->fd;
	u32 i;

	if (fresh)
		ASSERT_OK(ioctl(fd, MINIVMM_SET_CPUID2, &state->cpuid));
	vcpu_set_sregs(vcpu, &state->sregs);
	vcpu_set_regs(vcpu, &state->regs);
	ASSERT_OK(ioctl(fd, MINIVMM_SET_XCRS, &state->xcrs));
	ASSERT_OK(ioctl(fd, MINIVMM_SET_XSAVE, &state->xsave));
	for (i = 0; i < state->msrs.header.nmsrs; i++) {
		entry = &state->msrs.entries[i];
		if (entry->index == MSR_IA32_TSC_DEADLINE)
			deadline = entry;
		else
			set_msr(vcpu, entry);
	}
	ASSERT_OK(ioctl(fd, MINIVMM_SET_LAPIC, &state->lapic));
	/* it counts only in the timer's mode that the LVT has, by the TSC */
	if (deadline)
		set_msr(vcpu, deadline);
	ASSERT_OK(ioctl(fd, MINIVMM_SET_DEBUGREGS, &state->debugregs));
	ASSERT_OK(ioctl(fd, MINIVMM_SET_MP_STATE, &state->mp_state));
	state->events.flags |= MINIVMM_VCPUEVENT_VALID_NMI_PENDING |
			       MINIVMM_VCPUEVENT_VALID_SIPI_VECTOR |
			       MINIVMM_VCPUEVENT_VALID_SHADOW;
	vcpu_set_events(vcpu, &state->events);
}

static void compare(const char *what, const void *a, const void *b, size_t size)
{
	const u8 *x = a, *y = b;
	size_t i, shown = 0;

	for (i = 0; i < size && shown < 4; i++) {
		if (x[i] == y[i])
			continue;
		shown++;
		test_fail(__FILE__, __LINE__,
			  "%s differs at byte 0x%zx: 0x%02x, 0x%02x",
			  what, i, x[i], y[i]);
	}
}

static void compare_msrs(struct vcpu_state *a, struct vcpu_state *b)
{
	struct minivmm_msr_entry *x, *y;
	u32 i;

	ASSERT_EQ(a->msrs.header.nmsrs, b->msrs.header.nmsrs);
	for (i = 0; i < a->msrs.header.nmsrs; i++) {
		x = &a->msrs.entries[i];
		y = &b->msrs.entries[i];
		switch (x->index) {
		case MSR_IA32_TSC:
			EXPECT_GE(y->data, x->data);
			continue;
		case 0x40000000 ... 0x400000ff:
			/* Hyper-V's, clocks among them */
			continue;
		case MSR_IA32_TSC_DEADLINE:
			/* 0 when it has passed */
			if (!y->data)
				continue;
			break;
		}
		if (x->data != y->data)
			test_fail(__FILE__, __LINE__,
				  "MSR 0x%x differs: 0x%llx, 0x%llx", x->index,
				  x->data, y->data);
	}
}

void vcpu_compare(struct vcpu_state *a, struct vcpu_state *b, u32 fired)
{
	struct minivmm_lapic_state lapic = b->lapic;

	*lapic_reg(&lapic, APIC_TMCCT) = *lapic_reg(&a->lapic, APIC_TMCCT);
	/* KVM computes it when it next looks for an interrupt */
	if (!dev_is_minivmm())
		*lapic_reg(&lapic, APIC_PPR) = *lapic_reg(&a->lapic, APIC_PPR);
	if (fired && !lapic_test_bit(&a->lapic, APIC_IRR, fired))
		*lapic_reg(&lapic, APIC_IRR + fired / 32 * 16) &=
			~(1U << fired % 32);
	compare("lapic", &a->lapic, &lapic, sizeof(lapic));
	compare("regs", &a->regs, &b->regs, sizeof(a->regs));
	compare("sregs", &a->sregs, &b->sregs, sizeof(a->sregs));
	compare("fpu", &a->fpu, &b->fpu, sizeof(a->fpu));
	compare("xsave", &a->xsave, &b->xsave, sizeof(a->xsave));
	compare("xcrs", &a->xcrs, &b->xcrs, sizeof(a->xcrs));
	compare("debugregs", &a->debugregs, &b->debugregs,
		sizeof(a->debugregs));
	b->events.flags = a->events.flags;
	/* what is pending is reported as both, and restored as injected */
	if (a->events.exception.injected)
		b->events.exception.pending = a->events.exception.pending;
	compare("events", &a->events, &b->events, sizeof(a->events));
	compare("mp_state", &a->mp_state, &b->mp_state, sizeof(a->mp_state));
	compare("cpuid", &a->cpuid, &b->cpuid, sizeof(a->cpuid));
	compare_msrs(a, b);
}

void chips_save(struct vm *vm, struct chips_state *state)
{
	u32 i;

	memset(state, 0, sizeof(*state));
	for (i = 0; i < 3; i++) {
		state->chips[i].chip_id = i;
		ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &state->chips[i]));
	}
	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_PIT2, &state->pit));
}

void chips_restore(struct vm *vm, struct chips_state *state)
{
	u32 i;

	for (i = 0; i < 3; i++)
		ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &state->chips[i]));
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_PIT2, &state->pit));
}

/* The timer goes on: its output is pin 0 of the 8259 and of the I/O APIC. */
void chips_compare(struct chips_state *a, struct chips_state *b)
{
	struct chips_state c = *b;
	struct minivmm_pic_state *pic = &c.chips[0].chip.pic;
	struct minivmm_ioapic_state *ioapic = &c.chips[2].chip.ioapic;
	u32 i;

	pic->irr = (pic->irr & ~1) | (a->chips[0].chip.pic.irr & 1);
	pic->last_irr = (pic->last_irr & ~1) |
			(a->chips[0].chip.pic.last_irr & 1);
	ioapic->irr = (ioapic->irr & ~1) | (a->chips[2].chip.ioapic.irr & 1);
	for (i = 0; i < 3; i++)
		c.pit.channels[i].count_load_time =
			a->pit.channels[i].count_load_time;
	compare("8259 master", &a->chips[0], &c.chips[0], sizeof(c.chips[0]));
	compare("8259 slave", &a->chips[1], &c.chips[1], sizeof(c.chips[1]));
	compare("I/O APIC", &a->chips[2], &c.chips[2], sizeof(c.chips[2]));
	compare("8254", &a->pit, &c.pit, sizeof(c.pit));
}
