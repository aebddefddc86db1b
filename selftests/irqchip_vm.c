// SPDX-License-Identifier: GPL-2.0
/* The VM's interrupt chips and timer in the kernel: ioctls, state, ports. */
#include <stdlib.h>
#include <unistd.h>

#include "guest.h"

#define BAD_POINTER	((void *)0x1000)
#define MAX_ROUTES	4096

#define PIC_PORT	0x20
#define PIC_ELCR_PORT	0x4d0
#define IOAPIC_GPA	0xfec00000UL
#define OTHER_PORT	0x1234
#define ENTRY_MASKED	(1ULL << 16)
#define ENTRY_LEVEL	(1ULL << 15)

static struct vm *vm_with_chips(void)
{
	struct vm *vm = vm_create();

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0));
	return vm;
}

static int enable_cap(struct vm *vm, u32 cap, u64 arg)
{
	struct minivmm_enable_cap enable = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, MINIVMM_ENABLE_CAP, &enable);
}

static struct vm *vm_split(u64 pins)
{
	struct vm *vm = vm_create();

	ASSERT_OK(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, pins));
	return vm;
}

static struct minivmm_irqchip get_chip(struct vm *vm, u32 id)
{
	struct minivmm_irqchip chip = { .chip_id = id };

	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip));
	ASSERT_EQ(chip.chip_id, id);
	return chip;
}

static void set_chip(struct vm *vm, const struct minivmm_irqchip *chip)
{
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, chip));
}

/* Both 8259s, initialized, nothing masked */
static void unmask_pics(struct vm *vm)
{
	struct minivmm_irqchip chip;
	u32 id;

	for (id = MINIVMM_IRQCHIP_PIC_MASTER; id <= MINIVMM_IRQCHIP_PIC_SLAVE;
	     id++) {
		chip = get_chip(vm, id);
		chip.chip.pic.init_state = 0;
		chip.chip.pic.imr = 0;
		chip.chip.pic.irr = 0;
		chip.chip.pic.isr = 0;
		set_chip(vm, &chip);
	}
}

static u8 requests(struct vm *vm, u32 id)
{
	return get_chip(vm, id).chip.pic.irr;
}

static int set_line(struct vm *vm, u32 gsi, u32 level)
{
	struct minivmm_irq_level line = { .irq = gsi, .level = level };

	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQ_LINE_STATUS, &line));
	return line.status;
}

/* ------------------------------------------------------------------------ */
/* Creation                                                                  */

TEST(create_once_and_before_vcpus)
{
	struct vm *vm = vm_with_chips();

	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0), EEXIST);
	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, 24), EEXIST);

	vm = vm_create();
	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 0));
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0), EINVAL);
	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, 24), EEXIST);
}

TEST(split_irqchip)
{
	struct vm *vm = vm_create();
	struct minivmm_irqchip chip = { 0 };

	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, MAX_ROUTES + 1),
		     EINVAL);
	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, ~0ULL), EINVAL);
	EXPECT_OK(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, MAX_ROUTES));
	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, 24), EEXIST);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0), EEXIST);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip), ENXIO);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &chip), ENXIO);
	/* no routes yet: no GSI exists */
	EXPECT_EQ(set_line(vm, 4, 1), -1);
}

TEST(enable_cap_errors)
{
	struct minivmm_enable_cap cap = {
		.cap = MINIVMM_CAP_X2APIC_API, .flags = 1,
	};
	struct vm *vm = vm_create();

	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_ENABLE_CAP, &cap), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_ENABLE_CAP, BAD_POINTER), EFAULT);
	EXPECT_ERRNO(enable_cap(vm, 0x7fffffff, 0), EINVAL);
	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_HLT, 0), EINVAL);
	EXPECT_ERRNO(enable_cap(vm, MINIVMM_CAP_X2APIC_API, 1ULL << 40),
		     EINVAL);
	EXPECT_OK(enable_cap(vm, MINIVMM_CAP_X2APIC_API,
			     MINIVMM_X2APIC_API_USE_32BIT_IDS));
}

TEST(without_chips)
{
	struct vm *vm = vm_create();
	struct minivmm_irqchip chip = { 0 };
	struct minivmm_irq_level line = { 0 };
	struct minivmm_irq_routing routing = { 0 };
	struct minivmm_msi msi = { .address_lo = 0xfee00000 };
	struct minivmm_pit_state2 pit = { 0 };

	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip), ENXIO);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &chip), ENXIO);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_IRQ_LINE, &line), ENXIO);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_IRQ_LINE_STATUS, &line), ENXIO);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, &routing), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_PIT2, &pit), ENXIO);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_PIT2, &pit), ENXIO);
}

