// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulation of an instruction that touched device memory.
 *
 * It goes through fixed phases, each of which must be over before the next:
 *
 *   fetch, decode   the bytes at RIP, core/decode.c
 *   plan            where every operand lies; all guest faults are found here
 *   read            RAM and devices in the kernel at once, others by way of
 *                   user space
 *   compute         core/alu.c
 *   write to RAM    the last that can fail
 *   commit          registers, flags, RIP
 *   write to device as reads; nothing is left to be done after it
 *
 * Every operand may be RAM or device memory, and may cross a page into the
 * other kind: an operand has up to two parts.  User space may take as long as
 * it likes with a part, so what must survive is in vcpu->mmio.
 */
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "alu.h"
#include "core.h"
#include "fetch.h"
#include "insn_cache.h"
#include "trace.h"

#define NR_OPERANDS	2

/**
 * struct operand - an operand in memory
 * @value: what was read, or is to be written
 * @data: the same as bytes
 * @gpa: where its parts are; the second one is at the start of a page
 * @len: their sizes in bytes, 0 if there is none
 * @device: the CPU has found no memory at gpa[0] for the access that faulted
 * @writes: the instruction writes it
 */
struct operand {
	union {
		u64 value;
		u8 data[8];
	};
	u64 gpa[2];
	u8 len[2];
	bool device;
	bool writes;
};

/**
 * struct mv_mmio - the instruction under emulation
 * @code: where instructions before it were fetched
 * @decoded: and what they were
 * @insn: decoded, in @decoded; NULL: not yet
 * @op: insn->mem, and ES:rDI of MOVS and CMPS
 * @part: the part under way in the current phase: 2 * operand + part
 * @to_read: a bit for each part that has yet to be read
 * @to_write: that is to be written
 * @to_device: that has yet to be written to a device
 */
struct mv_mmio {
	struct mv_code_cache code;
	struct mv_insn_cache decoded;
	const struct mv_insn *insn;
	struct operand op[NR_OPERANDS];
	unsigned int part;
	unsigned long to_read;
	unsigned long to_write;
	unsigned long to_device;
};

/* What an instruction does to the registers, until it is committed. */
struct result {
	u64 rflags;
	bool writes_reg;
	u8 reg;
	u8 reg_size;
	bool high_byte;
	u64 value;
};

/* Registers and addresses */

static u64 read_reg(const struct mv_vcpu *vcpu, u8 reg, bool high_byte,
		    unsigned int size)
{
	return mv_truncate(vcpu->regs[reg] >> (high_byte ? 8 : 0), size);
}

/* SDM vol. 1, 3.4.1.1: a 32-bit result clears the upper half, others do not. */
static void write_reg(struct mv_vcpu *vcpu, u8 reg, bool high_byte,
		      unsigned int size, u64 value)
{
	unsigned int shift = high_byte ? 8 : 0;
	u64 keep = ~(mv_truncate(~0ULL, size) << shift);

	if (size == 4)
		keep = 0;
	value = mv_truncate(value, size) << shift;
	vcpu->regs[reg] = (vcpu->regs[reg] & keep) | value;
	if (reg == MV_RSP)
		vcpu->dirty |= MV_STATE_RSP;
}

static u64 insn_reg(const struct mv_vcpu *vcpu)
{
	const struct mv_insn *insn = vcpu->mmio->insn;

	return read_reg(vcpu, insn->reg, insn->high_byte, insn->reg_size);
}

/* SDM vol. 1, 3.7.5; for bit strings vol. 2, 3.1.1.9, "Bit(BitBase, ...)". */
static u64 effective_address(const struct mv_vcpu *vcpu,
			     const struct mv_insn *insn,
			     const struct mv_insn_mem *mem)
{
	u64 address = mem->disp;

	if (mem->rip)
		address += vcpu->rip + insn->len;
	if (mem->base != MV_NO_REG)
		address += vcpu->regs[mem->base];
	if (mem->index != MV_NO_REG)
		address += vcpu->regs[mem->index] * mem->scale;
	if (insn->bit_string) {
		s64 bit = mv_sign_extend(vcpu->regs[insn->reg], insn->reg_size);

		address += (bit >> 3) & -(s64)insn->mem_size;
	}
	return mv_truncate(address, insn->addr_size);
}

