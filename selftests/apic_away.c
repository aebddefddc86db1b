// SPDX-License-Identifier: GPL-2.0
/*
 * Local APICs that are not where the others have theirs: x2APICs, disabled ones,
 * ones that were moved; and memory that is in their way. A CPU that virtualizes
 * xAPICs does so for all vCPUs of a VM or for none.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "apic.h"
#include "stats.h"
#include "threads.h"

#define NR_VCPUS	3

#define BASE_OFF	XAPIC_GPA
#define BASE_HOME	(BASE_OFF | APICBASE_EN)
#define BASE_X2APIC	(BASE_HOME | APICBASE_EXTD)
#define MOVED_GPA	0xe0000000UL
#define BASE_MOVED	(MOVED_GPA | APICBASE_EN)

/* What the client, a device, says to a vCPU that has no xAPIC there */
#define DEVICE_WORD	0xd00dfeedU

#define GUEST_ID	(0x20 >> 4)

static struct vcpu *add_vcpu(struct vm *vm, int id, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_setup_long(vcpu, fn, id);
	vcpu_set_mp_state(vcpu, MINIVMM_MP_STATE_RUNNABLE);
	return vcpu;
}

static void guest_set_base(u64 id, u64 base)
{
	if (!id)
		base |= APICBASE_BSP;
	/* SDM figure 11-27: from x2APIC it goes by way of off, as to it by xAPIC */
	if (apic_is_x2apic() && !(base & APICBASE_EXTD))
		wrmsr(MSR_IA32_APICBASE, XAPIC_GPA | (base & APICBASE_BSP));
	if ((base & APICBASE_EXTD) && !apic_is_x2apic())
		wrmsr(MSR_IA32_APICBASE, base & ~APICBASE_EXTD);
	wrmsr(MSR_IA32_APICBASE, base);
}

/* It has its own, and nobody else's. */
static void guest_check_own(u64 id, u64 base, u32 value)
{
	volatile u32 *page = (u32 *)(base & ~0xfffUL);

	page[APIC_TPR / 4] = value;
	page[APIC_LVT_PMC / 4] = LVT_MASKED | value;
	GUEST_ASSERT_EQ(page[APIC_TPR / 4], value & 0xff);
	GUEST_ASSERT_EQ(page[APIC_LVT_PMC / 4], LVT_MASKED | value);
	GUEST_ASSERT_EQ(page[APIC_ID / 4], id << 24);
	GUEST_ASSERT_EQ(read_cr8(), (value & 0xff) >> 4);
}

/* What is not an xAPIC there is a device, which remembers nothing. */
static void guest_check_device(void)
{
	xapic_write(APIC_TPR, 0x77);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), DEVICE_WORD);
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), DEVICE_WORD);
	GUEST_ASSERT_EQ(xapic_read(0xff0), DEVICE_WORD);
}

static const u64 away[] = { BASE_X2APIC, BASE_OFF, BASE_MOVED };

static void guest_check(u64 id, u64 base, u32 value)
{
	if (base == BASE_HOME) {
		guest_check_own(id, base, value);
		return;
	}
	if (base == BASE_MOVED)
		guest_check_own(id, base, value);
	if (base == BASE_X2APIC) {
		apic_write(APIC_TPR, value);
		guest_check_device();
		GUEST_ASSERT_EQ(apic_read(APIC_TPR), value);
		GUEST_ASSERT_EQ(apic_read(APIC_ID), id);
	}
	guest_check_device();
}

/* Runs to the next guest call; where the guest finds a device, answers. */
static int run(struct vcpu *vcpu, struct guest_call *call, int *accesses)
{
	const u32 word = DEVICE_WORD;
	int reason, type;

	for (;;) {
		reason = vcpu_run(vcpu);
		type = vcpu_guest_call(vcpu, reason, call);
		if (type)
			return type;
		if (reason == -EINTR || reason == -EAGAIN)
			continue;
		if (reason != MINIVMM_EXIT_MMIO ||
		    (vcpu->run->mmio.phys_addr & ~0xfffUL) != XAPIC_GPA)
			FAIL("%s", exit_name(reason));
		++*accesses;
		if (!vcpu->run->mmio.is_write)
			memcpy(vcpu->run->mmio.data, &word, sizeof(word));
	}
}