TEST(bad_pointers)
{
	static const unsigned long calls[] = {
		MINIVMM_GET_IRQCHIP, MINIVMM_SET_IRQCHIP, MINIVMM_IRQ_LINE,
		MINIVMM_IRQ_LINE_STATUS, MINIVMM_SET_GSI_ROUTING,
		MINIVMM_SIGNAL_MSI, MINIVMM_CREATE_PIT2, MINIVMM_IRQFD,
		MINIVMM_IOEVENTFD,
	};
	struct vm *vm = vm_with_chips();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		EXPECT_ERRNO(ioctl(vm->fd, calls[i], BAD_POINTER), EFAULT);
}

/* ------------------------------------------------------------------------ */
/* State                                                                     */

TEST(pic_state_round_trip)
{
	struct vm *vm = vm_with_chips();
	struct minivmm_irqchip set, got;
	u32 id;

	for (id = MINIVMM_IRQCHIP_PIC_MASTER; id <= MINIVMM_IRQCHIP_PIC_SLAVE;
	     id++) {
		set = get_chip(vm, id);
		set.chip.pic.irq_base = 0x30 + 8 * id;
		set.chip.pic.imr = 0xa5;
		set.chip.pic.isr = 0x10;
		set.chip.pic.irr = 0x20;
		set.chip.pic.last_irr = 0x20;
		set.chip.pic.priority_add = 3;
		set.chip.pic.read_reg_select = 1;
		set.chip.pic.special_mask = 1;
		set.chip.pic.auto_eoi = 1;
		set.chip.pic.rotate_on_auto_eoi = 1;
		set.chip.pic.special_fully_nested_mode = 1;
		set.chip.pic.elcr = set.chip.pic.elcr_mask & 0xc0;
		set_chip(vm, &set);
		got = get_chip(vm, id);
		EXPECT_EQ(memcmp(&set.chip.pic, &got.chip.pic,
				 sizeof(set.chip.pic)), 0);
	}
}

TEST(ioapic_state_round_trip)
{
	struct vm *vm = vm_with_chips();
	struct minivmm_irqchip set, got;
	int i;

	set = get_chip(vm, MINIVMM_IRQCHIP_IOAPIC);
	EXPECT_EQ(set.chip.ioapic.base_address, IOAPIC_GPA);
	for (i = 0; i < MINIVMM_IOAPIC_NUM_PINS; i++) {
		EXPECT_EQ(set.chip.ioapic.redirtbl[i], ENTRY_MASKED);
		set.chip.ioapic.redirtbl[i] = ENTRY_MASKED | (0x30 + i) |
					      (u64)i << 56;
		if (i & 1)
			set.chip.ioapic.redirtbl[i] |= ENTRY_LEVEL;
	}
	set.chip.ioapic.id = 5;
	set.chip.ioapic.ioregsel = 0x12;
	set.chip.ioapic.irr = 0x00800001;
	set_chip(vm, &set);
	got = get_chip(vm, MINIVMM_IRQCHIP_IOAPIC);
	EXPECT_EQ(got.chip.ioapic.id, 5);
	EXPECT_EQ(got.chip.ioapic.ioregsel, 0x12);
	for (i = 0; i < MINIVMM_IOAPIC_NUM_PINS; i++)
		EXPECT_EQ(got.chip.ioapic.redirtbl[i],
			  set.chip.ioapic.redirtbl[i]);
}

TEST(no_such_chip)
{
	struct minivmm_irqchip chip = { .chip_id = 3 };
	struct vm *vm = vm_with_chips();

	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &chip), EINVAL);
	chip.chip_id = ~0U;
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip), EINVAL);
}

/* Whatever the state, neither call nor host may break. */
TEST(hostile_state)
{
	struct vm *vm = vm_with_chips();
	struct minivmm_pit_config config = { 0 };
	struct minivmm_pit_state2 pit;
	struct minivmm_irqchip chip;
	u8 *bytes = (u8 *)&chip.chip;
	int round, i;

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &config));
	srandom(1);
	for (round = 0; round < 300; round++) {
		for (i = 0; i < sizeof(chip.chip); i++)
			bytes[i] = random();
		chip.chip_id = round % 3;
		set_chip(vm, &chip);
		for (i = 0; i < MINIVMM_IOAPIC_NUM_PINS; i++)
			set_line(vm, i, random() & 1);
		for (i = 0; i < sizeof(pit); i++)
			((u8 *)&pit)[i] = random();
		pit.flags &= 2;
		/* KVM of today refuses a count of 0x10000 and more */
		for (i = 0; i < 3; i++)
			pit.channels[i].count &= 0xffff;
		EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_PIT2, &pit));
	}
}

