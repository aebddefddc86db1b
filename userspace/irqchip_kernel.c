// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt chips in the kernel: all of them, or the local APICs alone, to
 * which our I/O APIC then sends messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "irqchip.h"
#include "monotonic.h"
#include "msr.h"
#include "report.h"

/* MSI address and data, SDM volume 3A, 11.11 */
#define MSI_ADDRESS		0xfee00000
#define MSI_DEST_SHIFT		12
#define MSI_LOGICAL		BIT(2)
#define MSI_MODE_SHIFT		8
#define MSI_ASSERT		BIT(14)
#define MSI_LEVEL		BIT(15)

/* CPUs whose APIC IDs an xAPIC can name */
#define MAX_XAPIC_CPUS		255

/* Both kinds of chip at every pin at most */
#define MAX_ROUTES		(PIC_NR_IRQS + IOAPIC_NR_PINS)

struct routes {
	struct minivmm_irq_routing table;
	struct minivmm_irq_routing_entry entries[MAX_ROUTES];
};

static struct minivmm_irq_routing_entry *add_route(struct routes *routes, u32 type, u32 gsi)
{
	struct minivmm_irq_routing_entry *e = &routes->entries[routes->table.nr++];

	e->gsi = gsi;
	e->type = type;
	return e;
}

static void add_pin(struct routes *routes, u32 gsi, u32 chip, u32 pin)
{
	struct minivmm_irq_routing_entry *e;

	e = add_route(routes, MINIVMM_IRQ_ROUTING_IRQCHIP, gsi);
	e->u.irqchip.irqchip = chip;
	e->u.irqchip.pin = pin;
}

static void set_routes(const struct irqchip *chip, const struct routes *routes)
{
	if (ioctl(chip->vm->fd, MINIVMM_SET_GSI_ROUTING, &routes->table))
		die(EXIT_DEVICE, "%s: refuses the interrupt routes: %s", chip->vm->path,
		    strerror(errno));
}

/* Every interrupt goes to both kinds of chip, as set_line() does it for ours. */
static void set_pin_routes(const struct irqchip *chip)
{
	struct routes routes = { 0 };

	for (u32 irq = 0; irq < IOAPIC_NR_PINS; irq++) {
		if (irq == PIC_CASCADE_IRQ)
			continue;
		if (irq < PIC_NR_IRQS)
			add_pin(&routes, irq, irq < 8 ? MINIVMM_IRQCHIP_PIC_MASTER :
				MINIVMM_IRQCHIP_PIC_SLAVE, irq % 8);
		add_pin(&routes, irq, MINIVMM_IRQCHIP_IOAPIC, irqchip_pin(irq));
	}
	set_routes(chip, &routes);
}

static void create_all(const struct irqchip *chip)
{
	struct minivmm_pit_config pit = { .flags = MINIVMM_PIT_SPEAKER_DUMMY };

	if (ioctl(chip->vm->fd, MINIVMM_CREATE_IRQCHIP, 0))
		die(EXIT_DEVICE, "%s: cannot create the interrupt chips: %s", chip->vm->path,
		    strerror(errno));
	if (ioctl(chip->vm->fd, MINIVMM_CREATE_PIT2, &pit))
		die(EXIT_DEVICE, "%s: cannot create the timer: %s", chip->vm->path,
		    strerror(errno));
	set_pin_routes(chip);
}

static void enable_cap(const struct vm *vm, u32 cap, u64 arg, const char *what)
{
	struct minivmm_enable_cap enable = { .cap = cap, .args = { arg } };

	if (ioctl(vm->fd, MINIVMM_ENABLE_CAP, &enable))
		die(EXIT_DEVICE, "%s: has no %s: %s", vm->path, what, strerror(errno));
}

/**
 * irqchip_create - have the kernel make those chips that are to be its own
 * @chip: filled in; irqchip_init() does the rest
 * @mode: not IRQCHIP_AUTO
 * @vm: a VM without vCPUs
 * @cpus: how many it will get
 */
void irqchip_create(struct irqchip *chip, enum irqchip_mode mode, const struct vm *vm,
		    unsigned int cpus)
{
	chip->mode = mode;
	chip->vm = vm;
	if (mode == IRQCHIP_USER) {
		chip->tsc_deadline = msr_can_have_deadline(vm);
		if (chip->tsc_deadline)
			msr_take_deadline(vm);
		return;
	}
	if (mode == IRQCHIP_KERNEL)
		create_all(chip);
	else
		enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP, IOAPIC_NR_PINS,
			   "split interrupt chips");
	/* ID 255 is a CPU then, not all of them. */
	if (cpus > MAX_XAPIC_CPUS)
		enable_cap(vm, MINIVMM_CAP_X2APIC_API, MINIVMM_X2APIC_API_USE_32BIT_IDS |
			   MINIVMM_X2APIC_API_DISABLE_BROADCAST_QUIRK, "APIC IDs above 255");
}

/**
 * irqchip_set_kernel_line - drive an input of the kernel's chips
 * @chip: the chips
 * @irq: 0..15
 * @level: the line's new level
 */
void irqchip_set_kernel_line(struct irqchip *chip, unsigned int irq, bool level)
{
	struct minivmm_irq_level line = { .irq = irq, .level = level };

	if (ioctl(chip->vm->fd, MINIVMM_IRQ_LINE, &line))
		die(EXIT_INTERNAL, "cannot drive interrupt %u: %s", irq, strerror(errno));
}

static u32 msi_address(u64 entry)
{
	return MSI_ADDRESS | IOAPIC_DEST(entry) << MSI_DEST_SHIFT |
	       (entry & IOAPIC_LOGICAL ? MSI_LOGICAL : 0);
}

