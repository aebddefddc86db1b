// SPDX-License-Identifier: GPL-2.0
/*
 * The differences that are explained, and what to do so that they hide nothing:
 * the program is run again without their cause.
 */
#include "diff.h"

/* ---- where in the program -------------------------------------------------- */

static int insn_at(const struct program *p, u64 rip)
{
	u64 offset = rip - p->org;
	int i;

	for (i = 0; i < p->nr; i++)
		if (offset >= p->start[i] && offset < p->start[i + 1])
			return i;
	return -1;
}

static u64 end_of(const struct program *p, int nr)
{
	return p->org + p->start[nr + 1];
}

static int insn_ending(const struct program *p, u64 rip)
{
	return rip > p->org && rip <= p->org + p->len ? insn_at(p, rip - 1) : -1;
}

/* The first byte or, behind 0f, the second with 0x0f00; -1: there is none. */
static int opcode_of(const u8 *code, u32 len, int bits, bool *rep)
{
	u32 i;

	*rep = false;
	for (i = 0; i < len; i++) {
		switch (code[i]) {
		case 0xf2:
		case 0xf3:
			*rep = true;
			break;
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
		case 0x66: case 0x67: case 0xf0:
			break;
		case 0x0f:
			return 0x0f00 | code[i + 1];
		default:
			if (bits == 64 && code[i] >> 4 == 4)
				break;
			return code[i];
		}
	}
	return -1;
}

static int opcode(const struct program *p, int nr, bool *rep)
{
	*rep = false;
	if (nr < 0)
		return -1;
	return opcode_of(p->code + p->start[nr], p->start[nr + 1] - p->start[nr],
			 mode_bits(p->mode), rep);
}

static bool is_string(int op)
{
	return (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf) ||
	       (op >= 0x6c && op <= 0x6f);
}

static bool string_at(const struct program *p, u64 rip)
{
	bool rep;

	return is_string(opcode(p, insn_at(p, rip), &rep));
}

static bool rep_string_at(const struct program *p, u64 rip)
{
	bool rep;

	return is_string(opcode(p, insn_at(p, rip), &rep)) && rep;
}

static bool is_out(int op)
{
	return op == 0xe6 || op == 0xe7 || (op >= 0xee && op <= 0xef) ||
	       op == 0x6e || op == 0x6f;
}

static bool is_access(const struct event *ev)
{
	return ev && ev->type <= EV_WRITE;
}

static bool is_exception(const struct event *ev)
{
	return ev && ev->type == EV_EXCEPTION;
}

static bool is_interrupt(const struct event *ev)
{
	return is_exception(ev) && (ev->size == NMI_VECTOR || ev->size >= 32);
}

/*
 * The instruction that made an access. When a client sees a write RIP may be
 * past it; so too for some OUTs, but an iteration leaves it where it is.
 */
static int insn_of(const struct program *p, const struct event *ev)
{
	bool rep;

	if (ev->type == EV_OUT ? is_out(opcode(p, insn_at(p, ev->rip), &rep)) :
	    ev->type != EV_WRITE)
		return insn_at(p, ev->rip);
	if (rep_string_at(p, ev->rip) && ev->type == EV_WRITE)
		return insn_at(p, ev->rip);
	return insn_ending(p, ev->rip);
}

/* ---- the rules --------------------------------------------------------------- */

static bool is_step(const struct event *ev)
{
	/* or a double fault, if it cannot be delivered */
	return is_exception(ev) &&
	       (ev->size == DB_VECTOR || ev->size == DF_VECTOR) &&
	       (ev->data & RFLAGS_TF);
}

/* In real mode the program may have exchanged the vector of #DB for another. */
static bool is_step_of(const struct program *p, const struct event *ev)
{
	return is_step(ev) || (p->mode == REAL16 && is_exception(ev) &&
			       (ev->data & RFLAGS_TF));
}

/* The last thing both did was to ask for a write or an OUTS, with TF set. */
static bool asked_stepping(const struct difference *d)
{
	const struct event *ev = d->before;
	bool rep;
	int op;

	if (!is_access(ev) || !(ev->rflags & RFLAGS_TF))
		return false;
	op = opcode(d->p, insn_of(d->p, ev), &rep);
	return op >= 0 && (ev->type == EV_WRITE || is_string(op));
}

/* Where the instruction ends that made the last access of both */
static u64 after_access(const struct difference *d)
{
	return end_of(d->p, insn_of(d->p, d->before));
}

