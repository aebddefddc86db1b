// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports and memory addresses behind which there is a device in the kernel.
 *
 * One table has them all, in the order of compare(): what an access is for is
 * found by binary search. A table is never changed once published; a change
 * makes a new one.
 *
 * Ranges do not overlap. Doorbells (ioeventfds) do not either: no write is for
 * two of them. A doorbell may lie within a range, and comes first.
 */
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "alu.h"
#include "iobus.h"
#include "trace.h"

struct mv_iobus {
	u32 nr;
	struct mv_iodev *dev[];
};

static int order(bool less)
{
	return less ? -1 : 1;
}

static int compare(const struct mv_iodev *a, const struct mv_iodev *b)
{
	if (a->space != b->space)
		return order(a->space < b->space);
	if (a->doorbell != b->doorbell)
		return order(b->doorbell);
	if (a->base != b->base)
		return order(a->base < b->base);
	if (!a->doorbell)
		return 0;
	if (a->len != b->len)
		return order(a->len < b->len);
	if (a->any_data != b->any_data)
		return order(a->any_data);
	if (a->any_data || a->data == b->data)
		return 0;
	return order(a->data < b->data);
}

/* How many devices do not come after @key */
static u32 position(const struct mv_iobus *bus, const struct mv_iodev *key)
{
	u32 low = 0, high = bus->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (compare(bus->dev[mid], key) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The last device that does not come after @key */
static struct mv_iodev *last_up_to(const struct mv_iobus *bus,
				   const struct mv_iodev *key)
{
	u32 pos = position(bus, key);

	return pos ? bus->dev[pos - 1] : NULL;
}

static struct mv_iodev *find_exact(const struct mv_iobus *bus,
				   const struct mv_iodev *key)
{
	struct mv_iodev *dev = last_up_to(bus, key);

	return dev && !compare(dev, key) ? dev : NULL;
}

static struct mv_iodev *find_range(const struct mv_iobus *bus,
				   enum mv_io_space space, u64 addr,
				   unsigned int len)
{
	const struct mv_iodev key = { .space = space, .base = addr };
	struct mv_iodev *dev = last_up_to(bus, &key);

	if (!dev || dev->space != space || dev->doorbell)
		return NULL;
	addr -= dev->base;
	return addr < dev->len && len <= dev->len - addr ? dev : NULL;
}

/*
 * Of any length, of this length, or of this length and value: one at most is
 * there. The first that there can be at an address, and if it is there the only
 * one, is that of any length.
 */
static struct mv_iodev *find_doorbell(const struct mv_iobus *bus,
				      enum mv_io_space space, u64 addr,
				      unsigned int len, const void *data)
{
	struct mv_iodev key = {
		.space = space, .base = addr, .doorbell = true, .any_data = true,
	};
	u32 pos = position(bus, &key);
	struct mv_iodev *dev;

	if (pos && !compare(bus->dev[pos - 1], &key))
		return bus->dev[pos - 1];
	if (pos == bus->nr)
		return NULL;
	dev = bus->dev[pos];
	if (dev->space != space || !dev->doorbell || dev->base != addr)
		return NULL;
	key.len = len;
	/* That of this length, but of any value, comes before those of one. */
	if (dev->len != len)
		dev = find_exact(bus, &key);
	if (dev && dev->any_data)
		return dev;
	key.any_data = false;
	memcpy(&key.data, data, min_t(unsigned int, len, sizeof(key.data)));
	return find_exact(bus, &key);
}

static bool range_collides(const struct mv_iobus *bus,
			   const struct mv_iodev *dev)
{
	const struct mv_iodev last_byte = {
		.space = dev->space, .base = dev->base + dev->len - 1,
	};
	const struct mv_iodev *other = last_up_to(bus, &last_byte);

	return other && other->space == dev->space && !other->doorbell &&
	       other->base + other->len > dev->base;
}

/* Is there a write that both @dev and one of @bus would take? */
static bool doorbell_collides(const struct mv_iobus *bus,
			      const struct mv_iodev *dev)
{
	struct mv_iodev key = *dev;
	const struct mv_iodev *other;

	if (find_doorbell(bus, dev->space, dev->base, dev->len, &dev->data))
		return true;
	if (!dev->any_data)
		return false;
	/* the last one at this address, or of this length there */
	key.any_data = false;
	key.data = U64_MAX;
	key.len = dev->len ?: U32_MAX;
	other = last_up_to(bus, &key);
	return other && other->doorbell && other->space == dev->space &&
	       other->base == dev->base &&
	       (!dev->len || other->len == dev->len);
}

static bool collides(const struct mv_iobus *bus, const struct mv_iodev *dev)
{
	return dev->doorbell ? doorbell_collides(bus, dev) :
			       range_collides(bus, dev);
}

/* A copy of the table, with room for @more; @vm->irq_lock is held. */
static struct mv_iobus *copy_bus(struct mv_vm *vm, unsigned int more)
{
	const struct mv_iobus *old = mv_irq_protected(vm, vm->iobus);
	u32 nr = old ? old->nr : 0;
	struct mv_iobus *bus = kvmalloc(struct_size(bus, dev, nr + more),
					GFP_KERNEL_ACCOUNT);

	if (!bus)
		return NULL;
	bus->nr = nr;
	if (nr)
		memcpy(bus->dev, old->dev, nr * sizeof(bus->dev[0]));
	return bus;
}

/* When this returns nobody is in a device that @bus does not have. */
static void publish(struct mv_vm *vm, struct mv_iobus *bus)
{
	struct mv_iobus *old = mv_irq_protected(vm, vm->iobus);

	rcu_assign_pointer(vm->iobus, bus);
	if (old)
		synchronize_srcu_expedited(&vm->irq_srcu);
	kvfree(old);
}

static void insert(struct mv_iobus *bus, struct mv_iodev *dev)
{
	u32 pos = position(bus, dev);

	memmove(&bus->dev[pos + 1], &bus->dev[pos],
		(bus->nr - pos) * sizeof(bus->dev[0]));
	bus->dev[pos] = dev;
	bus->nr++;
}

/**
 * mv_iobus_add() - put devices on the bus, all or none
 * @vm: the VM
 * @devs: the devices
 * @nr: how many
 *
 * Context: vm->irq_lock held; sleeps.
 *
 * Return: 0; -EEXIST if one collides with another; -ENOMEM.
 */
int mv_iobus_add(struct mv_vm *vm, struct mv_iodev *const devs[],
		 unsigned int nr)
{
	struct mv_iobus *bus = copy_bus(vm, nr);
	unsigned int i;

	if (!bus)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (collides(bus, devs[i])) {
			kvfree(bus);
			return -EEXIST;
		}
		insert(bus, devs[i]);
	}
	publish(vm, bus);
	return 0;
}

/**
 * mv_iobus_remove() - take a device off the bus
 * @vm: the VM
 * @dev: on the bus; when this returns 0 nobody uses it
 *
 * Context: vm->irq_lock held; sleeps.
 *
 * Return: 0 or -ENOMEM: nothing has changed.
 */
int mv_iobus_remove(struct mv_vm *vm, struct mv_iodev *dev)
{
	struct mv_iobus *bus = copy_bus(vm, 0);
	u32 pos;

	if (!bus)
		return -ENOMEM;
	pos = position(bus, dev);
	bus->nr--;
	memmove(&bus->dev[pos - 1], &bus->dev[pos],
		(bus->nr + 1 - pos) * sizeof(bus->dev[0]));
	publish(vm, bus);
	return 0;
}

/**
 * mv_iobus_find() - the device on the bus that equals another
 * @vm: the VM
 * @key: all but its ops counts
 *
 * Context: vm->irq_lock held.
 */
struct mv_iodev *mv_iobus_find(struct mv_vm *vm, const struct mv_iodev *key)
{
	const struct mv_iobus *bus = mv_irq_protected(vm, vm->iobus);

	return bus ? find_exact(bus, key) : NULL;
}

/**
 * mv_iobus_has() - does a device in the kernel start at, or contain, an address?
 * @vm: the VM
 * @space: ports or memory
 * @addr: where
 *
 * Context: not inside the run section.
 */
bool mv_iobus_has(struct mv_vm *vm, enum mv_io_space space, u64 addr)
{
	const struct mv_iodev last = {
		.space = space, .base = addr, .len = U32_MAX, .doorbell = true,
		.data = U64_MAX,
	};
	const struct mv_iodev *dev;
	const struct mv_iobus *bus;
	bool has = false;
	int idx = srcu_read_lock(&vm->irq_srcu);

	bus = srcu_dereference(vm->iobus, &vm->irq_srcu);
	if (bus) {
		dev = last_up_to(bus, &last);
		has = (dev && dev->space == space && dev->doorbell &&
		       dev->base == addr) || find_range(bus, space, addr, 1);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
	return has;
}

/**
 * mv_iobus_read() - offer a read to the devices in the kernel
 * @vm: the VM
 * @space: ports or memory
 * @addr: where
 * @len: up to 8 bytes
 * @data: filled in if it was taken
 *
 * Context: not inside the run section; may sleep.
 *
 * Return: false if no device is there: it is for user space.
 */
bool mv_iobus_read(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		   unsigned int len, void *data)
{
	struct mv_iodev *dev = NULL;
	const struct mv_iobus *bus;
	int idx;

	idx = srcu_read_lock(&vm->irq_srcu);
	bus = srcu_dereference(vm->iobus, &vm->irq_srcu);
	if (bus)
		dev = find_range(bus, space, addr, len);
	if (dev)
		dev->ops->read(vm, dev, addr, len, data);
	srcu_read_unlock(&vm->irq_srcu, idx);
	return dev;
}

/**
 * mv_iobus_write() - offer a write to the devices in the kernel
 * @vm: the VM
 * @space: ports or memory
 * @addr: where
 * @len: up to 8 bytes
 * @data: what is written
 *
 * Context: not inside the run section; may sleep.
 *
 * Return: false if no device takes it: it is for user space.
 */
bool mv_iobus_write(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		    unsigned int len, const void *data)
{
	struct mv_iodev *dev = NULL;
	const struct mv_iobus *bus;
	int idx;

	idx = srcu_read_lock(&vm->irq_srcu);
	bus = srcu_dereference(vm->iobus, &vm->irq_srcu);
	if (bus) {
		dev = find_doorbell(bus, space, addr, len, data);
		if (!dev)
			dev = find_range(bus, space, addr, len);
	}
	if (dev)
		dev->ops->write(vm, dev, addr, len, data);
	srcu_read_unlock(&vm->irq_srcu, idx);
	return dev;
}

/*
 * A doorbell is there to be cheap, and signalling an eventfd needs no sleep: the
 * guest goes on at once. Only with PREEMPT_RT its wait queue has a lock that
 * does sleep; there every doorbell is for mv_iobus_write().
 */
static bool ring(struct mv_vcpu *vcpu, enum mv_io_space space, u64 addr,
		 unsigned int len, u64 data)
{
	struct mv_vm *vm = vcpu->vm;
	struct mv_iodev *dev = NULL;
	const struct mv_iobus *bus;
	int idx;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return false;
	idx = srcu_read_lock(&vm->irq_srcu);
	bus = srcu_dereference(vm->iobus, &vm->irq_srcu);
	if (bus)
		dev = find_doorbell(bus, space, addr, len, &data);
	if (dev)
		dev->ops->write(vm, dev, addr, len, &data);
	srcu_read_unlock(&vm->irq_srcu, idx);
	return dev;
}

/**
 * mv_ring_port() - an OUT of the guest's: does it ring a doorbell?
 * @vcpu: the vCPU; RAX has the value
 * @port: the port
 * @len: 1, 2 or 4 bytes
 *
 * Context: inside the run section. Return: true if it did, and that is all.
 */
bool mv_ring_port(struct mv_vcpu *vcpu, u16 port, unsigned int len)
{
	u64 data = vcpu->regs[MV_RAX];

	if (!ring(vcpu, MV_SPACE_PORT, port, len, data))
		return false;
	if (trace_minivmm_pio_enabled())
		trace_minivmm_pio(true, port, len, 1, mv_truncate(data, len));
	return true;
}
EXPORT_SYMBOL_GPL(mv_ring_port);

/**
 * mv_ring_memory() - the same for a store to device memory
 * @vcpu: the vCPU
 * @addr: guest-physical address
 * @len: up to 8 bytes
 * @data: the value
 *
 * Context: inside the run section. Return: true if it did, and that is all.
 */
bool mv_ring_memory(struct mv_vcpu *vcpu, u64 addr, unsigned int len, u64 data)
{
	return ring(vcpu, MV_SPACE_MEMORY, addr, len, data);
}

/**
 * mv_iobus_destroy() - release what is on the bus
 * @vm: nobody uses it any more
 */
void mv_iobus_destroy(struct mv_vm *vm)
{
	struct mv_iobus *bus = rcu_dereference_protected(vm->iobus, true);
	u32 i;

	for (i = 0; bus && i < bus->nr; i++)
		if (bus->dev[i]->ops->release)
			bus->dev[i]->ops->release(bus->dev[i]);
	kvfree(bus);
}