/* ------------------------------------------------------------------------ */
/* Lines and routes                                                          */

TEST(lines_reach_their_pins)
{
	struct vm *vm = vm_with_chips();
	int gsi;

	unmask_pics(vm);
	for (gsi = 0; gsi < 16; gsi++) {
		if (gsi == 2)
			continue;
		EXPECT_EQ(set_line(vm, gsi, 1), 1);
		EXPECT(requests(vm, gsi / 8) & 1 << gsi % 8);
		EXPECT(get_chip(vm, MINIVMM_IRQCHIP_IOAPIC).chip.ioapic.irr |
		       1 << gsi);
		set_line(vm, gsi, 0);
	}
	/* A request that was not taken yet swallows the next. */
	EXPECT_EQ(set_line(vm, 5, 1), 0);
	/* masked in the I/O APIC, and no 8259 has it; never there */
	EXPECT_EQ(set_line(vm, 20, 1), -1);
	EXPECT_EQ(set_line(vm, 24, 1), -1);
	EXPECT_EQ(set_line(vm, ~0U, 1), -1);
}

TEST(level_lines_fall)
{
	struct vm *vm = vm_with_chips();
	struct minivmm_irqchip chip;

	unmask_pics(vm);
	chip = get_chip(vm, MINIVMM_IRQCHIP_PIC_MASTER);
	chip.chip.pic.elcr = 1 << 5;
	set_chip(vm, &chip);
	set_line(vm, 5, 1);
	EXPECT(requests(vm, MINIVMM_IRQCHIP_PIC_MASTER) & 1 << 5);
	set_line(vm, 5, 0);
	EXPECT(!(requests(vm, MINIVMM_IRQCHIP_PIC_MASTER) & 1 << 5));
}

struct routes {
	struct minivmm_irq_routing head;
	struct minivmm_irq_routing_entry entry[4];
};

static int set_routes(struct vm *vm, struct routes *routes, u32 nr)
{
	routes->head.nr = nr;
	return ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, routes);
}

static struct minivmm_irq_routing_entry to_pin(u32 gsi, u32 chip, u32 pin)
{
	return (struct minivmm_irq_routing_entry) {
		.gsi = gsi, .type = MINIVMM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { chip, pin },
	};
}

static struct minivmm_irq_routing_entry to_msi(u32 gsi, u8 vector)
{
	return (struct minivmm_irq_routing_entry) {
		.gsi = gsi, .type = MINIVMM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = 0xfee00000, .data = vector },
	};
}

TEST(routes_are_replaced)
{
	struct routes routes = { 0 };
	struct vm *vm = vm_with_chips();

	unmask_pics(vm);
	routes.entry[0] = to_pin(4095, MINIVMM_IRQCHIP_PIC_MASTER, 3);
	routes.entry[1] = to_pin(4095, MINIVMM_IRQCHIP_PIC_SLAVE, 4);
	routes.entry[2] = to_msi(17, 0x40);
	ASSERT_OK(set_routes(vm, &routes, 3));
	EXPECT_EQ(set_line(vm, 4095, 1), 2);
	EXPECT(requests(vm, MINIVMM_IRQCHIP_PIC_MASTER) & 1 << 3);
	EXPECT(requests(vm, MINIVMM_IRQCHIP_PIC_SLAVE) & 1 << 4);
	EXPECT_EQ(set_line(vm, 5, 1), -1);
	/* there is no vCPU to take it */
	EXPECT_EQ(set_line(vm, 17, 1), -1);
	EXPECT_EQ(set_line(vm, 17, 0), -1);
	ASSERT_OK(set_routes(vm, &routes, 0));
	EXPECT_EQ(set_line(vm, 4095, 0), -1);
}