/* It is said only of the last access of the two that may wait. */
static bool only_ready_differs(const struct difference *d, u8 kvm, u8 ours)
{
	struct event other;

	if (!is_access(d->k) || !is_access(d->o) || d->k->ready != kvm ||
	    d->o->ready != ours)
		return false;
	other = *d->k;
	other.ready = ours;
	return same_event(&other, d->o);
}

/*
 * KVM forgets the single-step trap of an instruction whose write, or OUTS, user
 * space carries out (x86_emulate_instruction(): r is 0 then), and of all but the
 * last iteration of a string instruction. The trap comes after each. So when it
 * asks for the write no #DB waits.
 */
static bool lost_step(const struct difference *d)
{
	bool asked = asked_stepping(d);

	if (only_ready_differs(d, 1, 0))
		return d->o->rflags & RFLAGS_TF;
	/* where the #DB goes there is no handler of ours any more */
	if (!d->o)
		return asked && d->ours->stop != STOP_END;
	/* the #DB has been taken, but its handler's first instruction faults */
	if (is_exception(d->o) && d->o->addr == STUBS_GPA + 4 * DB_VECTOR)
		return asked;
	/* RIP is past a write already; in code of another size that is all we know. */
	if (asked && is_step_of(d->p, d->o) &&
	    (d->o->addr == after_access(d) || d->o->addr == d->before->rip))
		return true;
	if (!is_exception(d->o) || !string_at(d->p, d->o->addr))
		return false;
	return is_step(d->o) ||
	       (is_step_of(d->p, d->o) && is_access(d->before) &&
		insn_of(d->p, d->before) == insn_at(d->p, d->o->addr));
}

/*
 * KVM does not advance past a repeated string instruction with its last
 * iteration, but has it executed again with a count of 0. An event in between
 * sees it: we return after the instruction, as a CPU does.
 */
static bool rep_not_over(const struct difference *d)
{
	static struct record moved;
	u64 rip = is_exception(d->k) ? d->k->addr : d->kvm->regs.rip;
	int insn = insn_at(d->p, rip);
	u64 next;

	if (insn < 0 || !rep_string_at(d->p, rip))
		return false;
	next = end_of(d->p, insn);
	if (is_exception(d->k) && is_exception(d->o))
		return d->k->size == d->o->size && d->o->addr == next &&
		       !memcmp(d->k->gpr, d->o->gpr, sizeof(d->k->gpr)) &&
		       !(d->k->gpr[2] & 0xffff);
	/* it could not be delivered */
	moved = *d->kvm;
	moved.regs.rip = next;
	return moved.stop == STOP_SHUTDOWN && !first_difference(&moved, d->ours);
}

/*
 * We take an NMI or interrupt between two iterations, KVM after some more; to us
 * the first iteration ends the shadow of a MOV SS, to KVM the last.
 */
static bool rep_interrupted(const struct difference *d)
{
	if (only_ready_differs(d, 0, 1))
		return d->before && d->before->type == d->o->type &&
		       (rep_string_at(d->p, d->o->rip) ||
			rep_string_at(d->p, d->before->rip));
	if (!d->p->inject)
		return false;
	/* it could not be delivered */
	if (!d->o)
		return d->k && d->ours->stop == STOP_SHUTDOWN &&
		       rep_string_at(d->p, d->ours->regs.rip);
	if (d->o->type == EV_WINDOW)
		return rep_string_at(d->p, d->o->rip) && d->before &&
		       (is_exception(d->k) ? d->k->addr == d->o->rip :
			d->k && d->k->type == d->before->type);
	return is_exception(d->o) && rep_string_at(d->p, d->o->addr) &&
	       (is_interrupt(d->o) || d->o->size == DF_VECTOR);
}

/*
 * A fault in a later iteration of REP CMPS or SCAS: the flags are as before the
 * instruction. To us each iteration is an instruction of its own, as it would be
 * if an interrupt came in between; nothing depends on it, as these instructions
 * only write flags.
 */
#define ARITHMETIC	0x8d5ULL

static bool rep_flags(const struct difference *d)
{
	static struct record masked;
	u64 rip = d->o ? d->o->addr : d->ours->regs.rip;
	struct event event;
	bool rep;
	int op = opcode(d->p, insn_at(d->p, rip), &rep);

	if (!rep || (op != 0xa6 && op != 0xa7 && op != 0xae && op != 0xaf))
		return false;
	if (is_exception(d->k) && is_exception(d->o)) {
		event = *d->o;
		event.data = (event.data & ~ARITHMETIC) |
			     (d->k->data & ARITHMETIC);
		return same_event(&event, d->k);
	}
	masked = *d->ours;
	masked.regs.rflags = (masked.regs.rflags & ~ARITHMETIC) |
			     (d->kvm->regs.rflags & ARITHMETIC);
	return masked.stop == STOP_SHUTDOWN && !first_difference(d->kvm, &masked);
}

