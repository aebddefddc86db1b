// SPDX-License-Identifier: GPL-2.0
/*
 * No memory: each allocation of each call fails once.  The call says ENOMEM and
 * has changed nothing, or does without; either way the VM works, and nothing is
 * lost.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apic.h"
#include "fail_alloc.h"
#include "hostmem.h"

#define LOG		MINIVMM_MEM_LOG_DIRTY_PAGES
#define PAGES		64UL
#define SIZE		(PAGES * PAGE_SIZE)
#define GSI		5

static struct vm *vm;
static struct vcpu *vcpu;
static void *memory;

static void guest_syncs(void)
{
	for (;;)
		guest_sync(1, 0);
}

/* A VM whose guest can be asked whether it works */
static void make_guest(struct vm *new)
{
	vm = new;
	vcpu = vcpu_create(vm, 0);
	vcpu_setup_long(vcpu, guest_syncs, 0);
	memory = map_small(PAGES);
	memset(memory, 1, SIZE);
}

static void guest_works(void)
{
	ASSERT_SYNC(vcpu, 1);
}

/* The file descriptor that the call under test returned */
static int made = -1;

static void close_made(void)
{
	ASSERT_OK(close(made));
}

/* ------------------------------------------------------------------------ */
/* VMs and vCPUs                                                             */

/* For what a VM can do once only: it is a new one after each success. */
static struct {
	int dev;
	int fd;
	void (*chips)(int fd);
} bare;

static void kernel_chips(int fd)
{
	ASSERT_OK(ioctl(fd, MINIVMM_CREATE_IRQCHIP, 0));
}

static void split_chips(int fd)
{
	struct minivmm_enable_cap cap = {
		.cap = MINIVMM_CAP_SPLIT_IRQCHIP, .args[0] = 24,
	};

	ASSERT_OK(ioctl(fd, MINIVMM_ENABLE_CAP, &cap));
}

static void new_bare(void)
{
	bare.fd = ASSERT_OK(ioctl(bare.dev, MINIVMM_CREATE_VM, 0));
	if (bare.chips)
		bare.chips(bare.fd);
}

static void make_bare(void (*chips)(int fd))
{
	bare.dev = dev_open();
	bare.chips = chips;
	new_bare();
}

static void renew_bare(void)
{
	close(bare.fd);
	new_bare();
}

static int create_vm(void)
{
	return made = ioctl(bare.dev, MINIVMM_CREATE_VM, 0);
}

TEST(create_vm)
{
	const struct call call = {
		.call = create_vm, .undo = close_made, .failures = 8,
	};

	bare.dev = dev_open();
	fail_every_allocation(&call);
}

/* In a child: does CREATE_VM, with the @n-th allocation failing, behave? */
static void create_in_child(int n, bool all)
{
	char site[256];
	int dev = dev_open(), fd;
	bool failed;

	fail_alloc_arm(n, all);
	errno = 0;
	fd = ioctl(dev, MINIVMM_CREATE_VM, 0);
	failed = fail_alloc_disarm(site);
	if (fd < 0 && (!failed || errno != ENOMEM))
		FAIL("no memory at %s: %s", site, strerror(errno));
	if (fd < 0)
		ASSERT_OK(ioctl(dev, MINIVMM_CREATE_VM, 0));
	_exit(failed ? fd < 0 : 2);
}

/* Again and again until none fails.  How many VMs were not made */
static int create_in_children(bool all)
{
	int n, status, failures = 0;
	pid_t pid;

	for (n = 1; ; n++) {
		pid = ASSERT_OK(fork());
		if (!pid)
			create_in_child(n, all);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT(WIFEXITED(status) && WEXITSTATUS(status) <= 2);
		if (WEXITSTATUS(status) == 2)
			return failures;
		failures += WEXITSTATUS(status);
	}
}

/* A process has its MMU notifiers, as long as it lives, from its first VM. */
TEST(create_first_vm)
{
	fail_alloc_open();
	EXPECT_GE(create_in_children(false), 9);
	EXPECT_GE(create_in_children(true), 9);
}

static int create_vcpu(void)
{
	return made = ioctl(bare.fd, MINIVMM_CREATE_VCPU, 0);
}

static void renew_bare_and_vcpu(void)
{
	close_made();
	renew_bare();
}

static void create_vcpus(void (*chips)(int fd), int failures)
{
	const struct call call = {
		.call = create_vcpu, .undo = renew_bare_and_vcpu,
		.failures = failures,
	};

	make_bare(chips);
	fail_every_allocation(&call);
}

TEST(create_vcpu)
{
	create_vcpus(NULL, 8);
}

