// SPDX-License-Identifier: GPL-2.0
/* What runs inside a C guest besides the test's own functions. */
#include "guest.h"

struct guest_extable_entry {
	u64 insn, fixup;
};

/* Bounds that the linker makes of the section that guest_try() fills */
extern const struct guest_extable_entry __start_guest_extable[];
extern const struct guest_extable_entry __stop_guest_extable[];

void guest_exception(struct guest_regs *regs);
void guest_done(void);
u64 guest_to_user(u64 (*fn)(u64 arg), u64 arg, u64 user_rsp);

guest_handler_t guest_handlers[256];
volatile u64 event_counts[256];

void count_event(struct guest_regs *regs)
{
	event_counts[regs->vector]++;
}

static void call_host(struct guest_call *call)
{
	asm volatile("" : : : "memory");
	outl(GUEST_CALL_PORT, (u32)(uintptr_t)call);
}

void guest_sync(u64 stage, u64 value)
{
	struct guest_call call = {
		.type = GUEST_SYNC,
		.args = { stage, value },
	};

	call_host(&call);
}

void guest_done(void)
{
	struct guest_call call = { .type = GUEST_DONE };

	call_host(&call);
}

void guest_abort(const char *file, u32 line, const char *text, u64 a, u64 b)
{
	struct guest_call call = {
		.type = GUEST_ABORT,
		.line = line,
		.file = (uintptr_t)file,
		.text = (uintptr_t)text,
		.args = { a, b },
	};

	for (;;)
		call_host(&call);
}

void guest_exception(struct guest_regs *regs)
{
	const struct guest_extable_entry *entry;
	struct guest_call call = {
		.type = GUEST_EXCEPTION,
		.args = { regs->vector, regs->error, regs->rip, read_cr2() },
	};

	for (entry = __start_guest_extable; entry < __stop_guest_extable;
	     entry++) {
		if (entry->insn != regs->rip)
			continue;
		regs->rip = entry->fixup;
		regs->r9 = regs->vector;
		regs->r10 = regs->error;
		return;
	}
	if (guest_handlers[regs->vector]) {
		guest_handlers[regs->vector](regs);
		return;
	}
	for (;;)
		call_host(&call);
}

u64 guest_call_user(u64 (*fn)(u64 arg), u64 arg)
{
	u64 rsp;

	/* Each vCPU's 64 KiB of stack hold the ring 3 stack further down. */
	asm volatile("mov %%rsp, %0" : "=r"(rsp));
	rsp &= ~(STACK_SIZE - 1);
	return guest_to_user(fn, arg, rsp + STACK_SIZE - 0x8000);
}