/*
 * An interrupt that the client queues when KVM says that it may is lost if the
 * instruction that it waited for ends in a single-step trap.
 */
static bool lost_interrupt(const struct difference *d)
{
	if (d->p->inject != INJECT_LATE || !is_step(d->before) ||
	    !is_exception(d->o))
		return false;
	return d->o->size == DF_VECTOR ||
	       (is_interrupt(d->o) && d->before->addr == d->o->addr);
}

static bool is_claimed(int op)
{
	switch (op) {
	case 0x06: case 0x07: case 0x16: case 0x17: case 0x1e: case 0x1f:
	case 0x50 ... 0x61: case 0x68: case 0x6c ... 0x6f: case 0x9a:
	case 0x9c: case 0x9d: case 0xc2: case 0xc3: case 0xc8 ... 0xcb:
	case 0xcf: case 0xe8:			/* the stack; INS, OUTS */
	case 0xc0: case 0xc1: case 0xd0 ... 0xd3:	/* shifts */
	case 0x0f01:				/* LGDT and the like */
	case 0x0fa0: case 0x0fa1: case 0x0fa8: case 0x0fa9:
		return false;
	default:
		return true;
	}
}

/* KVM does not do these to the end either: they fault, or it tries forever. */
static bool kvm_stays_at(const struct difference *d, u64 rip)
{
	if (!d->k)
		return d->kvm->stop == STOP_SPUN;
	return is_exception(d->k) && d->k->addr == rip &&
	       (d->k->size == PF_VECTOR || d->k->size == DB_VECTOR);
}

/*
 * With device memory minivmm does no INS and OUTS and no shifts, has no stack
 * there and no operand of LGDT, LIDT, SGDT and SIDT: documented in abi.md.
 */
static bool not_claimed(const struct difference *d)
{
	int insn, bits = mode_bits(d->p->mode);
	bool rep;

	/* in the program or outside it */
	if (!d->o && d->ours->stop == STOP_EMULATION)
		return !is_claimed(opcode_of(d->ours->insn, 14, bits, &rep)) &&
		       (is_access(d->k) ||
			kvm_stays_at(d, d->ours->regs.rip));
	if (is_exception(d->o) && d->o->size == UD_VECTOR) {
		insn = insn_at(d->p, d->o->addr);
		return !is_claimed(opcode_of(d->o->insn, 14, bits, &rep)) &&
		       (is_access(d->k) ? insn_of(d->p, d->k) == insn :
			kvm_stays_at(d, d->o->addr));
	}
	/* where the #UD goes there is no handler of ours any more */
	return is_access(d->k) &&
	       !is_claimed(opcode(d->p, insn_of(d->p, d->k), &rep)) &&
	       (!is_access(d->o) || insn_at(d->p, d->o->rip) < 0);
}

/* What a memory operand can raise at an instruction of the program */
static bool is_memory_fault(const struct program *p, const struct event *ev,
			    int insn)
{
	return is_exception(ev) && insn_at(p, ev->addr) == insn &&
	       (ev->size == GP_VECTOR || ev->size == SS_VECTOR ||
		ev->size == PF_VECTOR || ev->size == DF_VECTOR);
}

/*
 * An access that wraps at 4 GiB in a segment of 4 GiB may fault or not. RIP is at
 * the instruction, or past it if it was a write.
 */
static bool wraps(const struct difference *d)
{
	if (mode_bits(d->p->mode) == 64 || !d->k ||
	    d->k->addr + d->k->size != 1ULL << 32 ||
	    (d->k->type != EV_READ && d->k->type != EV_WRITE))
		return false;
	return d->o ? is_memory_fault(d->p, d->o, insn_at(d->p, d->k->rip)) ||
		      is_memory_fault(d->p, d->o,
				      insn_ending(d->p, d->k->rip)) :
		      d->ours->stop != STOP_END;
}

/*
 * When a client sees an OUT to port 0x7e, KVM is past it, and a single-step trap
 * waits (KVM_X86_QUIRK_OUT_7E_INC_RIP).
 */
static bool out_7e(const struct difference *d)
{
	return only_ready_differs(d, 0, 1) && d->k->type == EV_OUT &&
	       d->k->addr == 0x7e && (d->k->rflags & RFLAGS_TF);
}