TEST(create_vcpu_with_chips)
{
	create_vcpus(kernel_chips, 10);
}

TEST(create_vcpu_with_local_apics)
{
	create_vcpus(split_chips, 10);
}

/* ------------------------------------------------------------------------ */
/* Memory slots                                                              */

static int set_slot(u32 flags, u64 gpa, u64 size)
{
	return vm_set_slot(vm, 1, flags, gpa, size, memory);
}

static void delete_slot(void)
{
	ASSERT_OK(set_slot(0, 0, 0));
	guest_works();
}

static void no_slot(void)
{
	ASSERT_ERRNO(set_slot(0, 0, 0), EINVAL);
	guest_works();
}

static int add_slot(void)
{
	return set_slot(0, REGION_GPA, SIZE);
}

TEST(add_slot)
{
	const struct call call = {
		.call = add_slot, .undo = delete_slot, .unchanged = no_slot,
		.failures = 1,
	};

	make_guest(vm_create());
	fail_every_allocation(&call);
}

static int add_far_slot(void)
{
	return vm_set_slot(vm, 5000, LOG, REGION_GPA, SIZE, memory);
}

static void delete_far_slot(void)
{
	ASSERT_OK(vm_set_slot(vm, 5000, 0, 0, 0, NULL));
	guest_works();
}

/* Its number is one that takes more to remember. */
TEST(add_logged_slot)
{
	const struct call call = {
		.call = add_far_slot, .undo = delete_far_slot,
		.unchanged = guest_works, .failures = 2,
	};

	make_guest(vm_create());
	fail_every_allocation(&call);
}

static int get_log(void)
{
	u64 bitmap[PAGES / 64];
	struct minivmm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	return ioctl(vm->fd, MINIVMM_GET_DIRTY_LOG, &log);
}

static int start_log(void)
{
	return set_slot(LOG, REGION_GPA, SIZE);
}

static void stop_log(void)
{
	ASSERT_OK(get_log());
	ASSERT_OK(set_slot(0, REGION_GPA, SIZE));
	guest_works();
}

static void no_log(void)
{
	ASSERT_ERRNO(get_log(), ENOENT);
	guest_works();
}

TEST(start_log)
{
	const struct call call = {
		.call = start_log, .undo = stop_log, .unchanged = no_log,
		.failures = 1,
	};

	make_guest(vm_create());
	ASSERT_OK(add_slot());
	fail_every_allocation(&call);
}

static int move_slot(void)
{
	return set_slot(0, REGION_GPA + SIZE, SIZE);
}

static int move_logged_slot(void)
{
	return set_slot(LOG, REGION_GPA + SIZE, SIZE);
}

static bool is_free(u64 gpa)
{
	if (vm_set_slot(vm, 2, 0, gpa, SIZE, memory)) {
		ASSERT_EQ(errno, EEXIST);
		return false;
	}
	ASSERT_OK(vm_set_slot(vm, 2, 0, 0, 0, NULL));
	return true;
}

static void move_back(void)
{
	ASSERT(is_free(REGION_GPA));
	ASSERT_OK(add_slot());
	guest_works();
}

static void not_moved(void)
{
	ASSERT(!is_free(REGION_GPA));
	ASSERT(is_free(REGION_GPA + SIZE));
	no_log();
}

TEST(move_slot)
{
	const struct call call = {
		.call = move_slot, .undo = move_back, .unchanged = not_moved,
		.failures = 1,
	};

	make_guest(vm_create());
	ASSERT_OK(add_slot());
	fail_every_allocation(&call);
}

TEST(move_slot_and_start_log)
{
	const struct call call = {
		.call = move_logged_slot, .undo = move_back,
		.unchanged = not_moved, .failures = 2,
	};

	make_guest(vm_create());
	ASSERT_OK(add_slot());
	fail_every_allocation(&call);
}

/* ------------------------------------------------------------------------ */
/* Interrupt chips, routes, eventfds                                         */

static int create_irqchip(void)
{
	return ioctl(bare.fd, MINIVMM_CREATE_IRQCHIP, 0);
}

static void no_irqchip(void)
{
	struct minivmm_irq_level line = { .irq = GSI };

	ASSERT_ERRNO(ioctl(bare.fd, MINIVMM_IRQ_LINE, &line), ENXIO);
}

TEST(create_irqchip)
{
	const struct call call = {
		.call = create_irqchip, .undo = renew_bare,
		.unchanged = no_irqchip, .failures = 3,
	};

	make_bare(NULL);
	fail_every_allocation(&call);
}