/* Nobody could lower it any more. */
TEST(input_without_gsi_falls)
{
	struct routes routes = { 0 };
	struct vm *vm = vm_with_chips();

	if (!dev_is_minivmm())
		SKIP("KVM leaves it high");
	routes.entry[0] = to_pin(20, MINIVMM_IRQCHIP_IOAPIC, 20);
	routes.entry[1] = to_pin(21, MINIVMM_IRQCHIP_IOAPIC, 21);
	ASSERT_OK(set_routes(vm, &routes, 2));
	set_line(vm, 20, 1);
	set_line(vm, 21, 1);
	EXPECT_EQ(get_chip(vm, MINIVMM_IRQCHIP_IOAPIC).chip.ioapic.irr, 3 << 20);
	ASSERT_OK(set_routes(vm, &routes, 1));
	EXPECT_EQ(get_chip(vm, MINIVMM_IRQCHIP_IOAPIC).chip.ioapic.irr, 1 << 20);
}

static void expect_bad_route(struct vm *vm,
			     struct minivmm_irq_routing_entry entry)
{
	struct routes routes = { 0 };

	routes.entry[0] = to_msi(0, 0x40);
	routes.entry[1] = entry;
	EXPECT_ERRNO(set_routes(vm, &routes, 2), EINVAL);
}

TEST(routing_errors)
{
	struct minivmm_irq_routing_entry entry;
	struct routes routes = { 0 };
	struct vm *vm = vm_with_chips();

	routes.head.flags = 1;
	EXPECT_ERRNO(set_routes(vm, &routes, 0), EINVAL);
	routes.head.flags = 0;
	EXPECT_ERRNO(set_routes(vm, &routes, MAX_ROUTES + 1), EINVAL);
	EXPECT_ERRNO(set_routes(vm, &routes, ~0U), EINVAL);

	expect_bad_route(vm, to_msi(MAX_ROUTES, 0x40));
	expect_bad_route(vm, to_msi(~0U, 0x40));
	expect_bad_route(vm, to_msi(0, 0x41));
	expect_bad_route(vm, to_pin(0, MINIVMM_IRQCHIP_IOAPIC, 0));
	expect_bad_route(vm, to_pin(1, MINIVMM_IRQCHIP_IOAPIC, 24));
	expect_bad_route(vm, to_pin(1, MINIVMM_IRQCHIP_PIC_MASTER, 8));
	expect_bad_route(vm, to_pin(1, MINIVMM_IRQCHIP_PIC_SLAVE, ~0U));
	expect_bad_route(vm, to_pin(1, 3, 0));
	entry = to_msi(1, 0x40);
	entry.type = 99;
	expect_bad_route(vm, entry);
	entry = to_pin(1, MINIVMM_IRQCHIP_IOAPIC, 1);
	entry.flags = 1;
	expect_bad_route(vm, entry);
	entry = to_msi(1, 0x40);
	entry.flags = 1 << 7;
	expect_bad_route(vm, entry);

	/* a GSI goes to each chip once */
	routes.entry[0] = to_pin(1, MINIVMM_IRQCHIP_IOAPIC, 1);
	routes.entry[1] = to_pin(1, MINIVMM_IRQCHIP_IOAPIC, 2);
	EXPECT_ERRNO(set_routes(vm, &routes, 2), EINVAL);
	/* and none of this has changed a thing */
	unmask_pics(vm);
	EXPECT_EQ(set_line(vm, 5, 1), 1);

	expect_bad_route(vm_split(24), to_pin(1, MINIVMM_IRQCHIP_IOAPIC, 1));
}

TEST(most_routes)
{
	u64 size = MAX_ROUTES * sizeof(struct minivmm_irq_routing_entry);
	struct minivmm_irq_routing *routing = calloc(1, sizeof(*routing) +
						     size);
	struct vm *vm = vm_split(24);
	u32 i;

	for (i = 0; i < MAX_ROUTES; i++)
		routing->entries[i] = to_msi(i, 0x40);
	/* what the client's I/O APIC sends level triggered */
	routing->entries[3].u.msi.data |= 1 << 15;
	routing->nr = MAX_ROUTES;
	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, routing));
	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, routing));
}

TEST(msi_with_32_bit_destinations)
{
	struct minivmm_irq_routing_entry entry = to_msi(1, 0x40);
	struct minivmm_msi msi = {
		.address_lo = 0xfee00000, .address_hi = 0x12, .data = 0x40,
	};
	struct vm *vm = vm_split(24);

	ASSERT_OK(enable_cap(vm, MINIVMM_CAP_X2APIC_API,
			     MINIVMM_X2APIC_API_USE_32BIT_IDS));
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), EINVAL);
	entry.u.msi.address_hi = 0x12;
	expect_bad_route(vm, entry);
}

