// SPDX-License-Identifier: GPL-2.0
/*
 * core/decode.c, alu.c and mmio.c together, against the CPU: random 64-bit
 * instructions of all forms that we claim run natively on an arena of memory,
 * and are emulated on a copy of it whose pages are RAM or a device at random.
 * Registers, flags and memory must be equal afterwards.
 *
 * On the way: nothing but memory may have changed when user space is asked to
 * read for the guest, and nothing at all when the guest is given a fault.
 */
#include <asm/processor-flags.h>
#include <linux/kernel.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alu.h"
#include "core.h"
#include "decode.h"
#include "fetch.h"
#include "kselftest.h"
#include "rand.h"

#define SAMPLES		200000
#define ARENA_PAGES	4
#define ARENA_SIZE	(ARENA_PAGES * PAGE_SIZE)
#define NO_PAGE		~0UL

#define ARITHMETIC_FLAGS (X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			  X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

struct regs {
	u64 gpr[MV_NR_REGS];
	u64 rflags;
	u64 host_rsp;
};

/* One mapping below 2 GiB, so that any displacement reaches all of it. */
static struct page {
	u8 code[4096];
	union {
		struct regs native;
		u8 page[4096];
	};
	u8 arena[ARENA_SIZE];	/* the CPU's; also where the guest has it */
} *map;

struct sample {
	u8 bytes[MV_INSN_MAX];
	struct mv_insn insn;
	u8 *at;			/* where it is in map->code */
	struct regs before;
	u8 memory[ARENA_SIZE];
};

static u8 model[ARENA_SIZE];	/* the emulation's memory */
static unsigned int devices;	/* a bit for each page that is a device's */
static unsigned long fault_page = NO_PAGE;
static unsigned int fetchable = MV_INSN_MAX;
static bool faults_disabled, code_is_away;
static bool has_doorbells;	/* devices take stores inside the run section */
static unsigned int rings;
static bool faulted;
static struct mv_fault last_fault;

static struct minivmm_run run_page;
static struct mv_vm vm = { .iobus = (void *)&run_page };	/* not NULL */
static struct mv_vcpu vcpu = { .vm = &vm, .run = &run_page };

static const char *reason;

static bool differ(const char *what)
{
	reason = what;
	return false;
}

/* The kernel that mmio.c sees: flat segments, memory mapped one to one. */

static const struct mv_ops no_ops;
const struct mv_ops *mv_ops = &no_ops;

static u64 arena_base(void)
{
	return (uintptr_t)map->arena;
}

void pagefault_disable(void)
{
	faults_disabled = true;
}

void pagefault_enable(void)
{
	faults_disabled = false;
}

int mv_fetch_again(struct mv_vcpu *v, struct mv_code_cache *cache,
		   u64 bytes[2], struct mv_fault *fault)
{
	if (faults_disabled && code_is_away)
		return -EFAULT;
	bytes[0] = 0;
	bytes[1] = 0;
	memcpy(bytes, (const u8 *)(uintptr_t)v->rip, fetchable);
	return fetchable;
}

u32 mv_linear_state(const struct mv_vcpu *v, enum mv_seg seg)
{
	return 0;
}

int mv_linearize(struct mv_vcpu *v, enum mv_seg seg, u64 offset,
		 unsigned int len, bool write, u64 *gva, struct mv_fault *fault)
{
	*gva = offset;
	return 0;
}

u32 mv_cpl_access(struct mv_vcpu *v)
{
	return MV_ACCESS_USER;
}

int mv_gva_to_gpa(struct mv_vcpu *v, u64 gva, u32 access, u64 *gpa,
		  struct mv_fault *fault)
{
	*gpa = gva;
	if ((gva - arena_base()) / PAGE_SIZE != fault_page)
		return 0;
	*fault = (struct mv_fault) {
		.vector = 14, .has_error = true, .error = access,
		.address = gva,
	};
	return -EFAULT;
}

static u8 *model_at(u64 gpa, unsigned int len)
{
	u64 offset = gpa - arena_base();

	if (offset + len > ARENA_SIZE || offset > ARENA_SIZE) {
		printf("Bail out! access outside the arena: %#llx\n",
		       (unsigned long long)gpa);
		abort();
	}
	return model + offset;
}