/*
 * #DB clears DR7.GD, except on KVM if the guest has set it without an exit: KVM
 * looks into a copy of DR7 that is old then.
 */
static bool general_detect(const struct difference *d)
{
	static struct record cleared;

	cleared = *d->kvm;
	cleared.dr.dr7 &= ~DR7_GD;
	return (d->kvm->dr.dr7 & DR7_GD) && !first_difference(&cleared, d->ours);
}

/*
 * MOVS and CMPS have two operands. KVM reads the first before it finds that it
 * cannot have the second; we access nothing then. The SDM allows both: faults
 * come before the instruction is complete, but in which order an instruction
 * accesses its operands it does not say. Of INS, likewise: KVM has read the port
 * by the time that it faults.
 */
static bool first_operand_read(const struct difference *d)
{
	bool rep;
	int insn, op;

	if (!is_access(d->k))
		return false;
	insn = insn_at(d->p, d->k->rip);
	op = opcode(d->p, insn, &rep);
	if (d->k->type == EV_READ ? op < 0xa4 || op > 0xa7 :
	    d->k->type != EV_IN || (op != 0x6c && op != 0x6d))
		return false;
	return d->o ? is_memory_fault(d->p, d->o, insn) :
		      d->ours->stop != STOP_END;
}

/* The instruction at RIP is not what wants the device: the event does. */
static bool emulates_delivery(const struct difference *d)
{
	return !d->o && d->ours->stop == STOP_DELIVERY;
}

/*
 * A repeated string instruction that writes over itself: how many iterations are
 * done before the CPU looks at the new bytes depends on where it is interrupted,
 * by an EPT violation, say.
 */
static bool rep_overwrites_itself(const struct difference *d)
{
	/* of the exception, perhaps, that the new bytes are good for */
	bool raised = is_exception(d->k) && is_exception(d->o) &&
		      d->k->addr == d->o->addr && d->k->size == d->o->size;
	u64 k_rdi = raised ? d->k->gpr[5] : d->kvm->regs.rdi;
	u64 o_rdi = raised ? d->o->gpr[5] : d->ours->regs.rdi;
	u64 done = raised ? d->o->gpr[2] - d->k->gpr[2] :
			    d->ours->regs.rcx - d->kvm->regs.rcx;
	u64 moved = k_rdi - o_rdi, at;
	int i, op;
	bool rep;

	if (!raised && (d->k || d->o))
		return false;
	if (!done || (moved != done && moved != 2 * done && moved != 4 * done &&
		      moved != 8 * done))
		return false;
	for (i = 0; i < d->p->nr; i++) {
		op = opcode(d->p, i, &rep);
		at = d->p->org + d->p->start[i];
		if (rep && is_string(op) && op != 0xa6 && op != 0xa7 &&
		    k_rdi > at && o_rdi > at)
			return true;
	}
	return false;
}

/*
 * Alignment is checked by the CPU, but by neither of us in what we emulate: KVM
 * emulates all iterations that are about a device, we one at a time.
 */
static bool unaligned(const struct difference *d)
{
	return is_exception(d->o) && d->o->size == AC_VECTOR &&
	       rep_string_at(d->p, d->o->addr) && is_access(d->k) &&
	       insn_at(d->p, d->k->rip) == insn_at(d->p, d->o->addr);
}

/* Likewise the data breakpoints that the guest has set. */
static bool unwatched(const struct difference *d)
{
	return is_exception(d->o) && d->o->size == DB_VECTOR &&
	       !(d->o->data & RFLAGS_TF) && rep_string_at(d->p, d->o->addr) &&
	       is_access(d->before) &&
	       insn_at(d->p, d->before->rip) == insn_at(d->p, d->o->addr);
}

/* Bits of IA32_MISC_ENABLE and IA32_MCG_STATUS that are not there: see abi.md. */
static bool wrmsr_refused(const struct difference *d)
{
	bool rep;

	return is_exception(d->o) && d->o->size == GP_VECTOR &&
	       opcode(d->p, insn_at(d->p, d->o->addr), &rep) == 0x0f30 &&
	       ((u32)d->o->gpr[2] == 0x1a0 || (u32)d->o->gpr[2] == 0x17a);
}