static int split_irqchip(void)
{
	struct minivmm_enable_cap cap = {
		.cap = MINIVMM_CAP_SPLIT_IRQCHIP, .args[0] = 24,
	};

	return ioctl(bare.fd, MINIVMM_ENABLE_CAP, &cap);
}

/* It may need no memory at all. */
TEST(split_irqchip)
{
	const struct call call = {
		.call = split_irqchip, .undo = renew_bare,
		.unchanged = no_irqchip,
	};

	make_bare(NULL);
	fail_every_allocation(&call);
}

static int create_pit(void)
{
	struct minivmm_pit_config config = {};

	return ioctl(bare.fd, MINIVMM_CREATE_PIT2, &config);
}

static void no_pit(void)
{
	struct minivmm_pit_state2 state;

	ASSERT_ERRNO(ioctl(bare.fd, MINIVMM_GET_PIT2, &state), ENXIO);
}

TEST(create_pit)
{
	const struct call call = {
		.call = create_pit, .undo = renew_bare, .unchanged = no_pit,
		.failures = 2,
	};

	make_bare(kernel_chips);
	fail_every_allocation(&call);
}

/* Does GSI 5 lead to the 8259 pair's input 5? */
static bool has_default_route(void)
{
	struct minivmm_irqchip chip = { .chip_id = MINIVMM_IRQCHIP_PIC_MASTER };

	vm_irq_line(vm, GSI, 1);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip));
	vm_irq_line(vm, GSI, 0);
	return chip.chip.pic.last_irr & 1 << GSI;
}

static int set_routing(u32 gsi)
{
	struct {
		struct minivmm_irq_routing head;
		struct minivmm_irq_routing_entry entry;
	} table = {
		.head.nr = 1,
		.entry = {
			.gsi = gsi, .type = MINIVMM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { MINIVMM_IRQCHIP_PIC_MASTER, GSI },
		},
	};

	return ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, &table);
}

static int reroute(void)
{
	return set_routing(40);
}

static void route_back(void)
{
	ASSERT(!has_default_route());
	ASSERT_OK(set_routing(GSI));
	guest_works();
}

static void not_rerouted(void)
{
	ASSERT(has_default_route());
	guest_works();
}

TEST(set_gsi_routing)
{
	const struct call call = {
		.call = reroute, .undo = route_back, .unchanged = not_rerouted,
		.failures = 2,
	};

	make_guest(vm_create_irqchip());
	fail_every_allocation(&call);
}

static int event = -1, resample = -1;

static int irqfd(u32 flags)
{
	struct minivmm_irqfd args = {
		.fd = event, .gsi = GSI, .flags = flags,
		.resamplefd = resample,
	};

	return ioctl(vm->fd, MINIVMM_IRQFD, &args);
}

static int add_irqfd(void)
{
	return irqfd(0);
}

static int add_resampled_irqfd(void)
{
	return irqfd(MINIVMM_IRQFD_FLAG_RESAMPLE);
}

static void remove_irqfd(void)
{
	ASSERT_OK(irqfd(MINIVMM_IRQFD_FLAG_DEASSIGN));
	guest_works();
}

static void sweep_irqfd(int (*add)(void))
{
	const struct call call = {
		.call = add, .undo = remove_irqfd, .unchanged = guest_works,
		.failures = 1,
	};

	make_guest(vm_create_irqchip());
	event = ASSERT_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	resample = ASSERT_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	fail_every_allocation(&call);
}

TEST(irqfd)
{
	sweep_irqfd(add_irqfd);
}

TEST(resampled_irqfd)
{
	sweep_irqfd(add_resampled_irqfd);
}

static int ioeventfd(u32 flags)
{
	struct minivmm_ioeventfd args = {
		.addr = MMIO_GPA, .len = 4, .fd = event, .flags = flags,
	};

	return ioctl(vm->fd, MINIVMM_IOEVENTFD, &args);
}

static int add_ioeventfd(void)
{
	return ioeventfd(0);
}

static int remove_ioeventfd(void)
{
	return ioeventfd(MINIVMM_IOEVENTFD_FLAG_DEASSIGN);
}

static void no_ioeventfd(void)
{
	ASSERT_ERRNO(remove_ioeventfd(), ENOENT);
	guest_works();
}

static void has_ioeventfd(void)
{
	ASSERT_ERRNO(add_ioeventfd(), EEXIST);
	guest_works();
}

static void undo_add_ioeventfd(void)
{
	ASSERT_OK(remove_ioeventfd());
	guest_works();
}

static void undo_remove_ioeventfd(void)
{
	ASSERT_OK(add_ioeventfd());
	guest_works();
}