TEST(signal_msi)
{
	struct minivmm_msi msi = { .address_lo = 0xfee00000, .data = 0x40 };
	struct vm *vm = vm_with_chips();

	/* KVM's -1: nobody is addressed */
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), EPERM);
	/* somebody is, but its APIC is still off: nobody has taken it */
	vcpu_create(vm, 0);
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), 0);
	msi.flags = 1 << 7;
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), EINVAL);
}

/* ------------------------------------------------------------------------ */
/* The timer                                                                 */

TEST(pit_creation)
{
	struct minivmm_pit_config config = { 0 };
	struct vm *vm = vm_with_chips();

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &config));
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &config), EEXIST);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_PIT, 0), EEXIST);

	ASSERT_OK(ioctl(vm_with_chips()->fd, MINIVMM_CREATE_PIT, 0));
	if (!dev_is_minivmm())
		return;
	/* Old KVM lets a timer interrupt nobody, and takes any flags. */
	EXPECT_ERRNO(ioctl(vm_create()->fd, MINIVMM_CREATE_PIT2, &config),
		     ENOENT);
	EXPECT_ERRNO(ioctl(vm_split(24)->fd, MINIVMM_CREATE_PIT, 0), ENOENT);
	config.flags = 1 << 7;
	EXPECT_ERRNO(ioctl(vm_with_chips()->fd, MINIVMM_CREATE_PIT2, &config),
		     EINVAL);
}

/* Mode 2, 11932 ticks: 100 Hz */
static struct minivmm_pit_state2 running_pit(void)
{
	struct minivmm_pit_state2 pit = { 0 };
	int i;

	for (i = 0; i < 3; i++)
		pit.channels[i] = (struct minivmm_pit_channel_state) {
			.count = 11932, .read_state = 3, .write_state = 3,
			.rw_mode = 3, .mode = 2, .gate = 1,
		};
	return pit;
}

TEST(pit_state_round_trip)
{
	struct minivmm_pit_state2 set = running_pit(), got;
	struct minivmm_pit_config config = { 0 };
	struct vm *vm = vm_with_chips();
	int i;

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &config));
	set.channels[2].mode = 3;
	set.channels[2].count_latched = 3;
	set.channels[2].latched_count = 0x1234;
	set.flags = MINIVMM_PIT_FLAGS_HPET_LEGACY;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_PIT2, &set));
	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_PIT2, &got));
	EXPECT_EQ(got.flags, set.flags);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(got.channels[i].count, set.channels[i].count);
		EXPECT_EQ(got.channels[i].mode, set.channels[i].mode);
		EXPECT_EQ(got.channels[i].rw_mode, set.channels[i].rw_mode);
		EXPECT_EQ(got.channels[i].gate, set.channels[i].gate);
		EXPECT_EQ(got.channels[i].latched_count,
			  set.channels[i].latched_count);
	}
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_PIT2, BAD_POINTER), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_PIT2, BAD_POINTER), EFAULT);
}

static bool timer_interrupts(struct vm *vm)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (requests(vm, MINIVMM_IRQCHIP_PIC_MASTER) & 1)
			return true;
		usleep(1000);
	}
	return false;
}

TEST(pit_interrupts)
{
	struct minivmm_pit_state2 pit = running_pit();
	struct minivmm_pit_config config = { 0 };
	struct vm *vm = vm_with_chips();

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &config));
	unmask_pics(vm);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_PIT2, &pit));
	EXPECT(timer_interrupts(vm));
	/* and goes with the VM while it runs */
	vm_free(vm);
}

/* ------------------------------------------------------------------------ */
/* The guest's view                                                          */

guest_code16(pic_ports,
	     /* ICW1 to ICW4, then the mask */
	     "movb $0x11, %al; outb %al, $0x20\n"
	     "movb $0x38, %al; outb %al, $0x21\n"
	     "movb $0x04, %al; outb %al, $0x21\n"
	     "movb $0x01, %al; outb %al, $0x21\n"
	     "movb $0x5a, %al; outb %al, $0x21\n"
	     "xorb %al, %al\n"
	     "inb $0x21, %al\n"
	     "movw $0x1234, %dx; outb %al, %dx\n"
	     /* only levels that a PC can have */
	     "movw $0x4d0, %dx; movb $0xff, %al; outb %al, %dx; inb %dx, %al\n"
	     "movw $0x1234, %dx; outb %al, %dx\n"
	     /* not the kernel's: 0x22 */
	     "inb $0x22, %al\n");

