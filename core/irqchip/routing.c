// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a GSI is connected to: inputs of the chips in the kernel, or a message.
 *
 * The table is indexed by GSI and never changed once published.
 */
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include "chips.h"

#define NR_CHIPS	3
#define MAX_PINS	IOAPIC_NR_PINS
#define NOTHING		(-1)

/* Data of an MSI (SDM 11.11.2) */
#define MSI_VECTOR(data)	((u8)(data))
#define MSI_LEVEL		BIT(15)

/**
 * struct route - where a GSI goes
 * @msi: it is a message: @address, @data; else it is inputs: @pin
 * @address: of the message
 * @data: of the message
 * @pin: for each chip an input, or NOTHING
 */
struct route {
	bool msi;
	s8 pin[NR_CHIPS];
	u32 data;
	u64 address;
};

/**
 * struct mv_routes - all routes of a VM
 * @gsi: the way back, from a chip's input to a GSI, or NOTHING
 * @nr: GSIs from here on go nowhere
 * @route: one for each GSI
 */
struct mv_routes {
	s16 gsi[NR_CHIPS][MAX_PINS];
	u32 nr;
	struct route route[];
};

static unsigned int nr_pins(u32 chip)
{
	return chip == MINIVMM_IRQCHIP_IOAPIC ? IOAPIC_NR_PINS : 8;
}

static bool to_nothing(const struct route *route)
{
	unsigned int chip;

	for (chip = 0; chip < NR_CHIPS; chip++)
		if (route->pin[chip] != NOTHING)
			return false;
	return !route->msi;
}

/* A GSI may go to several chips, but only once to each. */
static int add_pin(struct mv_routes *routes, u32 gsi,
		   const struct minivmm_irq_routing_irqchip *to)
{
	struct route *route = &routes->route[gsi];

	if (to->irqchip >= NR_CHIPS || to->pin >= nr_pins(to->irqchip))
		return -EINVAL;
	if (route->msi || route->pin[to->irqchip] != NOTHING)
		return -EINVAL;
	route->pin[to->irqchip] = to->pin;
	routes->gsi[to->irqchip][to->pin] = gsi;
	return 0;
}

/* With 32-bit destinations the address's low byte there is reserved, as KVM's */
static bool valid_address(const struct mv_vm *vm, u32 address_hi)
{
	return !vm->x2apic_format_32 || !(address_hi & 0xff);
}

static int add_msi(const struct mv_vm *vm, struct mv_routes *routes, u32 gsi,
		   const struct minivmm_irq_routing_msi *to)
{
	struct route *route = &routes->route[gsi];

	if (!to_nothing(route) || !valid_address(vm, to->address_hi))
		return -EINVAL;
	route->msi = true;
	route->address = (u64)to->address_hi << 32 | to->address_lo;
	route->data = to->data;
	return 0;
}

static int add_entry(const struct mv_vm *vm, struct mv_routes *routes,
		     const struct minivmm_irq_routing_entry *entry)
{
	if (entry->flags)
		return -EINVAL;
	switch (entry->type) {
	case MINIVMM_IRQ_ROUTING_IRQCHIP:
		if (vm->irqchip == MV_IRQCHIP_SPLIT)
			return -EINVAL;
		return add_pin(routes, entry->gsi, &entry->u.irqchip);
	case MINIVMM_IRQ_ROUTING_MSI:
		return add_msi(vm, routes, entry->gsi, &entry->u.msi);
	default:
		return -EINVAL;
	}
}

static struct mv_routes *alloc_routes(u32 nr)
{
	struct mv_routes *routes = kvzalloc(struct_size(routes, route, nr),
					    GFP_KERNEL_ACCOUNT);
	u32 gsi;

	if (!routes)
		return NULL;
	memset(routes->gsi, NOTHING, sizeof(routes->gsi));
	for (gsi = 0; gsi < nr; gsi++)
		memset(routes->route[gsi].pin, NOTHING,
		       sizeof(routes->route[gsi].pin));
	routes->nr = nr;
	return routes;
}

static struct mv_routes *
make_routes(const struct mv_vm *vm,
	    const struct minivmm_irq_routing_entry *entries, u32 nr)
{
	struct mv_routes *routes;
	u32 i, nr_gsis = 0;
	int ret;

	for (i = 0; i < nr; i++) {
		if (entries[i].gsi >= MV_MAX_ROUTES)
			return ERR_PTR(-EINVAL);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}
	routes = alloc_routes(nr_gsis);
	if (!routes)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < nr; i++) {
		ret = add_entry(vm, routes, &entries[i]);
		if (ret) {
			kvfree(routes);
			return ERR_PTR(ret);
		}
	}
	return routes;
}