static bool is_device(u64 gpa)
{
	return devices >> ((gpa - arena_base()) / PAGE_SIZE) & 1;
}

int mv_read_gpa(struct mv_vcpu *v, u64 gpa, void *data, unsigned int len)
{
	if (is_device(gpa))
		return -ENXIO;
	memcpy(data, model_at(gpa, len), len);
	return 0;
}

int mv_write_gpa(struct mv_vcpu *v, u64 gpa, const void *data, unsigned int len)
{
	if (is_device(gpa))
		return -ENXIO;
	memcpy(model_at(gpa, len), data, len);
	return 0;
}

void mv_skip_insn(struct mv_vcpu *v)
{
	v->rip += v->exit.insn_len;
}

void mv_queue_fault(struct mv_vcpu *v, const struct mv_fault *fault)
{
	faulted = true;
	last_fault = *fault;
}

int mv_emulation_failure(struct mv_vcpu *v, const u8 *insn, unsigned int len)
{
	v->run->exit_reason = MINIVMM_EXIT_INTERNAL_ERROR;
	return 0;
}

/* No device is in the kernel, but for doorbells. */

bool mv_ring_memory(struct mv_vcpu *v, u64 addr, unsigned int len, u64 data)
{
	if (!has_doorbells)
		return false;
	memcpy(model_at(addr, len), &data, len);
	rings++;
	return true;
}

bool mv_lapic_mmio_read(struct mv_vcpu *v, u64 gpa, void *data,
			unsigned int len)
{
	return false;
}

bool mv_lapic_mmio_write(struct mv_vcpu *v, u64 gpa, const void *data,
			 unsigned int len)
{
	return false;
}

/* No write can wait. */
bool mv_coalesced_write(struct mv_vm *vm, enum mv_io_space space, u64 addr,
			unsigned int len, const void *data)
{
	return false;
}

bool mv_iobus_read(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		   unsigned int len, void *data)
{
	return false;
}

bool mv_iobus_write(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		    unsigned int len, const void *data)
{
	return false;
}

/* Native execution */

static u8 *emit(u8 *p, const char *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

/* An instruction with a RIP-relative operand: @target. */
static u8 *emit_rip(u8 *p, const char *opcode, size_t len, const void *target)
{
	s32 disp;

	p = emit(p, opcode, len);
	disp = (const u8 *)target - (p + 4);
	return emit(p, (const char *)&disp, 4);
}

/* MOV between the registers and map->native; does not touch the flags. */
static u8 *emit_moves(u8 *p, u8 opcode)
{
	unsigned int i;

	for (i = 0; i < MV_NR_REGS; i++) {
		char insn[3] = { i < 8 ? 0x48 : 0x4c, opcode,
				 0x05 | (i & 7) << 3 };

		p = emit_rip(p, insn, 3, &map->native.gpr[i]);
	}
	return p;
}

/* Everything up to the tested instruction; returns where that goes. */
static u8 *emit_prologue(void)
{
	u8 *p = map->code;

	p = emit(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10);
	p = emit_rip(p, "\x48\x89\x25", 3, &map->native.host_rsp);
	p = emit_rip(p, "\xff\x35", 2, &map->native.rflags);
	p = emit(p, "\x9d", 1);					/* popfq */
	return emit_moves(p, 0x8b);
}

static void emit_epilogue(u8 *p)
{
	p = emit_moves(p, 0x89);
	p = emit_rip(p, "\x48\x8b\x25", 3, &map->native.host_rsp);
	p = emit(p, "\x9c", 1);					/* pushfq */
	p = emit_rip(p, "\x8f\x05", 2, &map->native.rflags);
	p = emit(p, "\xfc", 1);					/* cld */
	emit(p, "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 11);
}

static void run_native(const struct sample *s)
{
	memcpy(s->at, s->bytes, s->insn.len);
	emit_epilogue(s->at + s->insn.len);
	map->native = s->before;
	memcpy(map->arena, s->memory, ARENA_SIZE);
	((void (*)(void))map->code)();
}

/* Making a sample */

static void put_random_insn(struct sample *s, u64 *rand)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x3e };
	unsigned int len = 0, i;

	for (i = 0; i < MV_INSN_MAX; i++)
		s->bytes[i] = rand64(rand);
	while (rand_percent(rand, 40) && len < 4)
		s->bytes[len++] = prefixes[rand_below(rand, sizeof(prefixes))];
	if (rand_percent(rand, 50))
		s->bytes[len++] = 0x40 | rand_below(rand, 16);
	if (rand_percent(rand, 30))
		s->bytes[len++] = 0x0f;
}

