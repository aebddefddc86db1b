// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of all that can meet an interrupt on its way, on four
 * vCPUs: each interrupt that is sent arrives, and arrives once.
 *
 * An interrupt has a slot: a way in and a vCPU. Both sides count. A slot is
 * used again only when the guest has counted what was sent last.
 *
 * Environment: SEED starts another sequence, STEPS makes it shorter or longer.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state.h"
#include "threads.h"
#include "x2apic.h"

#define CPUS		4
#define FIRST_VECTOR	0x50
#define QUIT_VECTOR	0x40

/* The slots of a vCPU; the vector is FIRST_VECTOR more */
enum slot {
	MSI_FIRST = 0,		/* SIGNAL_MSI */
	MSI_LAST = 31,
	MSI_FD,			/* irqfd, an MSI */
	EDGE,			/* IRQ_LINE up and down, a pin */
	NMI,
	/*
	 * irqfd with resampling, a level-triggered pin.  A vector for each pin:
	 * an EOI names nothing else.
	 */
	LEVEL,
	SLOTS
};

#define MSI_GSI(cpu)	(24 + (cpu))
#define LEVEL_PIN(cpu)	(8 + (cpu))
#define EDGE_PIN(cpu)	(16 + (cpu))

#define SCRATCH_PAGES	16
#define SCRATCH(cpu)	(DATA_GPA + (cpu) * SCRATCH_PAGES * PAGE_SIZE)

/* ------------------------------------------------------------------------ */
/* The guest                                                                 */

static volatile u64 sent[CPUS][SLOTS], received[CPUS][SLOTS];
static volatile u64 ready, quit, use_ioapic, with_xapic;

static void guest_eoi(void)
{
	if (with_xapic)
		xapic_write(APIC_EOI, 0);
	else
		x2apic_eoi();
}

static void guest_on_irq(struct guest_regs *regs)
{
	u64 me = guest_cpu(), slot = regs->vector - FIRST_VECTOR;

	if (slot >= LEVEL) {
		GUEST_ASSERT_EQ(slot, LEVEL + me);
		slot = LEVEL;
	}
	GUEST_ASSERT_EQ(received[me][slot] + 1, sent[me][slot]);
	received[me][slot]++;
	guest_eoi();
}

static void guest_on_nmi(struct guest_regs *regs)
{
	u64 me = guest_cpu();

	(void)regs;
	GUEST_ASSERT_EQ(received[me][NMI] + 1, sent[me][NMI]);
	received[me][NMI]++;
}

static void guest_on_quit(struct guest_regs *regs)
{
	(void)regs;
	guest_eoi();
}

static void guest_on_ud(struct guest_regs *regs)
{
	regs->rip += 2;
	regs->rax++;
}

static void guest_init(u64 me)
{
	u64 i;

	for (i = 0; i < LEVEL + CPUS; i++)
		guest_handlers[FIRST_VECTOR + i] = guest_on_irq;
	guest_handlers[NMI_VECTOR] = guest_on_nmi;
	guest_handlers[QUIT_VECTOR] = guest_on_quit;
	guest_handlers[UD_VECTOR] = guest_on_ud;
	if (with_xapic)
		apic_start(XAPIC);
	else
		x2apic_enable();
	for (i = 0; i < CPUS && use_ioapic && me == 0; i++) {
		ioapic_set_rte(EDGE_PIN(i),
			       (FIRST_VECTOR + EDGE) | RTE_DEST(i));
		ioapic_set_rte(LEVEL_PIN(i), (FIRST_VECTOR + LEVEL + i) |
			       RTE_LEVEL | RTE_DEST(i));
	}
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
}

/* A page holds what this vCPU wrote or, taken away meanwhile, nothing. */
static void guest_touch_scratch(u64 me)
{
	volatile u64 *word;
	u64 page, tag, value, ud = 0;

	for (page = 0; page < SCRATCH_PAGES; page++) {
		word = (u64 *)(SCRATCH(me) + page * PAGE_SIZE);
		tag = SCRATCH(me) + page;
		value = *word;
		GUEST_ASSERT(value == 0 || value == tag);
		*word = tag;
	}
	asm volatile("ud2" : "+a"(ud) : : "memory");
	GUEST_ASSERT_EQ(ud, 1);
}