TEST(pic_ports)
{
	struct vcpu *vcpu = vcpu_create(vm_with_chips(), 0);

	vcpu_setup_real(vcpu, &pic_ports);
	ASSERT_OUT(vcpu, OTHER_PORT, 0x5a);
	ASSERT_OUT(vcpu, OTHER_PORT, 0xf8);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(vcpu->run->io.port, 0x22);
	EXPECT_EQ(get_chip(vcpu->vm, 0).chip.pic.irq_base, 0x38);
}

guest_code16(string_ports,
	     "movw $0x21, %dx\n"
	     "movw $data - blob_start_string_ports + 0x1000, %si\n"
	     "movw $3, %cx\n"
	     "cld; rep outsb\n"
	     "movw %si, %bx\n"
	     "movw $0x3000, %di\n"
	     "movw $4, %cx\n"
	     "rep insb\n"
	     "movb $0, %al; movw $0x1234, %dx; outb %al, %dx\n"
	     "data: .byte 1, 2, 0x77\n");

TEST(string_ports)
{
	struct vcpu *vcpu = vcpu_create(vm_with_chips(), 0);
	struct minivmm_regs regs;

	vcpu_setup_real(vcpu, &string_ports);
	/* mask register, not an ICW */
	unmask_pics(vcpu->vm);
	ASSERT_OUT(vcpu, OTHER_PORT, 0);
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rcx & 0xffff, 0);
	EXPECT_EQ(regs.rdi & 0xffff, 0x3004);
	EXPECT_EQ(regs.rsi & 0xffff, regs.rbx & 0xffff);
	EXPECT_EQ(memcmp(vm_gpa(vcpu->vm, 0x3000), "\x77\x77\x77\x77\0", 5), 0);
}

#define IOAPIC ((volatile u32 *)IOAPIC_GPA)

static u32 ioapic_get(u32 reg)
{
	IOAPIC[0] = reg;
	return IOAPIC[4];
}

static void ioapic_put(u32 reg, u32 value)
{
	IOAPIC[0] = reg;
	IOAPIC[4] = value;
}

static void ioapic_window(void)
{
	GUEST_ASSERT((ioapic_get(1) >> 16) == MINIVMM_IOAPIC_NUM_PINS - 1);
	ioapic_put(0x10 + 2 * 9 + 1, 0x05000000);
	ioapic_put(0x10 + 2 * 9, 0x18033);
	GUEST_ASSERT(ioapic_get(0x10 + 2 * 9) == 0x18033);
	GUEST_ASSERT(ioapic_get(0x10 + 2 * 9 + 1) == 0x05000000);
	/* read-modify-write: one read and one write, both here */
	asm volatile("orl $0x02000000, %0" : "+m"(IOAPIC[4]));
	GUEST_ASSERT(ioapic_get(0x10 + 2 * 9 + 1) == 0x07000000);
	ioapic_get(0x10 + 2 * 9);
	asm volatile("orl $0x2000, %0" : "+m"(IOAPIC[4]));
	GUEST_ASSERT(ioapic_get(0x10 + 2 * 9) == 0x1a033);
}

TEST(ioapic_window)
{
	struct vcpu *vcpu = vcpu_create(vm_with_chips(), 0);
	struct minivmm_irqchip chip;

	vcpu_setup_long(vcpu, ioapic_window, 0);
	ASSERT_DONE(vcpu);
	chip = get_chip(vcpu->vm, MINIVMM_IRQCHIP_IOAPIC);
	EXPECT_EQ(chip.chip.ioapic.redirtbl[9], 0x070000000001a033);
}

guest_code16(pit_ports,
	     "movb $0x34, %al; outb %al, $0x43\n"
	     "movb $0x9c, %al; outb %al, $0x40\n"
	     "movb $0x2e, %al; outb %al, $0x40\n"
	     "inb $0x61, %al\n"
	     "movw $0x1234, %dx; outb %al, %dx\n");

TEST(pit_ports)
{
	struct minivmm_pit_config config = { MINIVMM_PIT_SPEAKER_DUMMY };
	struct vm *vm = vm_with_chips();
	struct minivmm_pit_state2 pit;
	struct vcpu *vcpu;

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &config));
	vcpu = vcpu_create(vm, 0);
	vcpu_setup_real(vcpu, &pit_ports);
	unmask_pics(vm);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(vcpu->run->io.port, OTHER_PORT);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_PIT2, &pit));
	EXPECT_EQ(pit.channels[0].count, 0x2e9c);
	EXPECT_EQ(pit.channels[0].mode, 2);
	EXPECT(timer_interrupts(vm));
}
