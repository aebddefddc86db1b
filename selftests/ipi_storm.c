// SPDX-License-Identifier: GPL-2.0
/*
 * Interprocessor interrupts among eight vCPUs: none is lost, none comes twice.
 *
 * A vCPU has a vector of its own for all that it sends.  It counts what it
 * sends to each other vCPU, which counts what arrives; it sends the next only
 * when the two are equal, so nothing can coalesce.
 */
#include "threads.h"
#include "x2apic.h"

#define CPUS		8
#define FIRST_VECTOR	0x40

/* [from][to] */
static volatile u64 sent[CPUS][CPUS], received[CPUS][CPUS];
static volatile u64 quit, ready, use_xapic;

static void send_ipi(u64 to, u64 what)
{
	if (!use_xapic) {
		x2apic_icr(to, what);
		return;
	}
	xapic_write(APIC_ICR2, to << 24);
	xapic_write(APIC_ICR, what);
}

static void guest_receive(struct guest_regs *regs)
{
	u64 from = regs->vector - FIRST_VECTOR, to = guest_cpu();

	GUEST_ASSERT_EQ(received[from][to] + 1, sent[from][to]);
	received[from][to]++;
	if (use_xapic)
		xapic_write(APIC_EOI, 0);
	else
		x2apic_eoi();
}

static void wait_for_all(volatile u64 *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
	while (*count < CPUS)
		cpu_relax();
}

/* All are ready to receive before anyone sends. */
static void guest_init(void)
{
	int i;

	for (i = 0; i < CPUS; i++)
		guest_handlers[FIRST_VECTOR + i] = guest_receive;
	if (use_xapic)
		xapic_write(APIC_SVR, SVR_ENABLE | 0xff);
	else
		x2apic_enable();
	sti();
	wait_for_all(&ready);
}

static void wait_for_ack(u64 me, u64 to)
{
	while (received[me][to] != sent[me][to])
		cpu_relax();
}

static void wait_for_acks(u64 me)
{
	u64 to;

	for (to = 0; to < CPUS; to++)
		wait_for_ack(me, to);
}

static void send_to(u64 me, u64 to)
{
	sent[me][to]++;
	send_ipi(to, FIRST_VECTOR + me);
}

static struct vm *storm(enum chips chips, void *fn)
{
	struct vm *vm = vm_create_chips(chips);

	vcpus_setup(vm, CPUS, fn);
	return vm;
}

static void describe(struct vm *vm)
{
	volatile u64 (*s)[CPUS] = vm_guest_ptr(vm, &sent[0]);
	volatile u64 (*r)[CPUS] = vm_guest_ptr(vm, &received[0]);
	int from, to;

	for (from = 0; from < CPUS; from++)
		for (to = 0; to < CPUS; to++)
			if (s[from][to] != r[from][to])
				ksft_print_msg("%d to %d: sent %llu, received %llu\n",
					       from, to, s[from][to],
					       r[from][to]);
}

/* Returns how many arrived; the sender named, or all */
static u64 finish(struct vm *vm)
{
	volatile u64 *s = vm_guest_ptr(vm, &sent[0][0]);
	volatile u64 *r = vm_guest_ptr(vm, &received[0][0]);
	u64 i, sum = 0;

	vcpus_join(vm, describe);
	for (i = 0; i < CPUS * CPUS; i++) {
		EXPECT_EQ(r[i], s[i]);
		sum += r[i];
	}
	return sum;
}

/* ------------------------------------------------------------------------ */
/* To one                                                                    */

#define UNICAST_ROUNDS	150

static void guest_unicast(u64 me)
{
	u64 round, to;

	guest_init();
	for (round = 0; round < UNICAST_ROUNDS; round++) {
		for (to = 0; to < CPUS; to++)
			send_to(me, (me + to + round) % CPUS);
		wait_for_acks(me);
	}
	/* Who has sent all must still receive. */
	wait_for_all(&quit);
}