const struct rule rules[NR_RULES] = {
	{ "KVM loses the single-step trap of an MMIO write (SDM 3, 18.3.1.4)",
	  lost_step, DROP_INSN },
	{ "KVM repeats a string instruction with a count of 0 (SDM 2, REP)",
	  rep_not_over, DROP_INJECTION },
	{ "KVM takes no interrupt between iterations (SDM 2, REP)",
	  rep_interrupted, DROP_INJECTION },
	{ "KVM undoes the flags of all iterations (SDM 2, REP)",
	  rep_flags, DROP_INSN },
	{ "KVM loses an interrupt to a single-step trap (SDM 3, 6.9)",
	  lost_interrupt, DROP_INJECTION },
	{ "minivmm does not do this with device memory (abi.md)",
	  not_claimed, DROP_INSN },
	{ "an access wraps at 4 GiB (SDM 3, 5.3)",
	  wraps, DROP_INSN },
	{ "KVM leaves DR7.GD set (SDM 3, 18.2.4)",
	  general_detect, NO_REST },
	{ "KVM reads one operand though the other faults (SDM 3, 9.2)",
	  first_operand_read, DROP_INSN },
	{ "KVM emulates while an event is delivered (SDM 3, 28.2.4)",
	  emulates_delivery, DROP_INSN },
	{ "alignment of an emulated access is not checked (SDM 3, 6.15)",
	  unaligned, DROP_INSN },
	{ "data breakpoints of an emulated access do not fire (SDM 3, 18.2.4)",
	  unwatched, DROP_INSN },
	{ "KVM ignores reserved bits of these MSRs (SDM 2, WRMSR)",
	  wrmsr_refused, DROP_INSN },
	{ "KVM is past an OUT to port 0x7e (abi.md)",
	  out_7e, DROP_INSN },
	{ "a repeated instruction overwrites itself (SDM 3, 9.1.3)",
	  rep_overwrites_itself, DROP_INSN },
};

/* NULL: we cannot explain it. */
const struct rule *explain(const struct difference *d)
{
	int i;

	for (i = 0; i < NR_RULES; i++)
		if (rules[i].explains(d))
			return &rules[i];
	return NULL;
}

/* ---- the program without it ---------------------------------------------------- */

/* One NOP, however long: what single-steps has no more steps than before. */
#define NOP_MAX	15

static u8 nop_byte(const struct program *p, int nr, u32 at)
{
	u32 offset = at - p->start[nr];

	return offset % NOP_MAX == NOP_MAX - 1 || at + 1 == p->start[nr + 1] ?
	       0x90 : 0x66;
}

bool is_dropped(const struct program *p, int nr)
{
	u32 i;

	for (i = p->start[nr]; i < p->start[nr + 1]; i++)
		if (p->code[i] != 0x90 && p->code[i] != nop_byte(p, nr, i))
			return false;
	return true;
}

bool drop_insn(struct program *p, int nr)
{
	u32 i;

	if (nr < 0 || is_dropped(p, nr))
		return false;
	for (i = p->start[nr]; i < p->start[nr + 1]; i++)
		p->code[i] = nop_byte(p, nr, i);
	return true;
}

static bool drop_around(struct program *p, u64 rip, bool fault)
{
	int at = insn_at(p, rip), ending = insn_ending(p, rip);

	if (rep_string_at(p, rip))
		return drop_insn(p, at) | drop_insn(p, ending);
	return drop_insn(p, fault ? at : ending) ||
	       drop_insn(p, fault ? ending : at);
}

static bool drop_event(struct program *p, const struct event *ev)
{
	if (is_exception(ev))
		return drop_around(p, ev->addr,
				   ev->size == 0 || (ev->size > OF_VECTOR &&
						     ev->size < 32));
	if (is_access(ev))
		return drop_insn(p, insn_of(p, ev));
	return ev && drop_around(p, ev->rip, false);
}

/* It is in code that is not the program: what leads there goes, sooner or later. */
static bool drop_last(struct program *p)
{
	int i;

	for (i = p->nr - 1; i >= 0; i--)
		if (drop_insn(p, i))
			return true;
	return false;
}

bool drop_cause(const struct difference *d, const struct rule *rule,
		struct program *p)
{
	*p = *d->p;
	p->changes++;
	if (rule->remedy == NO_REST)
		return false;
	if (rule->remedy == DROP_INJECTION && p->inject) {
		p->inject = INJECT_NONE;
		return true;
	}
	return drop_event(p, d->o) || drop_event(p, d->k) ||
	       drop_event(p, d->before) ||
	       drop_around(p, d->ours->regs.rip, true) ||
	       drop_around(p, d->kvm->regs.rip, true) || drop_last(p);
}