static void need_minivmm(void)
{
	if (!dev_is_minivmm())
		SKIP("KVM lets vCPUs without an xAPIC see memory there");
}

/* ------------------------------------------------------------------------ */
/* One at a time                                                             */

static volatile u64 new_base;

static void guest_obeys(u64 id)
{
	u32 value = 0x40 + id;
	u64 base = BASE_HOME;

	for (;;) {
		guest_check(id, base, value);
		guest_sync(1, 0);
		value = 0x40 + ((value + 0x11) & 0x3f);
		if (new_base)
			guest_set_base(id, new_base);
		base = rdmsr(MSR_IA32_APICBASE) & ~APICBASE_BSP;
	}
}

static struct vm *start_all(void *fn)
{
	struct vm *vm = vm_create_irqchip();
	int id;

	for (id = 0; id < NR_VCPUS; id++)
		add_vcpu(vm, id, fn);
	return vm;
}

/* All vCPUs once, which touch the page, wherever they are; one moves. */
static int run_all(struct vm *vm, int moves, u64 base)
{
	int id, accesses = 0;

	for (id = 0; id < NR_VCPUS; id++) {
		*vm_guest_ptr(vm, &new_base) = id == moves ? base : 0;
		ASSERT_EQ(run(vm->vcpus[id], NULL, &accesses), GUEST_SYNC);
	}
	return accesses;
}

TEST(each_moves)
{
	struct vm *vm;
	int id;
	u32 i;

	need_minivmm();
	vm = start_all(guest_obeys);
	for (i = 0; i < ARRAY_SIZE(away); i++) {
		for (id = 0; id < NR_VCPUS; id++) {
			EXPECT_EQ(run_all(vm, -1, 0), 0);
			EXPECT(run_all(vm, id, away[i]) > 0);
			EXPECT(run_all(vm, -1, 0) > 0);
			EXPECT_EQ(run_all(vm, id, BASE_HOME), 0);
		}
	}
}

TEST(from_place_to_place)
{
	struct vm *vm;
	u32 i, j;

	need_minivmm();
	vm = start_all(guest_obeys);
	EXPECT_EQ(run_all(vm, -1, 0), 0);
	for (i = 0; i < ARRAY_SIZE(away); i++) {
		for (j = 0; j < ARRAY_SIZE(away); j++) {
			EXPECT(run_all(vm, 0, away[i]) > 0);
			EXPECT(run_all(vm, 1, away[j]) > 0);
			EXPECT(run_all(vm, 0, away[j]) > 0);
			EXPECT(run_all(vm, 1, away[i]) > 0);
			EXPECT(run_all(vm, 0, BASE_HOME) > 0);
			EXPECT_EQ(run_all(vm, 1, BASE_HOME), 0);
		}
	}
}

static void client_moves(struct vcpu *vcpu, u64 base)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	sregs.apic_base = base;
	vcpu_set_sregs(vcpu, &sregs);
}

TEST(client_moves_one)
{
	struct vm *vm;
	u32 i;

	need_minivmm();
	vm = start_all(guest_obeys);
	EXPECT_EQ(run_all(vm, -1, 0), 0);
	for (i = 0; i < ARRAY_SIZE(away); i++) {
		client_moves(vm->vcpus[1], away[i]);
		EXPECT(run_all(vm, -1, 0) > 0);
		client_moves(vm->vcpus[1], BASE_HOME);
		EXPECT_EQ(run_all(vm, -1, 0), 0);
		/* there and back before anybody sees it */
		client_moves(vm->vcpus[1], away[i]);
		client_moves(vm->vcpus[1], BASE_HOME);
		EXPECT_EQ(run_all(vm, -1, 0), 0);
	}
}

