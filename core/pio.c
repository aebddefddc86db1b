// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port I/O: to a device in the kernel, and the instruction is done; else to
 * user space, and it ends at the next MINIVMM_RUN.
 *
 * IN and OUT are one access. INS and OUTS move up to a page at a time; a REP
 * form whose count is not used up by then is executed again by the guest,
 * which brings it back here.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <uapi/asm/debugreg.h>
#include <asm/processor-flags.h>
#include "core.h"
#include "trace.h"

/* Of several elements the first is shown, as KVM does. */
static void trace_data(const struct mv_vcpu *vcpu, const void *data, u32 count)
{
	u32 val = 0;

	if (!trace_minivmm_pio_enabled())
		return;
	memcpy(&val, data, vcpu->exit.pio.size);
	trace_minivmm_pio(!vcpu->exit.pio.in, vcpu->exit.pio.port,
			  vcpu->exit.pio.size, count, val);
}

/* What the access is stays in vcpu->exit; user space can write the run page */
static void fill_run_page(struct mv_vcpu *vcpu, u32 count)
{
	struct minivmm_run *run = vcpu->run;
	const struct mv_exit *exit = &vcpu->exit;

	run->exit_reason = MINIVMM_EXIT_IO;
	run->io.direction = exit->pio.in ? MINIVMM_EXIT_IO_IN :
					   MINIVMM_EXIT_IO_OUT;
	run->io.size = exit->pio.size;
	run->io.port = exit->pio.port;
	run->io.count = count;
	run->io.data_offset = MINIVMM_PIO_PAGE_OFFSET * PAGE_SIZE;
}

static int complete_out(struct mv_vcpu *vcpu)
{
	mv_skip_insn(vcpu);
	return 1;
}

/* A 32-bit result clears the upper half of RAX, a smaller one keeps the rest */
static int finish_in(struct mv_vcpu *vcpu, const void *data)
{
	u64 rax = vcpu->exit.pio.size == 4 ? 0 : vcpu->regs[MV_RAX];

	memcpy(&rax, data, vcpu->exit.pio.size);
	vcpu->regs[MV_RAX] = rax;
	trace_data(vcpu, data, 1);
	mv_skip_insn(vcpu);
	return 1;
}

static int complete_in(struct mv_vcpu *vcpu)
{
	return finish_in(vcpu, vcpu->pio_data);
}

static u64 address_mask(const struct mv_vcpu *vcpu)
{
	return GENMASK_ULL(vcpu->exit.pio.addr_size * 8 - 1, 0);
}

/*
 * Writes an address or count register as an instruction of that size does: a
 * 32-bit result clears the upper half, a 16-bit one leaves the rest alone.
 */
static void set_address_reg(struct mv_vcpu *vcpu, enum mv_reg reg, u64 value)
{
	u64 mask = address_mask(vcpu);

	if (vcpu->exit.pio.addr_size == 2)
		value = (vcpu->regs[reg] & ~mask) | (value & mask);
	vcpu->regs[reg] = vcpu->exit.pio.addr_size == 4 ? (u32)value : value;
}

/* @count elements are done: move the registers, end or repeat the instruction */
static int finish_string(struct mv_vcpu *vcpu, u32 count)
{
	enum mv_reg reg = vcpu->exit.pio.in ? MV_RDI : MV_RSI;
	u64 bytes = (u64)count * vcpu->exit.pio.size, left = 0;

	if (vcpu->rflags & X86_EFLAGS_DF)
		bytes = -bytes;
	set_address_reg(vcpu, reg, vcpu->regs[reg] + bytes);
	if (vcpu->exit.pio.rep) {
		left = (vcpu->regs[MV_RCX] - count) & address_mask(vcpu);
		set_address_reg(vcpu, MV_RCX, left);
	}
	if (!left)
		mv_skip_insn(vcpu);
	else
		mv_finish_iteration(vcpu);
	return 1;
}