static void guest_main(u64 me)
{
	guest_init(me);
	while (!quit) {
		sti();
		guest_touch_scratch(me);
		cli();
		if (!quit)
			asm volatile("sti; hlt; cli" : : : "memory");
	}
}

/* ------------------------------------------------------------------------ */
/* vCPUs that can be paused                                                  */

struct player {
	struct vcpu *vcpu;
	pthread_t thread;
	atomic_bool pause, paused;
	int irq, level, resample;
};

static struct player players[CPUS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread struct minivmm_run *run_page;

static void on_kick(int signal)
{
	(void)signal;
	if (run_page)
		run_page->immediate_exit = 1;
}

static void wait_while_paused(struct player *player)
{
	if (!player->pause)
		return;
	pthread_mutex_lock(&lock);
	player->paused = true;
	pthread_cond_broadcast(&changed);
	while (player->pause)
		pthread_cond_wait(&changed, &lock);
	player->paused = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *play(void *arg)
{
	struct player *player = arg;
	struct vcpu *vcpu = player->vcpu;
	int reason;

	run_page = vcpu->run;
	for (;;) {
		/* a kick from here on makes RUN return */
		run_page->immediate_exit = 0;
		wait_while_paused(player);
		reason = vcpu_run(vcpu);
		/* memory that is away for a moment */
		if (reason == -EINTR || reason == -EFAULT)
			continue;
		if (vcpu_guest_call(vcpu, reason, NULL) == GUEST_DONE)
			return NULL;
		vcpu_describe_exit(vcpu, reason);
		FAIL("vCPU %d: exit %s", vcpu->id, exit_name(reason));
	}
}

static void kick(struct player *player)
{
	pthread_kill(player->thread, SIGUSR1);
}

static void pause_player(struct player *player)
{
	if (player->pause)
		return;
	player->pause = true;
	kick(player);
	pthread_mutex_lock(&lock);
	while (!player->paused)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void resume_player(struct player *player)
{
	if (!player->pause)
		return;
	pthread_mutex_lock(&lock);
	player->pause = false;
	pthread_cond_broadcast(&changed);
	while (player->paused)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------------------ */
/* Interrupts                                                                */

static struct vm *vm;
static bool has_ioapic;

static u64 take(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u64 value = 0;

	if (poll(&p, 1, 0) == 1)
		ASSERT_EQ(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

static void put(int fd)
{
	u64 one = 1;

	ASSERT_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

static bool acknowledged(int cpu, enum slot slot)
{
	return vm_guest_ptr(vm, &sent[0])[cpu][slot] ==
	       vm_guest_ptr(vm, &received[0])[cpu][slot];
}

/* The EOI of the last one is known of: a line is low again. */
static bool level_pending[CPUS];

static bool level_is_low(int cpu)
{
	u64 eois;

	if (!level_pending[cpu])
		return true;
	eois = take(players[cpu].resample);
	if (!eois)
		return false;
	ASSERT_EQ(eois, 1);
	level_pending[cpu] = false;
	return true;
}

static void set_line(u32 gsi, u32 level)
{
	vm_irq_line(vm, gsi, level);
}

static void send(int cpu, enum slot slot)
{
	if (!acknowledged(cpu, slot))
		return;
	if (slot == LEVEL && !level_is_low(cpu))
		return;
	if ((slot == LEVEL || slot == EDGE) && !has_ioapic)
		return;
	vm_guest_ptr(vm, &sent[0])[cpu][slot]++;
	switch (slot) {
	case MSI_FD:
		put(players[cpu].irq);
		break;
	case EDGE:
		set_line(EDGE_PIN(cpu), 1);
		set_line(EDGE_PIN(cpu), 0);
		break;
	case LEVEL:
		level_pending[cpu] = true;
		put(players[cpu].level);
		break;
	case NMI:
		vm_send_msi(vm, cpu, DM_NMI);
		break;
	default:
		vm_send_msi(vm, cpu, FIRST_VECTOR + slot);
	}
}

static void set_up_routes(void)
{
	struct {
		struct minivmm_irq_routing header;
		struct minivmm_irq_routing_entry entries[24 + CPUS];
	} routing = {};
	struct minivmm_irq_routing_entry *entry = routing.entries;
	int i;

	for (i = 0; i < 24 && has_ioapic; i++, entry++) {
		entry->gsi = i;
		entry->type = MINIVMM_IRQ_ROUTING_IRQCHIP;
		entry->u.irqchip.irqchip = MINIVMM_IRQCHIP_IOAPIC;
		entry->u.irqchip.pin = i;
	}
	for (i = 0; i < CPUS; i++, entry++) {
		entry->gsi = MSI_GSI(i);
		entry->type = MINIVMM_IRQ_ROUTING_MSI;
		entry->u.msi.address_lo = MSI_DEST(i);
		entry->u.msi.data = FIRST_VECTOR + MSI_FD;
	}
	routing.header.nr = entry - routing.entries;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, &routing));
}

static void assign(int cpu)
{
	struct player *player = &players[cpu];
	struct minivmm_irqfd msi = { .gsi = MSI_GSI(cpu) }, level = {
		.gsi = LEVEL_PIN(cpu), .flags = MINIVMM_IRQFD_FLAG_RESAMPLE,
	};

	player->irq = ASSERT_OK(eventfd(0, 0));
	player->level = ASSERT_OK(eventfd(0, 0));
	player->resample = ASSERT_OK(eventfd(0, 0));
	msi.fd = player->irq;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQFD, &msi));
	if (!has_ioapic)
		return;
	level.fd = player->level;
	level.resamplefd = player->resample;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQFD, &level));
}

/* ------------------------------------------------------------------------ */
/* Disturbances                                                              */

static void lose_scratch(int cpu)
{
	u64 first = random_below(SCRATCH_PAGES);
	u64 pages = 1 + random_below(SCRATCH_PAGES - first);

	ASSERT_OK(madvise(vm_gpa(vm, SCRATCH(cpu) + first * PAGE_SIZE),
			  pages * PAGE_SIZE, MADV_DONTNEED));
}

/* What is in it stays, but the guest has to fault it in again. */
static void unmap_for_a_moment(int cpu)
{
	const struct {
		u64 gpa, size;
	} areas[] = {
		{ IDT_GPA, PAGE_SIZE },
		{ GDT_GPA, PAGE_SIZE },
		{ TSS_GPA + cpu * PAGE_SIZE, PAGE_SIZE },
		{ PML4_GPA, 16 * PAGE_SIZE },
		{ STACK_TOP(cpu) - PAGE_SIZE, PAGE_SIZE },
		{ IMAGE_GPA, 64 * PAGE_SIZE },
	};
	u32 i = random_below(ARRAY_SIZE(areas));
	void *at = vm_gpa(vm, areas[i].gpa);

	ASSERT_OK(mprotect(at, areas[i].size, PROT_NONE));
	if (random_below(2))
		pause_us(random_below(200));
	ASSERT_OK(mprotect(at, areas[i].size, PROT_READ | PROT_WRITE));
}

/*
 * Out and in again, while nobody sends. A signal of an irqfd may be on its
 * way to an I/O APIC still: only when there is none.
 */
static void save_and_restore(int cpu)
{
	static struct vcpu_state state, again;
	struct vcpu *vcpu = players[cpu].vcpu;

	if (!level_is_low(cpu) || !acknowledged(cpu, MSI_FD))
		return;
	pause_player(&players[cpu]);
	vcpu_save(vcpu, &state);
	vcpu_restore(vcpu, &state, false);
	vcpu_save(vcpu, &again);
	vcpu_compare(&state, &again, 0);
}

enum action {
	KICK, SEND_MSI, SEND_MSI_FD, SEND_EDGE, SEND_LEVEL, SEND_NMI, MIGRATE,
	LOSE_SCRATCH, UNMAP, PAUSE, RESUME, SAVE, WAIT, ACTIONS
};

static u32 done[ACTIONS];

static void step(void)
{
	int cpu = random_below(CPUS);
	enum action action = random_below(ACTIONS);
	struct player *player = &players[cpu];

	done[action]++;
	switch (action) {
	case KICK:
		kick(player);
		break;
	case SEND_MSI:
		send(cpu, MSI_FIRST + random_below(MSI_LAST - MSI_FIRST + 1));
		break;
	case SEND_MSI_FD:
		send(cpu, MSI_FD);
		break;
	case SEND_EDGE:
		send(cpu, EDGE);
		break;
	case SEND_LEVEL:
		send(cpu, LEVEL);
		break;
	case SEND_NMI:
		send(cpu, NMI);
		break;
	case MIGRATE:
		thread_migrate(player->thread);
		break;
	case LOSE_SCRATCH:
		lose_scratch(cpu);
		break;
	case UNMAP:
		unmap_for_a_moment(cpu);
		break;
	case PAUSE:
		pause_player(player);
		break;
	case RESUME:
		resume_player(player);
		break;
	case SAVE:
		save_and_restore(cpu);
		break;
	default:
		pause_us(random_below(400));
	}
}

/* ------------------------------------------------------------------------ */

static u64 number_from(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Until all is there, or too long: what is missing then is lost. */
static void wait_for_all(void)
{
	int cpu, i, tries;
	enum slot slot;
	bool complete = false;

	for (tries = 0; tries < 2000 && !complete; tries++) {
		pause_us(2000);
		complete = true;
		for (i = 0; i < CPUS * SLOTS; i++)
			complete &= acknowledged(i / SLOTS, i % SLOTS);
		for (cpu = 0; cpu < CPUS; cpu++)
			complete &= level_is_low(cpu);
	}
	for (cpu = 0; cpu < CPUS; cpu++) {
		EXPECT(level_is_low(cpu));
		for (slot = 0; slot < SLOTS; slot++)
			if (!acknowledged(cpu, slot))
				test_fail(__FILE__, __LINE__,
					  "vCPU %d, slot %d: sent %llu, received %llu",
					  cpu, slot,
					  vm_guest_ptr(vm, &sent[0])[cpu][slot],
					  vm_guest_ptr(vm, &received[0])[cpu][slot]);
	}
	if (!complete)
		test_exit();
}

static void races(enum chips chips, u64 steps, u64 mode)
{
	struct sigaction action = { .sa_handler = on_kick };
	const u64 seed = number_from("SEED", 1 + chips);
	u64 i, sum = 0;
	int cpu;

	steps = number_from("STEPS", steps);
	random_seed(seed);
	ksft_print_msg("SEED=%llu STEPS=%llu\n", seed, steps);
	ASSERT_OK(sigaction(SIGUSR1, &action, NULL));
	has_ioapic = chips == CHIPS_KERNEL;
	vm = vm_create_chips(chips);
	vcpus_setup(vm, CPUS, guest_main);
	*vm_guest_ptr(vm, &use_ioapic) = has_ioapic;
	*vm_guest_ptr(vm, &with_xapic) = mode == XAPIC;
	set_up_routes();
	for (cpu = 0; cpu < CPUS; cpu++) {
		assign(cpu);
		players[cpu].vcpu = vm->vcpus[cpu];
		ASSERT(!pthread_create(&players[cpu].thread, NULL, play,
				       &players[cpu]));
	}
	while (*vm_guest_ptr(vm, &ready) < CPUS)
		pause_us(1000);
	for (i = 0; i < steps; i++)
		step();
	for (cpu = 0; cpu < CPUS; cpu++)
		resume_player(&players[cpu]);
	wait_for_all();
	*vm_guest_ptr(vm, &quit) = 1;
	for (cpu = 0; cpu < CPUS; cpu++)
		vm_send_msi(vm, cpu, QUIT_VECTOR);
	for (cpu = 0; cpu < CPUS; cpu++)
		pthread_join(players[cpu].thread, NULL);
	for (i = 0; i < CPUS * SLOTS; i++) {
		EXPECT(acknowledged(i / SLOTS, i % SLOTS));
		sum += vm_guest_ptr(vm, &received[0])[i / SLOTS][i % SLOTS];
	}
	EXPECT_GE(sum, steps / 20);
	ksft_print_msg("%llu interrupts, %u kicks, %u saved, %u unmapped, %u moves\n",
		       sum, done[KICK], done[SAVE],
		       done[UNMAP] + done[LOSE_SCRATCH], done[MIGRATE]);
}

TEST(kernel_chips)
{
	races(CHIPS_KERNEL, 10000, X2APIC);
}

TEST(split_chips)
{
	races(CHIPS_SPLIT, 5000, X2APIC);
}

TEST(xapics)
{
	races(CHIPS_KERNEL, 3000, XAPIC);
}