/* Puts @target into an operand that is a bare displacement or RIP-relative. */
static bool patch_displacement(struct sample *s, u64 target)
{
	static const u8 after[] = { 0, 1, 2, 4 };	/* immediate's size */
	struct mv_insn *insn = &s->insn;
	unsigned int i, size = 4;
	s64 disp = target;

	if (insn->mem.rip)
		disp -= (uintptr_t)s->at + insn->len;
	if (insn->reg == MV_REG_AX && insn->op == MV_OP_MOV &&
	    (insn->mem.disp != (s32)insn->mem.disp || insn->addr_size == 4))
		size = insn->addr_size;	/* A0..A3, most likely */
	for (i = 0; i < sizeof(after); i++) {
		int at = insn->len - after[i] - size;

		if (at > 0 && !memcmp(&s->bytes[at], &insn->mem.disp, size)) {
			memcpy(&s->bytes[at], &disp, size);
			return true;
		}
	}
	return false;
}

/* The address that the SDM gives, written down a second time. */
static u64 address_of(const struct sample *s)
{
	const struct mv_insn *insn = &s->insn;
	const struct mv_insn_mem *mem = &insn->mem;
	u64 sum = mem->disp;

	if (mem->rip)
		sum += (uintptr_t)s->at + insn->len;
	if (mem->base != MV_NO_REG)
		sum += s->before.gpr[mem->base];
	if (mem->index != MV_NO_REG)
		sum += s->before.gpr[mem->index] * mem->scale;
	if (insn->bit_string) {
		s64 bit = mv_sign_extend(s->before.gpr[insn->reg],
					 insn->mem_size);
		s64 bits = 8 * insn->mem_size;
		s64 unit = bit >= 0 ? bit / bits : -((bits - 1 - bit) / bits);

		sum += unit * insn->mem_size;
	}
	return mv_truncate(sum, insn->addr_size);
}

static bool in_arena(u64 address)
{
	return address - arena_base() <= ARENA_SIZE - 64 &&
	       address - arena_base() >= 64;
}

/* Aims the memory operand at the arena; false if it cannot be done. */
static bool aim(struct sample *s, u64 *rand)
{
	struct mv_insn *insn = &s->insn;
	u64 target = arena_base() + 64 + rand_below(rand, ARENA_SIZE - 128);
	u8 base = insn->mem.base;

	if (rand_percent(rand, 30))	/* likely across a page's end */
		target = (target & ~(PAGE_SIZE - 1)) + PAGE_SIZE - 4;
	if (insn->bit_string)
		s->before.gpr[insn->reg] = mv_sign_extend(rand64(rand), 2) / 4;
	if (base != MV_NO_REG)
		s->before.gpr[base] += target - address_of(s);
	else if (insn->mem.index != MV_NO_REG ||
		 !patch_displacement(s, target) ||
		 mv_decode(insn, s->bytes, MV_INSN_MAX, MV_INSN_64))
		return false;
	return in_arena(address_of(s));
}

static u64 middle(u64 *rand)
{
	return arena_base() + ARENA_SIZE / 4 + rand_below(rand, ARENA_SIZE / 2);
}

/* Small counts, and pointers whose upper halves are junk if not used. */
static void aim_string(struct sample *s, u64 *rand)
{
	u64 junk = s->insn.addr_size == 4 ? rand64(rand) << 32 : 0;

	s->before.gpr[MV_RSI] = middle(rand) | junk;
	s->before.gpr[MV_RDI] = middle(rand) | junk;
	if (rand_percent(rand, 20) && in_arena(s->before.gpr[MV_RSI] ^ PAGE_SIZE))
		s->before.gpr[MV_RDI] = s->before.gpr[MV_RSI] ^ PAGE_SIZE;
	s->before.gpr[MV_RCX] = (1 + rand_below(rand, 6)) | junk;
	if (!junk && rand_percent(rand, 10))
		s->before.gpr[MV_RCX] = 0;
}