static void unicast(bool with_xapic)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_unicast);

	*vm_guest_ptr(vm, &use_xapic) = with_xapic;
	vcpus_start(vm);
	EXPECT_EQ(finish(vm), UNICAST_ROUNDS * CPUS * CPUS);
}

TEST(unicast)
{
	unicast(false);
}

TEST(unicast_xapic)
{
	unicast(true);
}

/* ------------------------------------------------------------------------ */
/* To several                                                                */

#define BROADCAST_ROUNDS	60

static void guest_broadcast(u64 me)
{
	u64 round, to;

	guest_init();
	for (round = 0; round < BROADCAST_ROUNDS; round++) {
		for (to = 0; to < CPUS; to++)
			if (round % 2 || to != me)
				sent[me][to]++;
		send_ipi(0, (round % 2 ? ICR_ALL : ICR_OTHERS) |
			    (FIRST_VECTOR + me));
		wait_for_acks(me);
	}
	wait_for_all(&quit);
}

TEST(broadcast)
{
	struct vm *vm = storm(CHIPS_SPLIT, guest_broadcast);

	vcpus_start(vm);
	EXPECT_EQ(finish(vm), BROADCAST_ROUNDS * CPUS * CPUS -
			      BROADCAST_ROUNDS / 2 * CPUS);
}

/* Logical destinations: any set of vCPUs, all in cluster 0 */
static void guest_multicast(u64 me)
{
	u64 round, to, set, total = 0;

	guest_init();
	GUEST_ASSERT_EQ(rdmsr(X2APIC_MSR(APIC_LDR)), 1UL << me);
	for (round = 1; round < 256; round += 5) {
		set = round * (2 * me + 1) % 256;
		for (to = 0; to < CPUS; to++)
			sent[me][to] += set >> to & 1;
		send_ipi(set, ICR_LOGICAL | (FIRST_VECTOR + me));
		wait_for_acks(me);
		total += __builtin_popcount(set);
	}
	wait_for_all(&quit);
	for (to = 0; to < CPUS; to++)
		total -= received[me][to];
	GUEST_ASSERT_EQ(total, 0);
}

TEST(multicast)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_multicast);

	vcpus_start(vm);
	EXPECT(finish(vm));
}

/* ------------------------------------------------------------------------ */
/* To oneself                                                                */

#define SELF_ROUNDS	1000

static void guest_self(u64 me)
{
	u64 round;

	guest_init();
	for (round = 0; round < SELF_ROUNDS; round++) {
		sent[me][me]++;
		switch (round % 3) {
		case 0:
			wrmsr(X2APIC_MSR(APIC_SELF_IPI), FIRST_VECTOR + me);
			break;
		case 1:
			x2apic_icr(0, ICR_SELF | (FIRST_VECTOR + me));
			break;
		case 2:
			/* It waits for STI, and for the end of its shadow. */
			cli();
			wrmsr(X2APIC_MSR(APIC_SELF_IPI), FIRST_VECTOR + me);
			GUEST_ASSERT_EQ(received[me][me] + 1, sent[me][me]);
			sti();
			GUEST_ASSERT_EQ(received[me][me], sent[me][me]);
			break;
		}
		wait_for_ack(me, me);
	}
}

TEST(self)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_self);

	vcpus_start(vm);
	EXPECT_EQ(finish(vm), SELF_ROUNDS * CPUS);
}

/* ------------------------------------------------------------------------ */
/* NMIs                                                                      */

#define NMI_ROUNDS	300

static void guest_receive_nmi(struct guest_regs *regs)
{
	u64 to = guest_cpu();

	(void)regs;
	GUEST_ASSERT_EQ(received[0][to] + 1, sent[0][to]);
	received[0][to]++;
}