TEST(add_ioeventfd)
{
	const struct call call = {
		.call = add_ioeventfd, .undo = undo_add_ioeventfd,
		.unchanged = no_ioeventfd, .failures = 2,
	};

	make_guest(vm_create());
	event = ASSERT_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	fail_every_allocation(&call);
}

TEST(remove_ioeventfd)
{
	const struct call call = {
		.call = remove_ioeventfd, .undo = undo_remove_ioeventfd,
		.unchanged = has_ioeventfd, .failures = 1,
	};

	make_guest(vm_create());
	event = ASSERT_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	ASSERT_OK(add_ioeventfd());
	fail_every_allocation(&call);
}

static struct minivmm_coalesced_mmio_zone zone = {
	.addr = MMIO_GPA, .size = PAGE_SIZE,
};

static int add_zone(void)
{
	return ioctl(vm->fd, MINIVMM_REGISTER_COALESCED_MMIO, &zone);
}

static int remove_zone(void)
{
	return ioctl(vm->fd, MINIVMM_UNREGISTER_COALESCED_MMIO, &zone);
}

static void undo_add_zone(void)
{
	ASSERT_OK(remove_zone());
	guest_works();
}

static void undo_remove_zone(void)
{
	ASSERT_OK(add_zone());
	guest_works();
}

/* The first zone, and one more */
TEST(add_coalesced_zone)
{
	const struct call call = {
		.call = add_zone, .undo = undo_add_zone,
		.unchanged = guest_works, .failures = 1,
	};

	make_guest(vm_create());
	fail_every_allocation(&call);
	zone.addr += PAGE_SIZE;
	ASSERT_OK(add_zone());
	zone.addr -= PAGE_SIZE;
	fail_every_allocation(&call);
}

TEST(remove_coalesced_zone)
{
	const struct call call = {
		.call = remove_zone, .undo = undo_remove_zone,
		.unchanged = guest_works, .failures = 1,
	};

	make_guest(vm_create());
	ASSERT_OK(add_zone());
	fail_every_allocation(&call);
}

static struct minivmm_irqchip chip = { .chip_id = MINIVMM_IRQCHIP_IOAPIC };

static int get_irqchip(void)
{
	return ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip);
}

static int set_irqchip(void)
{
	return ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &chip);
}

TEST(irqchip_state)
{
	const struct call get = {
		.call = get_irqchip, .undo = guest_works, .failures = 1,
	};
	const struct call set = {
		.call = set_irqchip, .undo = guest_works, .failures = 1,
	};

	make_guest(vm_create_irqchip());
	fail_every_allocation(&get);
	fail_every_allocation(&set);
}

/* ------------------------------------------------------------------------ */
/* CPUID, MSRs, statistics                                                   */

static struct {
	struct minivmm_cpuid2 head;
	struct minivmm_cpuid_entry2 entries[256];
} leaves;

static int get_supported(void)
{
	leaves.head.nent = ARRAY_SIZE(leaves.entries);
	return ioctl(vm->dev_fd, MINIVMM_GET_SUPPORTED_CPUID, &leaves);
}

static int set_cpuid(void)
{
	return ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &leaves);
}

static void no_undo(void)
{
}

TEST(cpuid)
{
	const struct call get = { .call = get_supported, .undo = no_undo };
	const struct call set = {
		.call = set_cpuid, .undo = no_undo, .failures = 1,
	};

	vm = vm_create();
	vcpu = vcpu_create(vm, 0);
	fail_every_allocation(&get);
	fail_every_allocation(&set);
}

static struct {
	struct minivmm_msrs head;
	struct minivmm_msr_entry entry;
} msrs = { .head.nmsrs = 1, .entry.index = 0x8b };

static int get_feature_msrs(void)
{
	return ioctl(vm->dev_fd, MINIVMM_GET_MSRS, &msrs);
}

static int get_msrs(void)
{
	return ioctl(vcpu->fd, MINIVMM_GET_MSRS, &msrs);
}

static int set_msrs(void)
{
	return ioctl(vcpu->fd, MINIVMM_SET_MSRS, &msrs);
}

TEST(msrs)
{
	int (*const calls[])(void) = { get_feature_msrs, get_msrs, set_msrs };
	unsigned int i;

	make_guest(vm_create());
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call call = {
			.call = calls[i], .undo = guest_works, .failures = 1,
		};

		fail_every_allocation(&call);
	}
}

static u64 denied[1];