/* Few different values, so that comparisons are often equal. */
static void fill_memory(struct sample *s, u64 *rand)
{
	bool plain = rand_percent(rand, 50);
	unsigned int i;

	for (i = 0; i < ARENA_SIZE; i += 8) {
		u64 value = plain ? 0x4141414141414141 : rand64(rand);

		memcpy(s->memory + i, &value, 8);
	}
	if (plain)
		s->before.gpr[MV_RAX] = 0x4141414141414141;
}

static bool generate(struct sample *s, u64 *rand)
{
	unsigned int i;

	put_random_insn(s, rand);
	if (mv_decode(&s->insn, s->bytes, MV_INSN_MAX, MV_INSN_64) ||
	    s->insn.mem.seg == MV_INSN_FS || s->insn.mem.seg == MV_INSN_GS)
		return false;
	for (i = 0; i < MV_NR_REGS; i++)
		s->before.gpr[i] = rand64(rand);
	s->before.rflags = (rand64(rand) & (ARITHMETIC_FLAGS | X86_EFLAGS_DF)) |
			   X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	fill_memory(s, rand);
	if (s->insn.form != MV_FORM_STRING)
		return aim(s, rand);
	aim_string(s, rand);
	return true;
}

/* Emulation */

static void set_up_vcpu(const struct sample *s, bool cpu_translated)
{
	memcpy(vcpu.regs, s->before.gpr, sizeof(vcpu.regs));
	vcpu.rflags = s->before.rflags;
	vcpu.rip = (uintptr_t)s->at;
	vcpu.efer = 1 << 10;
	vcpu.seg[MV_CS].ar = MV_AR_L;
	vcpu.valid = MV_STATE_LAZY;
	vcpu.dirty = 0;
	vcpu.complete = NULL;
	/* The CPU comes to us only where it has found no memory. */
	vcpu.exit.fault.operand = cpu_translated && is_device(address_of(s));
	vcpu.exit.fault.gpa = address_of(s);
	vcpu.exit.fault.write = s->insn.writes;
	faulted = false;
	memcpy(s->at, s->bytes, MV_INSN_MAX);
	memcpy(model, s->memory, ARENA_SIZE);
}

/* A device violation: inside the run section, and what is left to do outside */
static int handle_mmio(void)
{
	return mv_mmio_atomic(&vcpu) ? mv_handle_mmio(&vcpu) : 1;
}

/* What a client does with MINIVMM_EXIT_MMIO. */
static bool serve_device(void)
{
	u64 gpa = run_page.mmio.phys_addr;
	u32 len = run_page.mmio.len;

	if (run_page.exit_reason != MINIVMM_EXIT_MMIO)
		return differ("an exit that is not MMIO");
	if (!len || len > 8 || !is_device(gpa) || !is_device(gpa + len - 1))
		return differ("asked for what is no device");
	if (run_page.mmio.is_write)
		memcpy(model_at(gpa, len), run_page.mmio.data, len);
	else
		memcpy(run_page.mmio.data, model_at(gpa, len), len);
	memset(&run_page.mmio.phys_addr, 0xff, 8);	/* hostile */
	run_page.mmio.len = ~0;
	return true;
}

static bool same_as(const u64 *regs, u64 rip, u64 rflags)
{
	return !memcmp(vcpu.regs, regs, sizeof(vcpu.regs)) &&
	       vcpu.rip == rip && vcpu.rflags == rflags;
}