static enum mv_insn_mode insn_mode(const struct mv_vcpu *vcpu)
{
	if (mv_is_64bit(vcpu))
		return MV_INSN_64;
	return vcpu->seg[MV_CS].ar & MV_AR_DB ? MV_INSN_32 : MV_INSN_16;
}

/* Plan */

static bool has_two_operands(const struct mv_insn *insn)
{
	return insn->op == MV_OP_MOVS || insn->op == MV_OP_CMPS;
}

/*
 * The CPU has translated the address of an only operand within a page, and
 * checked the access, before it found no memory there: no need to walk.  Code
 * may have changed since, so a write needs that the CPU has tried to write.
 */
static bool translated_by_cpu(const struct mv_vcpu *vcpu,
			      const struct operand *op, u64 gva)
{
	return vcpu->exit.fault.operand && !op->len[1] &&
	       !has_two_operands(vcpu->mmio->insn) &&
	       (vcpu->exit.fault.write || !op->writes) &&
	       offset_in_page(vcpu->exit.fault.gpa) == offset_in_page(gva);
}

static int translate(struct mv_vcpu *vcpu, struct operand *op,
		     const struct mv_insn_mem *mem, struct mv_fault *fault)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u32 access;
	u64 gva;
	int ret;

	ret = mv_linearize(vcpu, (enum mv_seg)mem->seg,
			   effective_address(vcpu, insn, mem), insn->mem_size,
			   op->writes, &gva, fault);
	if (ret)
		return ret;

	op->len[0] = min_t(u64, insn->mem_size, PAGE_SIZE - offset_in_page(gva));
	op->len[1] = insn->mem_size - op->len[0];
	if (translated_by_cpu(vcpu, op, gva)) {
		op->gpa[0] = vcpu->exit.fault.gpa;
		op->device = true;
		return 0;
	}
	access = mv_cpl_access(vcpu) | (op->writes ? MV_ACCESS_WRITE : 0);
	ret = mv_gva_to_gpa(vcpu, gva, access, &op->gpa[0], fault);
	if (ret || !op->len[1])
		return ret;

	gva += op->len[0];
	if (!mv_is_64bit(vcpu))
		gva = (u32)gva;
	return mv_gva_to_gpa(vcpu, gva, access, &op->gpa[1], fault);
}

static int plan_operand(struct mv_vcpu *vcpu, unsigned int nr,
			const struct mv_insn_mem *mem, bool reads, bool writes,
			struct mv_fault *fault)
{
	struct mv_mmio *m = vcpu->mmio;
	struct operand *op = &m->op[nr];
	unsigned long parts;
	int ret;

	*op = (struct operand) { .writes = writes };
	ret = translate(vcpu, op, mem, fault);
	if (ret)
		return ret;
	parts = (op->len[1] ? 3UL : 1UL) << 2 * nr;
	if (reads)
		m->to_read |= parts;
	if (writes)
		m->to_write |= parts;
	return 0;
}

/* Which operands there are, and where: all that the guest can get wrong. */
static int plan(struct mv_vcpu *vcpu, struct mv_fault *fault)
{
	static const struct mv_insn_mem es_di = {
		.base = MV_RDI, .index = MV_NO_REG, .scale = 1,
		.seg = MV_INSN_ES,
	};
	const struct mv_insn *insn = vcpu->mmio->insn;
	int ret;

	vcpu->mmio->to_read = 0;
	vcpu->mmio->to_write = 0;
	ret = plan_operand(vcpu, 0, &insn->mem, insn->reads, insn->writes,
			   fault);
	if (!ret && has_two_operands(insn))
		ret = plan_operand(vcpu, 1, &es_di, insn->op == MV_OP_CMPS,
				   insn->op == MV_OP_MOVS, fault);
	return ret;
}

/* Compute */