/* ------------------------------------------------------------------------ */
/* The same registers, also where the CPU cannot help                        */

#define LOOPS	300

static void guest_all_registers(u64 id)
{
	u32 reg, i;

	apic_start(XAPIC);
	for (;;) {
		xapic_write(APIC_LDR, 0xffffffff);
		GUEST_ASSERT_EQ(xapic_read(APIC_LDR), 0xff000000);
		xapic_write(APIC_DFR, 0);
		GUEST_ASSERT_EQ(xapic_read(APIC_DFR), DFR_CLUSTER);
		xapic_write(APIC_SVR, SVR_ENABLE | 0xee);
		GUEST_ASSERT_EQ(xapic_read(APIC_SVR), SVR_ENABLE | 0xee);
		xapic_write(APIC_TDCR, 0xffffffff);
		GUEST_ASSERT_EQ(xapic_read(APIC_TDCR), 0xb);
		xapic_write(APIC_ICR2, 0xffffffff);
		GUEST_ASSERT_EQ(xapic_read(APIC_ICR2), 0xff000000);
		xapic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | 0x31);
		GUEST_ASSERT_EQ(xapic_read(APIC_ICR),
				ICR_SELF | ICR_ASSERT | 0x31);
		GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x31));
		for (reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg += 16) {
			xapic_write(reg, LVT_MASKED | (reg >> 4));
			GUEST_ASSERT_EQ(xapic_read(reg),
					LVT_MASKED | (reg >> 4));
		}
		guest_check_own(id, BASE_HOME, 0x65);
		guest_sync(1, 0);
		for (i = 0; i < LOOPS; i++)
			xapic_write(APIC_TPR, 0x20);
		guest_sync(2, 0);
	}
}

static u64 exits_of_loop(struct vcpu *vcpu, struct stats *stats)
{
	u64 before;

	ASSERT_SYNC(vcpu, 1);
	before = stats_get(stats, "exits") - stats_get(stats, "irq_exits");
	ASSERT_SYNC(vcpu, 2);
	return stats_get(stats, "exits") - stats_get(stats, "irq_exits") -
	       before;
}

/* A vCPU that never runs, but is an x2APIC, changes who does it, not what. */
TEST(with_and_without_the_cpu)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = add_vcpu(vm, 0, guest_all_registers);
	struct vcpu *other = vcpu_create(vm, 1);
	struct stats stats;

	need_minivmm();
	stats_open(&stats, vcpu->fd);
	client_moves(other, BASE_X2APIC);
	EXPECT_GE(exits_of_loop(vcpu, &stats), LOOPS);
	client_moves(other, BASE_HOME);
	if (host_cpu_has("flexpriority"))
		EXPECT(exits_of_loop(vcpu, &stats) < LOOPS / 10);
	else
		EXPECT_GE(exits_of_loop(vcpu, &stats), LOOPS);
}

/* ------------------------------------------------------------------------ */
/* Memory there                                                              */

#define MEMORY_WORD	0x5107beefU

static u32 *memory_pages(int nr)
{
	u32 *pages = mmap(NULL, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u32 i;

	ASSERT(pages != MAP_FAILED);
	for (i = 0; i < nr * PAGE_SIZE / 4; i++)
		pages[i] = MEMORY_WORD;
	return pages;
}

static void guest_reads(void)
{
	for (;;) {
		guest_sync(1, xapic_read(APIC_VERSION));
		xapic_write(APIC_TPR, 0x51);
		guest_sync(2, xapic_read(APIC_TPR));
	}
}

static bool is_version(u32 value)
{
	return (value & 0xfe00fff0) == 0x10;
}

TEST(memory_hides_the_apic)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = add_vcpu(vm, 0, guest_reads);
	u32 *page;
	int i;

	need_minivmm();
	for (i = 0; i < 3; i++) {
		EXPECT(is_version(ASSERT_SYNC(vcpu, 1)));
		EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0x51);
		page = memory_pages(i + 1);
		ASSERT_OK(vm_set_slot(vm, 1, 0, XAPIC_GPA - i * PAGE_SIZE,
				      (i + 1) * PAGE_SIZE, page));
		page += i * PAGE_SIZE / 4;
		EXPECT_EQ(ASSERT_SYNC(vcpu, 1), MEMORY_WORD);
		EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0x51);
		EXPECT_EQ(page[APIC_TPR / 4], 0x51);
		ASSERT_OK(vm_set_slot(vm, 1, 0, 0, 0, NULL));
	}
	EXPECT(is_version(ASSERT_SYNC(vcpu, 1)));
}