/* One MINIVMM_EXIT_GPA_FAULT, from there until the guest can go on. */
static bool emulate_once(void)
{
	u64 regs[MV_NR_REGS], rip = vcpu.rip, rflags = vcpu.rflags;
	int (*complete)(struct mv_vcpu *vcpu);
	int ret;

	memcpy(regs, vcpu.regs, sizeof(regs));
	ret = handle_mmio();
	while (ret == 0) {
		if (run_page.exit_reason == MINIVMM_EXIT_MMIO &&
		    !run_page.mmio.is_write && !same_as(regs, rip, rflags))
			return differ("registers changed before a read");
		if (!serve_device())
			return false;
		complete = vcpu.complete;
		vcpu.complete = NULL;
		ret = complete(&vcpu);
	}
	return ret == 1 || differ("an error");
}

static bool emulate(void)
{
	u64 rip = vcpu.rip;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		if (!emulate_once())
			return false;
		if (vcpu.rip != rip || faulted)
			return true;
	}
	return differ("repeats for ever");
}

/* Comparing */

static u64 undefined_flags(enum mv_insn_op op)
{
	switch (op) {
	case MV_OP_AND:
	case MV_OP_OR:
	case MV_OP_XOR:
	case MV_OP_TEST:
		return X86_EFLAGS_AF;
	case MV_OP_BT:
	case MV_OP_BTS:
	case MV_OP_BTR:
	case MV_OP_BTC:
		return ARITHMETIC_FLAGS & ~(X86_EFLAGS_CF | X86_EFLAGS_ZF);
	default:
		return 0;
	}
}

static bool matches_native(const struct sample *s)
{
	if (memcmp(vcpu.regs, map->native.gpr, sizeof(vcpu.regs)))
		return differ("registers");
	if ((vcpu.rflags ^ map->native.rflags) & ~undefined_flags(s->insn.op))
		return differ("flags");
	if (vcpu.rip != (uintptr_t)s->at + s->insn.len)
		return differ("RIP");
	if (memcmp(model, map->arena, ARENA_SIZE))
		return differ("memory");
	return true;
}

static bool check_native(const struct sample *s, bool cpu_translated)
{
	run_native(s);
	set_up_vcpu(s, cpu_translated);
	return emulate() && (!faulted || differ("a fault")) &&
	       matches_native(s);
}

static bool touches(const struct sample *s, unsigned long page)
{
	u64 first = address_of(s) - arena_base();
	u64 last = first + s->insn.mem_size - 1;

	return first / PAGE_SIZE == page || last / PAGE_SIZE == page;
}

/* Again with one page not present: a fault if it is the operand's. */
static bool check_fault(const struct sample *s, unsigned long page)
{
	u32 access = s->insn.writes ? MV_ACCESS_USER | MV_ACCESS_WRITE :
				      MV_ACCESS_USER;
	bool good;

	if (s->insn.form == MV_FORM_STRING)
		return true;
	/* A write must be checked even if the CPU came as far as reading. */
	set_up_vcpu(s, s->insn.writes);
	vcpu.exit.fault.write = false;
	fault_page = page;
	good = emulate();
	fault_page = NO_PAGE;
	if (!good)
		return false;
	if (faulted != touches(s, page))
		return differ("a fault too many or too few");
	if (!faulted)
		return matches_native(s);
	if (!same_as(s->before.gpr, (uintptr_t)s->at, s->before.rflags) ||
	    memcmp(model, s->memory, ARENA_SIZE))
		return differ("something changed before a fault");
	if (last_fault.error != access)
		return differ("error code");
	return true;
}

/* mov eax, [rdi], from a device */
static void set_up_read(struct sample *s)
{
	memcpy(s->bytes, "\x8b\x07", 2);
	mv_decode(&s->insn, s->bytes, MV_INSN_MAX, MV_INSN_64);
	s->before.gpr[MV_RDI] = arena_base();
	devices = 1;
	set_up_vcpu(s, false);
}

static bool test_not_claimed(struct sample *s)
{
	set_up_read(s);
	memcpy(s->at, "\xff\x37", 2);		/* push [rdi] */
	return handle_mmio() == 0 && !vcpu.complete &&
	       run_page.exit_reason == MINIVMM_EXIT_INTERNAL_ERROR &&
	       same_as(s->before.gpr, (uintptr_t)s->at, s->before.rflags);
}

