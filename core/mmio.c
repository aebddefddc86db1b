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
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "alu.h"
#include "core.h"
#include "decode.h"
#include "trace.h"

#define NR_OPERANDS	2
#define NR_PARTS	(2 * NR_OPERANDS)

/**
 * struct operand - an operand in memory
 * @value: what was read, or is to be written
 * @data: the same as bytes
 * @gpa: where its parts are; the second one is at the start of a page
 * @len: their sizes in bytes, 0 if there is none
 * @device: the CPU has found no memory at gpa[0] for the access that faulted
 * @reads: the instruction reads it
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
	bool reads;
	bool writes;
};

/**
 * struct mv_mmio - the instruction under emulation
 * @insn: decoded
 * @op: insn.mem, and ES:rDI of MOVS and CMPS
 * @part: the part under way in the current phase: 2 * operand + part
 * @to_device: a bit for each part that has yet to be written to a device
 */
struct mv_mmio {
	struct mv_insn insn;
	struct operand op[NR_OPERANDS];
	unsigned int part;
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
	const struct mv_insn *insn = &vcpu->mmio->insn;

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
	       !has_two_operands(&vcpu->mmio->insn) &&
	       (vcpu->exit.fault.write || !op->writes) &&
	       offset_in_page(vcpu->exit.fault.gpa) == offset_in_page(gva);
}

static int translate(struct mv_vcpu *vcpu, struct operand *op,
		     const struct mv_insn_mem *mem, struct mv_fault *fault)
{
	const struct mv_insn *insn = &vcpu->mmio->insn;
	u32 access = mv_cpl_access(vcpu) | (op->writes ? MV_ACCESS_WRITE : 0);
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
	ret = mv_gva_to_gpa(vcpu, gva, access, &op->gpa[0], fault);
	if (ret || !op->len[1])
		return ret;

	gva += op->len[0];
	if (!mv_is_64bit(vcpu))
		gva = (u32)gva;
	return mv_gva_to_gpa(vcpu, gva, access, &op->gpa[1], fault);
}

/* Which operands there are, and where: all that the guest can get wrong. */
static int plan(struct mv_vcpu *vcpu, struct mv_fault *fault)
{
	static const struct mv_insn_mem es_di = {
		.base = MV_RDI, .index = MV_NO_REG, .scale = 1,
		.seg = MV_INSN_ES,
	};
	struct mv_mmio *m = vcpu->mmio;
	struct operand *op = m->op;
	int ret;

	memset(m->op, 0, sizeof(m->op));
	op[0].reads = m->insn.reads;
	op[0].writes = m->insn.writes;
	op[1].reads = m->insn.op == MV_OP_CMPS;
	op[1].writes = m->insn.op == MV_OP_MOVS;

	ret = translate(vcpu, &op[0], &m->insn.mem, fault);
	if (!ret && has_two_operands(&m->insn))
		ret = translate(vcpu, &op[1], &es_di, fault);
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
	const struct mv_insn *insn = &vcpu->mmio->insn;
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
	const struct mv_insn *insn = &vcpu->mmio->insn;
	u64 old = op->value;

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
	const struct mv_insn *insn = &vcpu->mmio->insn;
	u64 value = op->value;

	if (insn->op == MV_OP_MOVSX)
		value = mv_sign_extend(value, insn->mem_size);
	else if (insn->op != MV_OP_MOVZX)
		value = mv_alu(insn->op, insn->reg_size, insn_reg(vcpu), value,
			       &res->rflags);
	if (insn->op != MV_OP_CMP)
		set_insn_reg(insn, res, value);
}

static void compute_string(const struct mv_vcpu *vcpu, struct operand *op,
			   struct result *res)
{
	const struct mv_insn *insn = &vcpu->mmio->insn;

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