/*
 * The client's I/O APIC has its pins among the routes: what they send level
 * triggered it wants to hear the end of.
 */
static void split_level_vectors(const struct mv_vm *vm,
				const struct mv_routes *routes,
				unsigned long *vectors)
{
	u32 pins = vm->irqchip == MV_IRQCHIP_SPLIT ? vm->split_pins : 0;
	u32 gsi;

	for (gsi = 0; gsi < min(pins, routes->nr); gsi++) {
		const struct route *route = &routes->route[gsi];

		if (route->msi && (route->data & MSI_LEVEL))
			__set_bit(MSI_VECTOR(route->data), vectors);
	}
}

static int set_pin(struct mv_vm *vm, u32 chip, unsigned int pin,
		   enum mv_irq_source source, bool level)
{
	switch (chip) {
	case MINIVMM_IRQCHIP_PIC_MASTER:
		return mv_pic_set(vm, pin, source, level);
	case MINIVMM_IRQCHIP_PIC_SLAVE:
		return mv_pic_set(vm, pin + 8, source, level);
	default:
		return mv_ioapic_set(vm, pin, source, level);
	}
}

/* An input that has lost its GSI falls: nobody could lower it any more. */
static void release_pins(struct mv_vm *vm, const struct mv_routes *old,
			 const struct mv_routes *new)
{
	unsigned int chip, pin;

	for (chip = 0; chip < NR_CHIPS; chip++) {
		for (pin = 0; pin < nr_pins(chip); pin++) {
			if (old->gsi[chip][pin] == NOTHING ||
			    new->gsi[chip][pin] != NOTHING)
				continue;
			set_pin(vm, chip, pin, MV_SOURCE_USER, false);
			set_pin(vm, chip, pin, MV_SOURCE_RESAMPLE, false);
			set_pin(vm, chip, pin, MV_SOURCE_PIT, false);
		}
	}
}

/* vm->irq_lock is held. When this returns nobody uses the old routes. */
static void publish(struct mv_vm *vm, struct mv_routes *routes)
{
	struct mv_routes *old = mv_irq_protected(vm, vm->routes);

	rcu_assign_pointer(vm->routes, routes);
	if (!old)
		return;
	synchronize_srcu_expedited(&vm->irq_srcu);
	if (vm->irqchip == MV_IRQCHIP_KERNEL)
		release_pins(vm, old, routes);
	kvfree(old);
}

/* Vectors that the new routes add are known before the routes are. */
static void replace(struct mv_vm *vm, struct mv_routes *routes)
{
	DECLARE_BITMAP(vectors, MINIVMM_NR_INTERRUPTS) = {};

	if (vm->irqchip != MV_IRQCHIP_SPLIT) {
		publish(vm, routes);
		return;
	}
	split_level_vectors(vm, routes, vectors);
	mv_eoi_widen(vm, vectors);
	publish(vm, routes);
	mv_eoi_narrow(vm, vectors);
}

/**
 * mv_set_gsi_routing() - MINIVMM_SET_GSI_ROUTING: replace all routes
 * @vm: the VM
 * @entries: the new ones, not checked
 * @nr: how many, MV_MAX_ROUTES at most
 *
 * Context: sleeps.
 *
 * Return: 0; -EINVAL for an entry that cannot be, or contradicts another;
 * -ENOMEM. Nothing has changed then.
 */
int mv_set_gsi_routing(struct mv_vm *vm,
		       const struct minivmm_irq_routing_entry *entries, u32 nr)
{
	struct mv_routes *routes = make_routes(vm, entries, nr);

	if (IS_ERR(routes))
		return PTR_ERR(routes);
	mutex_lock(&vm->irq_lock);
	replace(vm, routes);
	mutex_unlock(&vm->irq_lock);
	return 0;
}

/**
 * mv_default_routing() - the routes after MINIVMM_CREATE_IRQCHIP
 * @vm: gets the I/O APIC's pin n at GSI n, and the 8259s' at GSI 0 to 15
 *
 * Context: vm->irq_lock held; sleeps.
 *
 * Return: 0 or -ENOMEM.
 */