static bool test_fault(struct sample *s, const char *bytes, u8 vector,
		       bool has_error)
{
	set_up_read(s);
	memcpy(s->at, bytes, strlen(bytes));
	return handle_mmio() == 1 && faulted &&
	       last_fault.vector == vector &&
	       last_fault.has_error == has_error && !last_fault.error &&
	       same_as(s->before.gpr, (uintptr_t)s->at, s->before.rflags);
}

/* Only the first byte can be had; @fetch: that is what the CPU stopped for. */
static bool test_half(struct sample *s, bool fetch, int ret)
{
	int got;

	set_up_read(s);
	vcpu.exit.fault.fetch = fetch;
	fetchable = 1;
	got = handle_mmio();
	fetchable = MV_INSN_MAX;
	vcpu.exit.fault.fetch = false;
	return got == ret && !faulted && !vcpu.complete &&
	       (got || run_page.exit_reason == MINIVMM_EXIT_INTERNAL_ERROR) &&
	       same_as(s->before.gpr, (uintptr_t)s->at, s->before.rflags);
}

static void test_refusals(struct sample *s)
{
	ksft_test_result(test_not_claimed(s), "mmio reports what it cannot\n");
	ksft_test_result(test_half(s, true, 0), "mmio executes no device\n");
	ksft_test_result(test_half(s, false, 1), "mmio retries a lost page\n");
	ksft_test_result(test_fault(s, "\xf0\x8b\x07", X86_TRAP_UD, false),
			 "mmio gives #UD for lock mov\n");
	ksft_test_result(test_fault(s, "\x66\x66\x66\x66\x66\x66\x66\x66\x66"
				       "\x66\x66\x66\x66\x66\x8b\x07",
				    X86_TRAP_GP, true),
			 "mmio gives #GP for 16 bytes\n");
}

static void print_sample(const struct sample *s, unsigned int nr)
{
	unsigned int i;

	ksft_print_msg("sample %u: %s:", nr, reason);
	for (i = 0; i < s->insn.len; i++)
		printf(" %02x", s->bytes[i]);
	printf(" (devices %#x, rflags %#llx)\n", devices,
	       (unsigned long long)s->before.rflags);
	for (i = 0; i < MV_NR_REGS; i++)
		ksft_print_msg("r%u: %#llx -> CPU %#llx, we %#llx\n", i,
			       (unsigned long long)s->before.gpr[i],
			       (unsigned long long)map->native.gpr[i],
			       (unsigned long long)vcpu.regs[i]);
	ksft_print_msg("flags: CPU %#llx, we %#llx\n",
		       (unsigned long long)map->native.rflags,
		       (unsigned long long)vcpu.rflags);
}

int main(void)
{
	static struct sample s;
	unsigned int nr, seen[MV_OP_SCAS + 1] = {}, faults = 0, op;
	bool good = true, all = true;
	u64 rand = 1;

	map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (map == MAP_FAILED) {
		perror("test_mmio: mmap");
		return 1;
	}
	s.at = emit_prologue();

	ksft_print_header();
	ksft_set_plan(9);
	for (nr = 0; good && nr < SAMPLES;) {
		if (!generate(&s, &rand))
			continue;
		nr++;
		seen[s.insn.op]++;
		devices = rand_below(&rand, 1 << ARENA_PAGES);
		has_doorbells = rand_percent(&rand, 50);
		code_is_away = rand_percent(&rand, 20);
		good = check_native(&s, rand_percent(&rand, 50)) &&
		       check_fault(&s, rand_below(&rand, ARENA_PAGES));
		faults += faulted;
	}
	if (!good)
		print_sample(&s, nr);
	for (op = MV_OP_ADD; op <= MV_OP_SCAS; op++) {
		if (!seen[op])
			ksft_print_msg("operation %u never ran\n", op);
		all = all && seen[op];
	}
	ksft_print_msg("%u samples, %u faults, %u rings\n", nr, faults, rings);
	ksft_test_result(good, "mmio does what the CPU does\n");
	ksft_test_result(all, "mmio ran every operation\n");
	ksft_test_result(faults, "mmio ran into faults\n");
	ksft_test_result(rings, "mmio rang doorbells\n");
	test_refusals(&s);
	ksft_finished();
}