static void set_reg(struct result *res, u8 reg, bool high_byte,
		    unsigned int size, u64 value)
{
	*res = (struct result) {
		.rflags = res->rflags,
		.writes_reg = true,
		.reg = reg,
		.high_byte = high_byte,
		.reg_size = size,
		.value = value,
	};
}

static void set_insn_reg(const struct mv_insn *insn, struct result *res,
			 u64 value)
{
	set_reg(res, insn->reg, insn->high_byte, insn->reg_size, value);
}

/*
 * The destination gets a write even if the comparison failed, its old value
 * then (SDM vol. 2, CMPXCHG).
 */
static void compute_cmpxchg(const struct mv_vcpu *vcpu, struct operand *op,
			    struct result *res)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u64 accumulator = read_reg(vcpu, MV_RAX, false, insn->mem_size);

	mv_alu(MV_OP_CMP, insn->mem_size, accumulator, op->value, &res->rflags);
	if (res->rflags & X86_EFLAGS_ZF)
		op->value = insn_reg(vcpu);
	else
		set_reg(res, MV_RAX, false, insn->mem_size, op->value);
}

/* Memory is the destination; all that have a register write it too. */
static void compute_to_memory(const struct mv_vcpu *vcpu, struct operand *op,
			      u64 src, struct result *res)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u64 old = op->value;

	if (likely(insn->op == MV_OP_MOV)) {
		op->value = mv_truncate(src, insn->mem_size);
		return;
	}
	if (insn->op == MV_OP_CMPXCHG) {
		compute_cmpxchg(vcpu, op, res);
		return;
	}
	op->value = mv_alu(insn->op, insn->mem_size, old, src, &res->rflags);
	if (insn->op == MV_OP_XCHG || insn->op == MV_OP_XADD)
		set_insn_reg(insn, res, old);
}

static void compute_to_reg(const struct mv_vcpu *vcpu, const struct operand *op,
			   struct result *res)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u64 value = op->value;

	if (insn->op == MV_OP_MOVSX)
		value = mv_sign_extend(value, insn->mem_size);
	else if (insn->op != MV_OP_MOVZX && insn->op != MV_OP_MOV)
		value = mv_alu(insn->op, insn->reg_size, insn_reg(vcpu), value,
			       &res->rflags);
	if (insn->op != MV_OP_CMP)
		set_insn_reg(insn, res, value);
}

static void compute_string(const struct mv_vcpu *vcpu, struct operand *op,
			   struct result *res)
{
	const struct mv_insn *insn = vcpu->mmio->insn;

	switch (insn->op) {
	case MV_OP_MOVS:
		op[1].value = op[0].value;
		break;
	case MV_OP_STOS:
		op[0].value = insn_reg(vcpu);
		break;
	case MV_OP_LODS:
		set_insn_reg(insn, res, op[0].value);
		break;
	case MV_OP_CMPS:
		mv_alu(MV_OP_CMP, insn->mem_size, op[0].value, op[1].value,
		       &res->rflags);
		break;
	case MV_OP_SCAS:
		mv_alu(MV_OP_CMP, insn->mem_size, insn_reg(vcpu), op[0].value,
		       &res->rflags);
		break;
	}
}

static void compute(const struct mv_vcpu *vcpu, struct result *res)
{
	struct mv_mmio *m = vcpu->mmio;

	switch (m->insn->form) {
	case MV_FORM_MR:
		compute_to_memory(vcpu, &m->op[0], insn_reg(vcpu), res);
		break;
	case MV_FORM_MI:
		compute_to_memory(vcpu, &m->op[0], m->insn->imm, res);
		break;
	case MV_FORM_M:
		compute_to_memory(vcpu, &m->op[0], 0, res);
		break;
	case MV_FORM_RM:
		compute_to_reg(vcpu, &m->op[0], res);
		break;
	case MV_FORM_STRING:
		compute_string(vcpu, m->op, res);
		break;
	}
}

/* Commit */