/* Every other of the receivers halts, with interrupts disabled. */
static void guest_nmis(u64 me)
{
	u64 round, to;

	guest_handlers[NMI_VECTOR] = guest_receive_nmi;
	guest_init();
	if (me) {
		if (me % 2)
			cli();
		while (received[0][me] < NMI_ROUNDS) {
			if (me % 2)
				hlt();
			else
				cpu_relax();
		}
		return;
	}
	for (round = 0; round < NMI_ROUNDS; round++) {
		for (to = 1; to < CPUS; to++) {
			sent[0][to]++;
			/* an NMI has no vector: what is there is ignored */
			x2apic_icr(to, DM_NMI | (round & 0xff));
		}
		wait_for_acks(0);
	}
}

TEST(nmi)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_nmis);

	vcpus_start(vm);
	EXPECT_EQ(finish(vm), NMI_ROUNDS * (CPUS - 1));
}

/* ------------------------------------------------------------------------ */
/* Receivers that halt                                                       */

#define SENDERS		2
#define HALTED_ROUNDS	300

static void guest_halted_receivers(u64 me)
{
	u64 round, to;

	guest_init();
	if (me >= SENDERS) {
		cli();
		while (received[0][me] < HALTED_ROUNDS ||
		       received[1][me] < HALTED_ROUNDS)
			asm volatile("sti; hlt; cli" : : : "memory");
		return;
	}
	for (round = 0; round < HALTED_ROUNDS; round++) {
		for (to = SENDERS; to < CPUS; to++)
			send_to(me, to);
		wait_for_acks(me);
	}
}

TEST(halted_receivers)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_halted_receivers);

	vcpus_start(vm);
	EXPECT_EQ(finish(vm), SENDERS * (CPUS - SENDERS) * HALTED_ROUNDS);
}

/* ------------------------------------------------------------------------ */
/* Threads that change their CPU all the time                                */

static u64 migrated(enum chips chips, void *fn)
{
	struct vm *vm;
	u32 moves = 0;
	u64 sum;

	if (host_cpus() < 2)
		SKIP("needs a host with two CPUs");
	vm = storm(chips, fn);
	vcpus_start(vm);
	for (; !vcpus_done(vm) && moves < 20000; moves++) {
		vcpus_migrate(vm);
		pause_us(random_below(1000));
	}
	sum = finish(vm);
	ksft_print_msg("%u moves\n", moves);
	return sum;
}

TEST(migrated_running)
{
	EXPECT_EQ(migrated(CHIPS_SPLIT, guest_unicast),
		  UNICAST_ROUNDS * CPUS * CPUS);
}

TEST(migrated_halted)
{
	EXPECT_EQ(migrated(CHIPS_KERNEL, guest_halted_receivers),
		  SENDERS * (CPUS - SENDERS) * HALTED_ROUNDS);
}

/* ------------------------------------------------------------------------ */
/* More vCPUs than CPUs: who spins for a lock waits for one that is not on   */

#define LOCK_ROUNDS	25

static volatile u64 next_ticket, now_serving, shared_count;

static void guest_ticket_lock(u64 me)
{
	u64 round, ticket, before;

	guest_init();
	for (round = 0; round < LOCK_ROUNDS; round++) {
		ticket = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_SEQ_CST);
		while (now_serving != ticket)
			cpu_relax();
		before = shared_count;
		/* with the lock held, interrupt the next who waits for it */
		send_to(me, (me + 1) % CPUS);
		wait_for_ack(me, (me + 1) % CPUS);
		shared_count = before + 1;
		now_serving = ticket + 1;
	}
	wait_for_all(&quit);
	GUEST_ASSERT_EQ(shared_count, CPUS * LOCK_ROUNDS);
}

TEST(ticket_lock)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_ticket_lock);

	vcpus_start(vm);
	EXPECT_EQ(finish(vm), CPUS * LOCK_ROUNDS);
}

/* ------------------------------------------------------------------------ */
/* What an operating system does to change a page table entry                */