static u32 msi_data(u64 entry)
{
	return IOAPIC_VECTOR(entry) | (u32)IOAPIC_MODE(entry) << MSI_MODE_SHIFT | MSI_ASSERT |
	       (entry & IOAPIC_LEVEL ? MSI_LEVEL : 0);
}

/**
 * irqchip_send_msi - send what an entry of the I/O APIC says to the local APICs
 * @ioapic: the chips'
 * @entry: one of its entries
 *
 * Return: as ioapic.deliver()
 */
int irqchip_send_msi(struct ioapic *ioapic, u64 entry)
{
	struct irqchip *chip = container_of(ioapic, struct irqchip, ioapic);
	struct minivmm_msi msi = {
		.address_lo = msi_address(entry),
		.data = msi_data(entry),
	};

	/* Before its EOI can come. */
	irqchip_update_routes(chip);
	return ioctl(chip->vm->fd, MINIVMM_SIGNAL_MSI, &msi);
}

/* What is routed of an entry: a level, with whatever may change its EOI. */
static u64 route(u64 entry)
{
	return entry & IOAPIC_LEVEL ? entry & ~(IOAPIC_MASKED | IOAPIC_REMOTE_IRR) : 0;
}

/**
 * irqchip_update_routes - tell the kernel of which EOIs our I/O APIC must hear
 * @chip: the chips, locked
 *
 * The kernel learns it from the routes of the I/O APIC's pins. It takes time to
 * change them, and of edges, which is what most are, nobody need hear.
 */
void irqchip_update_routes(struct irqchip *chip)
{
	struct routes routes = { 0 };
	bool changed = false;

	for (u32 pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		u64 entry = route(chip->ioapic.entry[pin]);
		struct minivmm_irq_routing_entry *e;

		changed |= entry != chip->routed[pin];
		chip->routed[pin] = entry;
		if (!entry)
			continue;
		e = add_route(&routes, MINIVMM_IRQ_ROUTING_MSI, pin);
		e->u.msi.address_lo = msi_address(entry);
		e->u.msi.data = msi_data(entry);
	}
	if (changed)
		set_routes(chip, &routes);
}

struct kernel_chip {
	struct minivmm_irqchip chip;
};

static const struct state_desc chip_desc = {
	.id = SECTION_KERNEL_CHIP, .name = "interrupt chip",
	.fields = (const struct state_field[]){
		STATE_STRUCT(struct kernel_chip, chip),
		{ }
	},
};

/* The times in it are by the host's clock: that says what time it was. */
struct kernel_pit {
	struct minivmm_pit_state2 state;
	u64 now_ns;
};

static const struct state_desc pit_desc = {
	.id = SECTION_KERNEL_PIT, .name = "8254",
	.fields = (const struct state_field[]){
		STATE_STRUCT(struct kernel_pit, state),
		STATE_ANY(struct kernel_pit, now_ns),
		{ }
	},
};

/**
 * irqchip_save_kernel - add the kernel's 8259s and I/O APIC to a stream
 * @chip: the chips
 * @out: the stream
 */
void irqchip_save_kernel(const struct irqchip *chip, struct stream_out *out)
{
	for (u32 i = 0; i <= MINIVMM_IRQCHIP_IOAPIC; i++) {
		struct kernel_chip one = { .chip.chip_id = i };

		if (ioctl(chip->vm->fd, MINIVMM_GET_IRQCHIP, &one.chip))
			stream_out_fail(out, "cannot read interrupt chip %u: %s", i,
					strerror(errno));
		state_save(out, &chip_desc, i, &one);
	}
}

/**
 * irqchip_load_kernel - make the kernel's 8259s and I/O APIC what was saved
 * @chip: the chips
 * @saved: where their state is
 *
 * What that sends to the local APICs is nothing new: they are loaded later.
 *
 * Return: whether it could be done.
 */
bool irqchip_load_kernel(const struct irqchip *chip, struct saved *saved)
{
	for (u32 i = 0; i <= MINIVMM_IRQCHIP_IOAPIC; i++) {
		struct kernel_chip one;

		if (!state_load(saved, &chip_desc, i, &one))
			return false;
		one.chip.chip_id = i;
		if (ioctl(chip->vm->fd, MINIVMM_SET_IRQCHIP, &one.chip))
			return saved_fail(saved, "%s refuses interrupt chip %u: %s",
					  chip->vm->path, i, strerror(errno));
	}
	return true;
}

/**
 * irqchip_save_kernel_pit - add the kernel's 8254 to a stream
 * @chip: the chips
 * @out: the stream
 */
void irqchip_save_kernel_pit(const struct irqchip *chip, struct stream_out *out)
{
	struct kernel_pit pit = { .now_ns = now_ns() };

	if (ioctl(chip->vm->fd, MINIVMM_GET_PIT2, &pit.state))
		stream_out_fail(out, "cannot read the 8254: %s", strerror(errno));
	state_save(out, &pit_desc, 0, &pit);
}

/**
 * irqchip_load_kernel_pit - make the kernel's 8254 what was saved
 * @chip: the chips; the CPUs are loaded: what it sends now must not get lost
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool irqchip_load_kernel_pit(const struct irqchip *chip, struct saved *saved)
{
	u64 now = now_ns();
	struct kernel_pit pit;

	if (!state_load(saved, &pit_desc, 0, &pit))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(pit.state.channels); i++) {
		__s64 *loaded = &pit.state.channels[i].count_load_time;
		u64 age = pit.now_ns - *loaded;

		/* Others are no times. Before this host was up, any will do. */
		if (*loaded > 0)
			*loaded = age < now ? now - age : 1;
	}
	return !ioctl(chip->vm->fd, MINIVMM_SET_PIT2, &pit.state) ||
	       saved_fail(saved, "%s refuses the 8254: %s", chip->vm->path, strerror(errno));
}