static void set_rflags(struct mv_vcpu *vcpu, u64 rflags)
{
	if (vcpu->rflags == rflags)
		return;
	vcpu->rflags = rflags;
	vcpu->dirty |= MV_STATE_RFLAGS;
}

static void add_to_reg(struct mv_vcpu *vcpu, u8 reg, s64 n)
{
	unsigned int size = vcpu->mmio->insn->addr_size;

	write_reg(vcpu, reg, false, size, vcpu->regs[reg] + n);
}

/* Does REPE or REPNE go on?  Without REP and for MOVS, STOS, LODS: see RCX. */
static bool condition_holds(const struct mv_insn *insn, u64 rflags)
{
	if (insn->op != MV_OP_CMPS && insn->op != MV_OP_SCAS)
		return true;
	return !!(rflags & X86_EFLAGS_ZF) == (insn->rep == 0xf3);
}

/* One iteration; true if the instruction is to be executed again. */
static bool commit_string(struct mv_vcpu *vcpu, u64 rflags)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	s64 step = insn->mem_size;

	if (rflags & X86_EFLAGS_DF)
		step = -step;
	if (insn->op != MV_OP_STOS && insn->op != MV_OP_SCAS)
		add_to_reg(vcpu, MV_RSI, step);
	if (insn->op != MV_OP_LODS)
		add_to_reg(vcpu, MV_RDI, step);
	if (!insn->rep)
		return false;

	add_to_reg(vcpu, MV_RCX, -1);
	return read_reg(vcpu, MV_RCX, false, insn->addr_size) &&
	       condition_holds(insn, rflags);
}

/*
 * RF is set between the iterations of a repeated instruction, so that its
 * breakpoint triggers once only (SDM vol. 3, 17.3.1.1).
 */
static void commit(struct mv_vcpu *vcpu, const struct result *res)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u64 rflags = res->rflags & ~(u64)X86_EFLAGS_RF;
	bool again = false;

	if (res->writes_reg)
		write_reg(vcpu, res->reg, res->high_byte, res->reg_size,
			  res->value);
	if (insn->form == MV_FORM_STRING)
		again = commit_string(vcpu, rflags);
	set_rflags(vcpu, rflags | (again ? X86_EFLAGS_RF : 0));

	/* An iteration ends an interrupt shadow and single-steps, too. */
	vcpu->exit.insn_len = again ? 0 : insn->len;
	mv_skip_insn(vcpu);
}

/* Read and write */

static u8 *part_data(struct operand *op, unsigned int part)
{
	return part & 1 ? &op->data[op->len[0]] : op->data;
}

/*
 * Both return -ENXIO for a device. What the CPU found need not be looked up
 * again; but where it could not write it may well be able to read: a read-only
 * slot.
 */
static int read_part(struct mv_vcpu *vcpu, struct operand *op,
		     unsigned int part)
{
	if (op->device && !vcpu->exit.fault.write)
		return -ENXIO;
	return mv_read_gpa(vcpu, op->gpa[part & 1], part_data(op, part),
			   op->len[part & 1]);
}

static int write_part(struct mv_vcpu *vcpu, struct operand *op,
		      unsigned int part)
{
	if (op->device)
		return -ENXIO;
	return mv_write_gpa(vcpu, op->gpa[part & 1], part_data(op, part),
			    op->len[part & 1]);
}

static void trace_part(struct operand *op, unsigned int part, u32 type)
{
	unsigned int i = part & 1;
	u64 value;

	if (!trace_minivmm_mmio_enabled())
		return;
	value = op->value >> (i ? 8 * op->len[0] : 0);
	trace_minivmm_mmio(type, op->len[i], op->gpa[i],
			   mv_truncate(value, op->len[i]));
}

/*
 * Devices in the kernel, the vCPU's local APIC first, and the ring of writes
 * that can wait.
 */