static int set_filter(void)
{
	struct minivmm_msr_filter filter = {
		.ranges[0] = {
			.flags = MINIVMM_MSR_FILTER_READ, .nmsrs = 64,
			.base = 0x10000, .bitmap = (void *)denied,
		},
	};

	return ioctl(vm->fd, MINIVMM_X86_SET_MSR_FILTER, &filter);
}

TEST(msr_filter)
{
	const struct call call = {
		.call = set_filter, .undo = guest_works, .unchanged = guest_works,
		.failures = 1,
	};

	make_guest(vm_create());
	fail_every_allocation(&call);
}

static int stats = -1;

static int vm_stats(void)
{
	return made = ioctl(vm->fd, MINIVMM_GET_STATS_FD, 0);
}

static int vcpu_stats(void)
{
	return made = ioctl(vcpu->fd, MINIVMM_GET_STATS_FD, 0);
}

static int read_stats(void)
{
	char buffer[256];

	return pread(stats, buffer, sizeof(buffer), 0);
}

TEST(statistics)
{
	const struct call of_vm = {
		.call = vm_stats, .undo = close_made, .failures = 1,
	};
	const struct call of_vcpu = {
		.call = vcpu_stats, .undo = close_made, .failures = 1,
	};
	const struct call reading = {
		.call = read_stats, .undo = guest_works, .failures = 1,
	};

	make_guest(vm_create());
	fail_every_allocation(&of_vm);
	fail_every_allocation(&of_vcpu);
	stats = ASSERT_OK(vcpu_stats());
	fail_every_allocation(&reading);
}

/* ------------------------------------------------------------------------ */
/* A vCPU's state                                                            */

static struct minivmm_lapic_state lapic;
static struct minivmm_xsave xsave __attribute__((aligned(64)));

static int get_lapic(void)
{
	return ioctl(vcpu->fd, MINIVMM_GET_LAPIC, &lapic);
}

static int set_lapic(void)
{
	return ioctl(vcpu->fd, MINIVMM_SET_LAPIC, &lapic);
}

static int get_xsave(void)
{
	return ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &xsave);
}

static int set_xsave(void)
{
	return ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave);
}

TEST(vcpu_state)
{
	static const struct {
		int (*call)(void);
		int failures;
	} calls[] = {
		{ get_lapic, 1 }, { set_lapic, 1 },
		{ get_xsave, 0 }, { set_xsave, 1 },
	};
	unsigned int i;

	make_guest(vm_create_irqchip());
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call call = {
			.call = calls[i].call, .undo = guest_works,
			.failures = calls[i].failures,
		};

		fail_every_allocation(&call);
	}
}

/* ------------------------------------------------------------------------ */
/* Guest memory, running                                                     */

/* Writes to memory that is new to both the guest and the host, then to a device */
guest_code16(touching_guest,
	     "1: incw 0x8000\n"
	     "movw $0xffff, %ax; movw %ax, %es; movw %ax, %es:0x10\n"
	     "jmp 1b\n");

static void new_toucher(void)
{
	if (vcpu)
		vm_free(vcpu->vm);
	vcpu = vcpu_create(vm_create(), 0);
	vcpu_setup_real(vcpu, &touching_guest);
	ASSERT_OK(vm_set_slot(vcpu->vm, 0, 0, 0, 0, NULL));
	ASSERT_OK(vm_set_slot(vcpu->vm, 0, 0, 0, 0x100000, vcpu->vm->mem));
}

static int run(void)
{
	int ret = ioctl(vcpu->fd, MINIVMM_RUN, 0);

	if (!ret)
		ASSERT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_MMIO);
	return ret;
}

static int prefault(void)
{
	struct minivmm_pre_fault_memory range = {
		.gpa = 0x8000, .size = PAGE_SIZE,
	};

	return ioctl(vcpu->fd, MINIVMM_PRE_FAULT_MEMORY, &range);
}

TEST(pre_fault_memory)
{
	const struct call call = {
		.call = prefault, .undo = new_toucher, .failures = 3,
		.efault = true,
	};

	new_toucher();
	fail_every_allocation(&call);
}

static void touched_once(void)
{
	u16 *word = vm_gpa(vcpu->vm, 0x8000);

	ASSERT_EQ(*word, 1);
	new_toucher();
}

static void touched_at_most_once(void)
{
	u16 *word = vm_gpa(vcpu->vm, 0x8000);

	ASSERT(*word <= 1);
}

TEST(run)
{
	const struct call call = {
		.call = run, .undo = touched_once,
		.unchanged = touched_at_most_once, .failures = 4,
		.efault = true,
	};

	new_toucher();
	fail_every_allocation(&call);
}