/*
 * The client may have lowered RCX meanwhile: then less is moved, as if it had been
 * that from the start.
 */
static u32 elements_left(const struct mv_vcpu *vcpu)
{
	u64 limit = U32_MAX;

	if (vcpu->exit.pio.rep)
		limit = vcpu->regs[MV_RCX] & address_mask(vcpu);
	return min_t(u64, vcpu->pio.count, limit);
}

static int complete_outs(struct mv_vcpu *vcpu)
{
	return finish_string(vcpu, elements_left(vcpu));
}

static int complete_ins(struct mv_vcpu *vcpu)
{
	u32 count = elements_left(vcpu);
	struct mv_fault fault;
	int ret;

	trace_data(vcpu, vcpu->pio_data, vcpu->pio.count);
	ret = mv_write_gva(vcpu, vcpu->pio.gva, vcpu->pio_data,
			   count * vcpu->exit.pio.size,
			   mv_cpl_access(vcpu), &fault);
	if (ret == -EFAULT) {
		mv_queue_fault(vcpu, &fault);
		return 1;
	}
	if (ret)
		return mv_emulation_failure(vcpu, NULL, 0);
	return finish_string(vcpu, count);
}

/*
 * Elements that fit before the page's end; at least one, which may cross it.
 * With TF set each iteration traps (SDM 18.3.1.4), so it is one at a time.
 */
static u32 batch(const struct mv_vcpu *vcpu, u64 gva)
{
	u32 size = vcpu->exit.pio.size;
	u64 want = 1;

	if (vcpu->exit.pio.rep)
		want = vcpu->regs[MV_RCX] & address_mask(vcpu);
	if (vcpu->rflags & (X86_EFLAGS_DF | X86_EFLAGS_TF))
		want = min_t(u64, want, 1);
	return min_t(u64, want, max_t(u64, 1, (PAGE_SIZE -
					       offset_in_page(gva)) / size));
}

/*
 * Both ends of what INS will write must be writable before the device is
 * read: reading again could return something else.
 */
static int probe_ins(struct mv_vcpu *vcpu, u64 gva, u32 bytes,
		     struct mv_fault *fault)
{
	u32 access = mv_cpl_access(vcpu) | MV_ACCESS_WRITE;
	u64 gpa;
	int ret = mv_gva_to_gpa(vcpu, gva, access, &gpa, fault);

	if (!ret && !mv_gpa_is_ram(vcpu, gpa, true))
		return -ENXIO;
	if (!ret)
		ret = mv_gva_to_gpa(vcpu, gva + bytes - 1, access, &gpa, fault);
	if (!ret && !mv_gpa_is_ram(vcpu, gpa, true))
		return -ENXIO;
	return ret;
}

/* Finds the memory operand; for OUTS, reads it. */
static int string_operand(struct mv_vcpu *vcpu, struct mv_fault *fault)
{
	bool in = vcpu->exit.pio.in;
	u64 offset = vcpu->regs[in ? MV_RDI : MV_RSI] & address_mask(vcpu);
	u32 bytes;
	int ret;

	/* once for the page, once more for the limit of what is moved */
	ret = mv_linearize(vcpu, vcpu->exit.pio.seg, offset,
			   vcpu->exit.pio.size, in, &vcpu->pio.gva, fault);
	if (ret)
		return ret;
	vcpu->pio.count = batch(vcpu, vcpu->pio.gva);
	bytes = vcpu->pio.count * vcpu->exit.pio.size;
	if (vcpu->pio.count > 1 &&
	    mv_linearize(vcpu, vcpu->exit.pio.seg, offset, bytes, in,
			 &vcpu->pio.gva, fault)) {
		vcpu->pio.count = 1;
		bytes = vcpu->exit.pio.size;
	}
	if (in)
		return probe_ins(vcpu, vcpu->pio.gva, bytes, fault);
	return mv_read_gva(vcpu, vcpu->pio.gva, vcpu->pio_data, bytes,
			   mv_cpl_access(vcpu), fault);
}