static bool ask_devices(struct mv_vcpu *vcpu, bool write)
{
	unsigned int part = vcpu->mmio->part;
	struct operand *op = &vcpu->mmio->op[part / 2];
	u64 gpa = op->gpa[part & 1];
	u8 len = op->len[part & 1];
	void *data = part_data(op, part);
	bool done;

	if (write)
		done = mv_lapic_mmio_write(vcpu, gpa, data, len) ||
		       mv_iobus_write(vcpu->vm, MV_SPACE_MEMORY, gpa, len,
				      data) ||
		       mv_coalesced_write(vcpu->vm, MV_SPACE_MEMORY, gpa, len,
					  data);
	else
		done = mv_lapic_mmio_read(vcpu, gpa, data, len) ||
		       mv_iobus_read(vcpu->vm, MV_SPACE_MEMORY, gpa, len,
				     data);
	if (done)
		trace_part(op, part, write ? MV_TRACE_MMIO_WRITE :
					     MV_TRACE_MMIO_READ);
	return done;
}

/* True if the part that m->part says has been read or written. */
static bool ask_kernel(struct mv_vcpu *vcpu, bool write)
{
	if (!vcpu->lapic && !mv_has_devices(vcpu->vm))
		return false;
	return ask_devices(vcpu, write);
}

/* Let user space access the part of a device that m->part says. */
static int ask_user(struct mv_vcpu *vcpu, bool write,
		    int (*complete)(struct mv_vcpu *vcpu))
{
	struct mv_mmio *m = vcpu->mmio;
	struct operand *op = &m->op[m->part / 2];
	struct minivmm_run *run = vcpu->run;
	u8 len = op->len[m->part & 1];

	vcpu->stats.mmio_exits++;
	run->exit_reason = MINIVMM_EXIT_MMIO;
	run->mmio.phys_addr = op->gpa[m->part & 1];
	run->mmio.len = len;
	run->mmio.is_write = write;
	if (write) {
		memcpy(run->mmio.data, part_data(op, m->part), len);
		trace_part(op, m->part, MV_TRACE_MMIO_WRITE);
	}
	vcpu->complete = complete;
	return 0;
}

/* Write what belongs to devices, one part at a time. */
static int write_devices(struct mv_vcpu *vcpu)
{
	struct mv_mmio *m = vcpu->mmio;

	while (m->to_device) {
		m->part = __ffs(m->to_device);
		m->to_device &= m->to_device - 1;
		if (!ask_kernel(vcpu, true))
			return ask_user(vcpu, true, write_devices);
	}
	return 1;
}

/* Write what belongs to RAM, and note what is left for devices. */
static int write_ram(struct mv_vcpu *vcpu)
{
	struct mv_mmio *m = vcpu->mmio;
	unsigned long left;
	int ret;

	m->to_device = 0;
	for (left = m->to_write; left; left &= left - 1) {
		unsigned int part = __ffs(left);

		ret = write_part(vcpu, &m->op[part / 2], part);
		if (ret == -ENXIO)
			m->to_device |= BIT(part);
		else if (ret)
			return ret;
	}
	return 0;
}

static int execute(struct mv_vcpu *vcpu)
{
	struct result res = { .rflags = vcpu->rflags };
	int ret;

	compute(vcpu, &res);
	ret = write_ram(vcpu);
	if (ret)
		return ret;
	commit(vcpu, &res);
	return write_devices(vcpu);
}

static int finish_read(struct mv_vcpu *vcpu);

/* Read what is left to be read of the operands. */
static int read_operands(struct mv_vcpu *vcpu)
{
	struct mv_mmio *m = vcpu->mmio;
	int ret;

	for (; m->to_read; m->to_read &= m->to_read - 1) {
		m->part = __ffs(m->to_read);
		ret = read_part(vcpu, &m->op[m->part / 2], m->part);
		if (ret == -ENXIO && ask_kernel(vcpu, false))
			continue;
		if (ret == -ENXIO)
			return ask_user(vcpu, false, finish_read);
		if (ret)
			return ret;
	}
	return execute(vcpu);
}

/* User space has read a part, and left RIP alone: see mv_set_regs(). */
static int finish_read(struct mv_vcpu *vcpu)
{
	struct mv_mmio *m = vcpu->mmio;
	struct operand *op = &m->op[m->part / 2];

	memcpy(part_data(op, m->part), vcpu->run->mmio.data,
	       op->len[m->part & 1]);
	trace_part(op, m->part, MV_TRACE_MMIO_READ);
	m->to_read &= ~BIT(m->part);
	return read_operands(vcpu);
}