#define FLUSHES		150
#define FLUSH_GVA	(DATA_GPA + 0x80000)
#define FLUSH_FRAME(n)	(DATA_GPA + 0x10000 + (n) % 2 * PAGE_SIZE)
#define FLUSH_VECTOR	0x60

static volatile u64 flushed[CPUS];

static void guest_flush(struct guest_regs *regs)
{
	u64 me = guest_cpu();

	(void)regs;
	invlpg(FLUSH_GVA);
	flushed[me]++;
	x2apic_eoi();
}

static void guest_tlb_reader(u64 me)
{
	u64 least, value;

	while (flushed[me] < FLUSHES) {
		least = flushed[me];
		asm volatile("" : : : "memory");
		value = *(volatile u64 *)FLUSH_GVA;
		GUEST_ASSERT(value >= least && value <= FLUSHES);
		cpu_relax();
	}
}

static void guest_tlb_flusher(void)
{
	u64 n, cpu;

	for (n = 1; n <= FLUSHES; n++) {
		*(volatile u64 *)FLUSH_FRAME(n) = n;
		*guest_pte(FLUSH_GVA) = FLUSH_FRAME(n) | PTE_P | PTE_RW;
		x2apic_icr(0, ICR_OTHERS | FLUSH_VECTOR);
		for (cpu = 1; cpu < CPUS; cpu++)
			while (flushed[cpu] != n)
				cpu_relax();
		/* Nobody may look at the old frame any more. */
		*(volatile u64 *)FLUSH_FRAME(n - 1) = ~0UL;
	}
}

static void guest_tlb(u64 me)
{
	guest_handlers[FLUSH_VECTOR] = guest_flush;
	guest_init();
	if (me)
		guest_tlb_reader(me);
	else
		guest_tlb_flusher();
}

TEST(remote_tlb_flush)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_tlb);
	int i;

	*vm_pte(vm, FLUSH_GVA) = FLUSH_FRAME(0) | PTE_P | PTE_RW;
	vcpus_start(vm);
	vcpus_join(vm, NULL);
	for (i = 1; i < CPUS; i++)
		EXPECT_EQ(vm_guest_ptr(vm, &flushed[0])[i], FLUSHES);
}

/* ------------------------------------------------------------------------ */
/* HLT races with what shall end it                                          */

#define HANDOVERS	15000
#define RING_HANDOVERS	6000

static volatile u64 handovers, players, last_handover;

/* The wake-up comes before, in the shadow of STI, or after HLT. */
static void guest_hand_over(u64 me)
{
	u64 next = (me + 1) % players;
	bool last;

	guest_init();
	if (me >= players)
		return;
	cli();
	for (;;) {
		while (handovers % players != me)
			asm volatile("sti; hlt; cli" : : : "memory");
		/* Our last one may be still on its way. */
		sti();
		wait_for_ack(me, next);
		cli();
		last = handovers >= last_handover;
		/* The end goes round once. */
		if (handovers == last_handover + players - 1)
			break;
		sent[me][next]++;
		__atomic_fetch_add(&handovers, 1, __ATOMIC_SEQ_CST);
		send_ipi(next, FIRST_VECTOR + me);
		if (last)
			break;
	}
	sti();
	wait_for_acks(me);
}

static void hand_over(u64 cpus, u64 count)
{
	struct vm *vm = storm(CHIPS_KERNEL, guest_hand_over);

	*vm_guest_ptr(vm, &players) = cpus;
	*vm_guest_ptr(vm, &last_handover) = count;
	vcpus_start(vm);
	if (host_cpus() > 1)
		while (!vcpus_done(vm)) {
			vcpus_migrate(vm);
			pause_us(5000);
		}
	EXPECT_EQ(finish(vm), count + cpus - 1);
}

TEST(hlt_ping_pong)
{
	hand_over(2, HANDOVERS);
}

TEST(hlt_ring)
{
	hand_over(CPUS, RING_HANDOVERS);
}