/* An element of a string, or all of IN and OUT; true if it is done. */
static bool kernel_access(struct mv_vcpu *vcpu, void *data)
{
	struct mv_vm *vm = vcpu->vm;
	u16 port = vcpu->exit.pio.port;
	u8 size = vcpu->exit.pio.size;

	if (!mv_has_devices(vm))
		return false;
	if (vcpu->exit.pio.in)
		return mv_iobus_read(vm, MV_SPACE_PORT, port, size, data);
	return mv_iobus_write(vm, MV_SPACE_PORT, port, size, data) ||
	       mv_coalesced_write(vm, MV_SPACE_PORT, port, size, data);
}

/* How many elements, from the first on, devices in the kernel have taken */
static u32 kernel_elements(struct mv_vcpu *vcpu)
{
	u8 size = vcpu->exit.pio.size;
	u32 i;

	for (i = 0; i < vcpu->pio.count; i++)
		if (!kernel_access(vcpu, vcpu->pio_data + i * size))
			break;
	return i;
}

/*
 * What the kernel took is done; if that was not all, the guest executes the
 * instruction again for the rest. Who gets an element may depend on its value:
 * at such a port, user space gets one at a time.
 */
static int transfer(struct mv_vcpu *vcpu)
{
	u32 taken = kernel_elements(vcpu);

	if (!taken && vcpu->pio.count > 1 &&
	    mv_iobus_has(vcpu->vm, MV_SPACE_PORT, vcpu->exit.pio.port))
		vcpu->pio.count = 1;
	if (taken)
		vcpu->pio.count = taken;
	if (!vcpu->exit.pio.in)
		trace_data(vcpu, vcpu->pio_data, vcpu->pio.count);
	if (taken)
		return vcpu->exit.pio.in ? complete_ins(vcpu) :
					   complete_outs(vcpu);
	fill_run_page(vcpu, vcpu->pio.count);
	vcpu->complete = vcpu->exit.pio.in ? complete_ins : complete_outs;
	return 0;
}

static int string_pio(struct mv_vcpu *vcpu)
{
	struct mv_fault fault;
	int ret;

	mv_need(vcpu, MV_STATE_SEGS | MV_STATE_CRS);
	/* A count of zero: no access, so no fault either (SDM vol. 2, REP) */
	if (vcpu->exit.pio.rep && !(vcpu->regs[MV_RCX] & address_mask(vcpu)))
		return finish_string(vcpu, 0);
	ret = string_operand(vcpu, &fault);
	if (ret == -EFAULT) {
		mv_queue_fault(vcpu, &fault);
		return 1;
	}
	if (ret)
		return mv_emulation_failure(vcpu, NULL, 0);
	return transfer(vcpu);
}

/* The page of data is shared with user space: only what is for it goes there. */
static int handle_in(struct mv_vcpu *vcpu)
{
	u32 value = 0;

	if (kernel_access(vcpu, &value))
		return finish_in(vcpu, &value);
	fill_run_page(vcpu, 1);
	vcpu->complete = complete_in;
	return 0;
}

static int handle_out(struct mv_vcpu *vcpu)
{
	u32 value = vcpu->regs[MV_RAX];

	trace_data(vcpu, &value, 1);
	if (kernel_access(vcpu, &value))
		return complete_out(vcpu);
	memcpy(vcpu->pio_data, &value, vcpu->exit.pio.size);
	fill_run_page(vcpu, 1);
	vcpu->complete = complete_out;
	return 0;
}

/**
 * mv_handle_pio() - the guest executed IN, OUT, INS or OUTS
 * @vcpu: vcpu->exit.pio says which
 */
int mv_handle_pio(struct mv_vcpu *vcpu)
{
	if (vcpu->exit.pio.string)
		return string_pio(vcpu);
	return vcpu->exit.pio.in ? handle_in(vcpu) : handle_out(vcpu);
}