	switch (m->insn.form) {
	case MV_FORM_MR:
		compute_to_memory(vcpu, &m->op[0], insn_reg(vcpu), res);
		break;
	case MV_FORM_MI:
		compute_to_memory(vcpu, &m->op[0], m->insn.imm, res);
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

static void add_to_reg(struct mv_vcpu *vcpu, u8 reg, s64 n)
{
	unsigned int size = vcpu->mmio->insn.addr_size;

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
static bool commit_string(struct mv_vcpu *vcpu)
{
	const struct mv_insn *insn = &vcpu->mmio->insn;
	s64 step = insn->mem_size;

	if (vcpu->rflags & X86_EFLAGS_DF)
		step = -step;
	if (insn->op != MV_OP_STOS && insn->op != MV_OP_SCAS)
		add_to_reg(vcpu, MV_RSI, step);
	if (insn->op != MV_OP_LODS)
		add_to_reg(vcpu, MV_RDI, step);
	if (!insn->rep)
		return false;

	add_to_reg(vcpu, MV_RCX, -1);
	return read_reg(vcpu, MV_RCX, false, insn->addr_size) &&
	       condition_holds(insn, vcpu->rflags);
}

/*
 * RF is set between the iterations of a repeated instruction, so that its
 * breakpoint triggers once only (SDM vol. 3, 17.3.1.1).
 */
static void commit(struct mv_vcpu *vcpu, const struct result *res)
{
	const struct mv_insn *insn = &vcpu->mmio->insn;
	bool again = false;

	if (res->writes_reg)
		write_reg(vcpu, res->reg, res->high_byte, res->reg_size,
			  res->value);
	vcpu->rflags = res->rflags & ~(u64)X86_EFLAGS_RF;
	if (insn->form == MV_FORM_STRING)
		again = commit_string(vcpu);
	if (again)
		vcpu->rflags |= X86_EFLAGS_RF;
	vcpu->dirty |= MV_STATE_RFLAGS;

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
 * Devices in the kernel, the vCPU's local APIC first. True if the part that
 * m->part says was one's, and is read or written.
 */
static bool ask_kernel(struct mv_vcpu *vcpu, bool write)
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

/* Let user space access the part of a device that m->part says. */
static int ask_user(struct mv_vcpu *vcpu, bool write,
		    int (*complete)(struct mv_vcpu *vcpu))
{
	struct mv_mmio *m = vcpu->mmio;
	struct operand *op = &m->op[m->part / 2];
	struct minivmm_run *run = vcpu->run;
	u8 len = op->len[m->part & 1];

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
	unsigned int part;
	int ret;

	m->to_device = 0;
	for (part = 0; part < NR_PARTS; part++) {
		struct operand *op = &m->op[part / 2];

		if (!op->writes || !op->len[part & 1])
			continue;
		ret = write_part(vcpu, op, part);
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

/* Read all operands, from m->part on. */
static int read_operands(struct mv_vcpu *vcpu)
{
	struct mv_mmio *m = vcpu->mmio;
	int ret;

	for (; m->part < NR_PARTS; m->part++) {
		struct operand *op = &m->op[m->part / 2];
		unsigned int i = m->part & 1;

		if (!op->reads || !op->len[i])
			continue;
		ret = read_part(vcpu, op, m->part);
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
	m->part++;
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

	m->part = 0;
	if (m->insn.rep &&
	    !read_reg(vcpu, MV_RCX, false, m->insn.addr_size)) {
		vcpu->exit.insn_len = m->insn.len;
		mv_skip_insn(vcpu);
		return 1;
	}
	if (plan(vcpu, &fault))
		return give_fault(vcpu, &fault);
	return read_operands(vcpu);
}

/**
 * mv_handle_mmio() - emulate the instruction at RIP, which touched a device
 * @vcpu: the vCPU, stopped by MV_EXIT_GPA_FAULT where no memory slot is
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
	struct mv_fault fault = {};
	u8 bytes[MV_INSN_MAX];
	int len, ret;

	if (!vcpu->mmio)
		vcpu->mmio = kzalloc(sizeof(*vcpu->mmio), GFP_KERNEL_ACCOUNT);
	if (!vcpu->mmio)
		return -ENOMEM;

	mv_need(vcpu, MV_STATE_SEGS | MV_STATE_CRS);
	len = mv_fetch_insn(vcpu, bytes, sizeof(bytes), &fault);
	if (len == -EFAULT)
		return give_fault(vcpu, &fault);
	if (len == -ENXIO)
		return mv_emulation_failure(vcpu, bytes, 0);
	if (len < 0)
		return len;

	if (loads_pdptes(vcpu, bytes, len))
		return give_fault(vcpu, &general_protection);
	ret = mv_decode(&vcpu->mmio->insn, bytes, len, insn_mode(vcpu));
	if (ret)
		return decode_failed(vcpu, ret, bytes, len);
	return emulate(vcpu);
}