int mv_default_routing(struct mv_vm *vm)
{
	struct mv_routes *routes = alloc_routes(IOAPIC_NR_PINS);
	u32 gsi;

	if (!routes)
		return -ENOMEM;
	for (gsi = 0; gsi < IOAPIC_NR_PINS; gsi++) {
		struct minivmm_irq_routing_irqchip to = {
			.irqchip = MINIVMM_IRQCHIP_IOAPIC, .pin = gsi,
		};

		add_pin(routes, gsi, &to);
		if (gsi >= PIC_NR_IRQS)
			continue;
		to.irqchip = gsi < 8 ? MINIVMM_IRQCHIP_PIC_MASTER :
				       MINIVMM_IRQCHIP_PIC_SLAVE;
		to.pin = gsi & 7;
		add_pin(routes, gsi, &to);
	}
	publish(vm, routes);
	return 0;
}

/**
 * mv_routes_destroy() - free the routes
 * @vm: nobody uses them any more
 */
void mv_routes_destroy(struct mv_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->routes, true));
	RCU_INIT_POINTER(vm->routes, NULL);
}

/* Of several inputs: ignored only if all did, else how many took it */
static int set_pins(struct mv_vm *vm, const struct route *route,
		    enum mv_irq_source source, bool level)
{
	unsigned int chip;
	int ret = -1;

	for (chip = 0; chip < NR_CHIPS; chip++) {
		int one;

		if (route->pin[chip] == NOTHING)
			continue;
		one = set_pin(vm, chip, route->pin[chip], source, level);
		if (one >= 0)
			ret = max(ret, 0) + one;
	}
	return ret;
}

/* Inside vm->irq_srcu; NULL: it goes nowhere */
static const struct route *find_route(struct mv_vm *vm, u32 gsi)
{
	const struct mv_routes *routes = srcu_dereference(vm->routes,
							  &vm->irq_srcu);

	if (!routes || gsi >= routes->nr)
		return NULL;
	return &routes->route[array_index_nospec(gsi, routes->nr)];
}

/**
 * mv_gsi_set() - raise or lower a GSI
 * @vm: the VM
 * @source: on whose behalf
 * @gsi: any number
 * @level: a message is sent for true, false does nothing
 *
 * Context: any.
 *
 * Return: how many took it; 0 if it was pending already; -1 if it was ignored.
 */
int mv_gsi_set(struct mv_vm *vm, enum mv_irq_source source, u32 gsi,
	       bool level)
{
	const struct route *route;
	int idx, ret = -1;

	idx = srcu_read_lock(&vm->irq_srcu);
	route = find_route(vm, gsi);
	if (route && !route->msi)
		ret = set_pins(vm, route, source, level);
	else if (route && level)
		ret = mv_msi_deliver(vm, route->address, route->data);
	srcu_read_unlock(&vm->irq_srcu, idx);
	return ret;
}

/**
 * mv_gsi_pulse() - raise a GSI and lower it again
 * @vm: the VM
 * @source: on whose behalf
 * @gsi: any number
 *
 * Context: any.
 */
void mv_gsi_pulse(struct mv_vm *vm, enum mv_irq_source source, u32 gsi)
{
	const struct route *route;
	int idx = srcu_read_lock(&vm->irq_srcu);

	route = find_route(vm, gsi);
	if (route && !route->msi) {
		set_pins(vm, route, source, true);
		set_pins(vm, route, source, false);
	} else if (route) {
		mv_msi_deliver(vm, route->address, route->data);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
}

/**
 * mv_pin_to_gsi() - which GSI drives a chip's input?
 * @vm: the VM
 * @chip: MINIVMM_IRQCHIP_*
 * @pin: one of its inputs
 *
 * Context: inside vm->irq_srcu.
 *
 * Return: the GSI, or a negative number if none does.
 */
int mv_pin_to_gsi(struct mv_vm *vm, u32 chip, unsigned int pin)
{
	const struct mv_routes *routes = srcu_dereference(vm->routes,
							  &vm->irq_srcu);

	return routes ? routes->gsi[chip][pin] : NOTHING;
}

/**
 * mv_signal_msi() - MINIVMM_SIGNAL_MSI
 * @vm: the VM
 * @msi: from user space, not checked
 *
 * Return: how many took it; -1, which user space sees as EPERM as it does from
 * KVM, if nobody is addressed; -EINVAL.
 */
int mv_signal_msi(struct mv_vm *vm, const struct minivmm_msi *msi)
{
	if (mv_irqchip_mode(vm) == MV_IRQCHIP_USER || msi->flags ||
	    !valid_address(vm, msi->address_hi))
		return -EINVAL;
	return mv_msi_deliver(vm, (u64)msi->address_hi << 32 | msi->address_lo,
			      msi->data);
}