/* Fetch and decode */

static const struct mv_fault general_protection = {
	.vector = X86_TRAP_GP, .has_error = true,
};

static int give_fault(struct mv_vcpu *vcpu, const struct mv_fault *fault)
{
	mv_queue_fault(vcpu, fault);
	return 1;
}

/*
 * The CPU has fetched the whole instruction before it could access data: if we
 * cannot, its page is gone since, and the CPU shall see for itself.  Code in
 * device memory is what we cannot execute.
 */
static int decode_failed(struct mv_vcpu *vcpu, int error, const u8 *bytes,
			 unsigned int len)
{
	static const struct mv_fault ud = { .vector = X86_TRAP_UD };

	switch (error) {
	case MV_DECODE_UD:
		return give_fault(vcpu, &ud);
	case MV_DECODE_GP:
		return give_fault(vcpu, &general_protection);
	case MV_DECODE_TRUNCATED:
		if (!vcpu->exit.fault.fetch)
			return 1;
		fallthrough;
	default:
		return mv_emulation_failure(vcpu, bytes, len);
	}
}

/*
 * With PAE paging, MOV to CR3 reads the four PDPTEs. What is read where no memory
 * is has reserved bits set: #GP(0) (SDM vol. 3, 4.4.1).
 */
static bool loads_pdptes(struct mv_vcpu *vcpu, const u8 *bytes, int len)
{
	return !vcpu->exit.fault.operand && !vcpu->exit.fault.fetch &&
	       mv_pae_paging(vcpu) && len >= 3 && bytes[0] == 0x0f &&
	       bytes[1] == 0x22 && (bytes[2] & 0x38) == 0x18;
}

static int emulate(struct mv_vcpu *vcpu)
{
	struct mv_mmio *m = vcpu->mmio;
	struct mv_fault fault = {};

	if (m->insn->rep &&
	    !read_reg(vcpu, MV_RCX, false, m->insn->addr_size)) {
		vcpu->exit.insn_len = m->insn->len;
		mv_skip_insn(vcpu);
		return 1;
	}
	if (plan(vcpu, &fault))
		return give_fault(vcpu, &fault);
	return read_operands(vcpu);
}

static int decode(struct mv_vcpu *vcpu, const u64 bytes[2], unsigned int len)
{
	struct mv_mmio *m = vcpu->mmio;

	return mv_decode_again(&m->decoded, vcpu->rip, bytes, len,
			       insn_mode(vcpu), &m->insn);
}

/*
 * A plain store of a driver's: in 64-bit mode, where segments but FS and GS do
 * nothing, within a page, and at the offset that the CPU has reported.
 */
static bool is_plain_store(const struct mv_vcpu *vcpu)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	unsigned int offset = offset_in_page(vcpu->exit.fault.gpa);
	u64 address;

	if (insn->op != MV_OP_MOV || !insn->writes ||
	    insn->mem.seg >= MV_INSN_FS || !mv_is_64bit(vcpu) ||
	    !vcpu->exit.fault.write || !vcpu->exit.fault.operand)
		return false;
	address = effective_address(vcpu, insn, &insn->mem);
	return offset_in_page(address) == offset &&
	       offset + insn->mem_size <= PAGE_SIZE;
}

/* Does it go to a device that takes it inside the run section? */
static bool store_now(struct mv_vcpu *vcpu)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u64 gpa = vcpu->exit.fault.gpa, value;

	if (!is_plain_store(vcpu))
		return false;
	value = insn->form == MV_FORM_MI ? (u64)insn->imm : insn_reg(vcpu);
	value = mv_truncate(value, insn->mem_size);
	if (!mv_lapic_mmio_write(vcpu, gpa, &value, insn->mem_size) &&
	    !mv_ring_memory(vcpu, gpa, insn->mem_size, value))
		return false;
	trace_minivmm_mmio(MV_TRACE_MMIO_WRITE, insn->mem_size, gpa, value);
	return true;
}