/* ... which can be read only: writes find the APIC. */
TEST(read_only_memory)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = add_vcpu(vm, 0, guest_reads);
	u32 *page = memory_pages(1);

	need_minivmm();
	EXPECT(is_version(ASSERT_SYNC(vcpu, 1)));
	ASSERT_OK(vm_set_slot(vm, 1, MINIVMM_MEM_READONLY, XAPIC_GPA,
			      PAGE_SIZE, page));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), MEMORY_WORD);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_TPR), 0x51);
	EXPECT_EQ(page[APIC_TPR / 4], MEMORY_WORD);
}

/* ------------------------------------------------------------------------ */
/* All at once                                                               */

#define ROUNDS	400

static volatile u64 ended;

static void guest_wanders(u64 id)
{
	static const u64 bases[] = {
		BASE_HOME, BASE_X2APIC, BASE_HOME, BASE_OFF, BASE_HOME,
		BASE_MOVED, BASE_HOME,
	};
	u32 i, random = 12345 * (id + 1);

	for (i = 0; i < ROUNDS; i++) {
		u64 base = bases[(random >> 16) % ARRAY_SIZE(bases)];

		guest_set_base(id, base);
		guest_check(id, base, 0x40 + (random >> 8) % 0x40);
		guest_check(id, base, 0x40 + (random >> 20) % 0x40);
		random = random * 1103515245 + 12345;
	}
}

static void *run_thread(void *arg)
{
	int accesses = 0;

	EXPECT_EQ(run(arg, NULL, &accesses), GUEST_DONE);
	EXPECT(accesses > 0);
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST(all_wander)
{
	pthread_t threads[NR_VCPUS];
	struct vm *vm;
	int id;

	need_minivmm();
	vm = start_all(guest_wanders);
	random_seed(1);
	for (id = 0; id < NR_VCPUS; id++)
		ASSERT_EQ(pthread_create(&threads[id], NULL, run_thread,
					 vm->vcpus[id]), 0);
	while (ended < NR_VCPUS) {
		thread_migrate(threads[random_below(NR_VCPUS)]);
		pause_us(500);
	}
	for (id = 0; id < NR_VCPUS; id++)
		pthread_join(threads[id], NULL);
}

static volatile u64 stop;

static void guest_watches(void)
{
	u64 versions = 0, words = 0;
	u32 value;

	asm volatile("sti" : : : "memory");
	while (!stop) {
		value = xapic_read(APIC_VERSION);
		if (value == MEMORY_WORD)
			words++;
		else
			versions++;
		GUEST_ASSERT(value == MEMORY_WORD ||
			     (value & 0xfe00fff0) == 0x10);
	}
	GUEST_ASSERT(versions);
	GUEST_ASSERT(words);
}

/* It is the APIC or the memory, never a page that is neither. */
TEST(memory_comes_and_goes)
{
	struct vm *vm;
	u32 *page = memory_pages(1);
	int i;

	need_minivmm();
	vm = vm_create_irqchip();
	vcpus_setup(vm, 2, guest_watches);
	vcpus_start(vm);
	for (i = 0; i < 200; i++) {
		ASSERT_OK(vm_set_slot(vm, 1, 0, XAPIC_GPA, PAGE_SIZE, page));
		pause_us(200);
		ASSERT_OK(vm_set_slot(vm, 1, 0, 0, 0, NULL));
		pause_us(200);
	}
	*vm_guest_ptr(vm, &stop) = 1;
	vcpus_join(vm, NULL);
}