/* What emulate() will take of the vCPU's state: better fetched now */
static u32 operand_state(const struct mv_vcpu *vcpu)
{
	const struct mv_insn *insn = vcpu->mmio->insn;
	u32 groups = mv_linear_state(vcpu, (enum mv_seg)insn->mem.seg);

	if (has_two_operands(insn))
		groups |= mv_linear_state(vcpu, MV_ES);
	return groups;
}

/**
 * mv_mmio_atomic() - the first part of the emulation, inside the run section
 * @vcpu: the vCPU; vcpu->exit.fault is filled in, MV_STATE_HOT, MV_STATE_CODE and
 *	MV_STATE_CRS are valid
 *
 * Fetches and decodes the instruction, if that does not have to sleep. If it is
 * a doorbell's, or for the local APIC, it is done and over.
 *
 * Context: inside the run section.
 *
 * Return: 0: enter the guest again. Else MV_EXIT_MMIO is the exit to make, and
 * these are the state groups to take along.
 */
u32 mv_mmio_atomic(struct mv_vcpu *vcpu)
{
	struct mv_fault unused;
	u64 bytes[2];
	int len;

	if (!vcpu->mmio)
		return MV_STATE_LAZY;
	vcpu->mmio->insn = NULL;
	pagefault_disable();
	len = mv_fetch_again(vcpu, &vcpu->mmio->code, bytes, &unused);
	pagefault_enable();
	if (len <= 0 || decode(vcpu, bytes, len))
		return MV_STATE_LAZY;
	if (!store_now(vcpu))
		return operand_state(vcpu) | MV_STATE_CODE;

	vcpu->stats.insn_emulation++;
	set_rflags(vcpu, vcpu->rflags & ~(u64)X86_EFLAGS_RF);
	vcpu->exit.insn_len = vcpu->mmio->insn->len;
	mv_skip_insn(vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(mv_mmio_atomic);

/* Where it may sleep. False: @ret is what mv_handle_mmio() returns. */
static bool decode_slowly(struct mv_vcpu *vcpu, int *ret)
{
	struct mv_fault fault = {};
	u64 bytes[2];
	int len, error;

	len = mv_fetch_again(vcpu, &vcpu->mmio->code, bytes, &fault);
	if (len == -EFAULT)
		*ret = give_fault(vcpu, &fault);
	else if (len < 0)
		*ret = mv_emulation_failure(vcpu, NULL, 0);
	if (len < 0)
		return false;
	if (loads_pdptes(vcpu, (u8 *)bytes, len)) {
		*ret = give_fault(vcpu, &general_protection);
		return false;
	}
	error = decode(vcpu, bytes, len);
	if (error)
		*ret = decode_failed(vcpu, error, (u8 *)bytes, len);
	return !error;
}

/**
 * mv_handle_mmio() - emulate the instruction at RIP, which touched a device
 * @vcpu: the vCPU, stopped by MV_EXIT_MMIO after mv_mmio_atomic()
 *
 * Of a repeated string instruction, one iteration: the guest executes it again
 * with the registers advanced, and events can come between.
 *
 * Context: vCPU's mutex held, outside the run section; may sleep.
 *
 * Return: 1 to go on with the guest, which may have been given a fault; 0 to
 * leave to user space, with MINIVMM_EXIT_MMIO and vcpu->complete set or with
 * an internal error that has the bytes of an instruction that we do not know;
 * or a negative errno.
 */
int mv_handle_mmio(struct mv_vcpu *vcpu)
{
	int ret;

	if (!vcpu->mmio)
		vcpu->mmio = kzalloc(sizeof(*vcpu->mmio), GFP_KERNEL_ACCOUNT);
	if (!vcpu->mmio)
		return -ENOMEM;
	vcpu->stats.insn_emulation++;
	if (!vcpu->mmio->insn && !decode_slowly(vcpu, &ret))
		return ret;
	return emulate(vcpu);
}
