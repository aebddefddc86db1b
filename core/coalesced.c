// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that can wait: those to a zone the client has named are put into a
 * ring that it empties when the guest exits to it for another reason.
 *
 * One ring for the VM, in a page that is mapped with each vCPU. The kernel
 * moves ring->last, the client ring->first; both are in the client's hands, so
 * what is read from there is only ever an index that has been checked.
 */
#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include "core.h"

#define MAX_ZONES	1000	/* as many devices as KVM's bus has */
#define RING_SIZE \
	((PAGE_SIZE - sizeof(struct minivmm_coalesced_mmio_ring)) / \
	 sizeof(struct minivmm_coalesced_mmio))

struct mv_zones {
	u32 nr;
	struct minivmm_coalesced_mmio_zone zone[];
};

/* Do @len bytes at @addr lie in @zone? A zone that wraps is empty. */
static bool in_zone(const struct minivmm_coalesced_mmio_zone *zone,
		    enum mv_io_space space, u64 addr, u32 len)
{
	return zone->pio == (space == MV_SPACE_PORT) &&
	       addr + len >= addr && addr >= zone->addr &&
	       addr + len <= zone->addr + zone->size;
}

/* Room is for all but one: a ring with @first == @last is empty. */
static bool put(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		unsigned int len, const void *data)
{
	struct minivmm_coalesced_mmio_ring *ring = vm->coalesced_ring;
	u32 last = READ_ONCE(ring->last), first = READ_ONCE(ring->first);
	struct minivmm_coalesced_mmio *slot;
	u32 next = last + 1 == RING_SIZE ? 0 : last + 1;

	if (last >= RING_SIZE || next == first)
		return false;
	slot = &ring->coalesced_mmio[last];
	slot->phys_addr = addr;
	slot->len = len;
	slot->pio = space == MV_SPACE_PORT;
	memcpy(slot->data, data, len);
	/* who sees the new end sees what is before it */
	smp_store_release(&ring->last, next);
	return true;
}

/**
 * mv_coalesced_write() - a write that no device in the kernel took: can it wait?
 * @vm: the VM
 * @space: ports or memory
 * @addr: where
 * @len: up to 8 bytes
 * @data: what is written
 *
 * Context: not inside the run section; may sleep.
 *
 * Return: true if it is in the ring; false: it is for user space now, which
 * empties the ring before.
 */
bool mv_coalesced_write(struct mv_vm *vm, enum mv_io_space space, u64 addr,
			unsigned int len, const void *data)
{
	const struct mv_zones *zones;
	bool done = false;
	u32 i = 0;
	int idx;

	if (!rcu_access_pointer(vm->zones))
		return false;
	idx = srcu_read_lock(&vm->irq_srcu);
	zones = srcu_dereference(vm->zones, &vm->irq_srcu);
	while (zones && i < zones->nr &&
	       !in_zone(&zones->zone[i], space, addr, len))
		i++;
	if (zones && i < zones->nr) {
		spin_lock(&vm->ring_lock);
		done = put(vm, space, addr, len, data);
		spin_unlock(&vm->ring_lock);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
	return done;
}

/* When this returns nobody writes for a zone that @zones does not have. */
static void publish(struct mv_vm *vm, struct mv_zones *zones)
{
	struct mv_zones *old = mv_irq_protected(vm, vm->zones);

	rcu_assign_pointer(vm->zones, zones);
	if (old)
		synchronize_srcu_expedited(&vm->irq_srcu);
	kvfree(old);
}

/* vm->irq_lock is held. */
static int add_zone(struct mv_vm *vm,
		    const struct minivmm_coalesced_mmio_zone *zone)
{
	const struct mv_zones *old = mv_irq_protected(vm, vm->zones);
	u32 nr = old ? old->nr : 0;
	struct mv_zones *zones;

	if (nr == MAX_ZONES)
		return -ENOSPC;
	zones = kvmalloc(struct_size(zones, zone, nr + 1), GFP_KERNEL_ACCOUNT);
	if (!zones)
		return -ENOMEM;
	if (nr)
		memcpy(zones->zone, old->zone, nr * sizeof(*zone));
	zones->zone[nr] = *zone;
	zones->nr = nr + 1;
	publish(vm, zones);
	return 0;
}

/* Every zone in which @zone lies goes. vm->irq_lock is held. */
static int remove_zones(struct mv_vm *vm,
			const struct minivmm_coalesced_mmio_zone *zone)
{
	const struct mv_zones *old = mv_irq_protected(vm, vm->zones);
	enum mv_io_space space = zone->pio ? MV_SPACE_PORT : MV_SPACE_MEMORY;
	struct mv_zones *zones;
	u32 i;

	if (!old)
		return 0;
	zones = kvmalloc(struct_size(zones, zone, old->nr), GFP_KERNEL_ACCOUNT);
	if (!zones)
		return -ENOMEM;
	zones->nr = 0;
	for (i = 0; i < old->nr; i++)
		if (!in_zone(&old->zone[i], space, zone->addr, zone->size))
			zones->zone[zones->nr++] = old->zone[i];
	publish(vm, zones);
	return 0;
}

/**
 * mv_coalesced_zone() - MINIVMM_REGISTER/UNREGISTER_COALESCED_MMIO
 * @vm: the VM
 * @zone: from user space, not checked
 * @remove: unregister
 *
 * Return: 0; -EINVAL if it is neither ports nor memory; -ENOSPC, -ENOMEM.
 */
int mv_coalesced_zone(struct mv_vm *vm,
		      const struct minivmm_coalesced_mmio_zone *zone,
		      bool remove)
{
	int ret;

	if (zone->pio > 1)
		return -EINVAL;
	mutex_lock(&vm->irq_lock);
	ret = remove ? remove_zones(vm, zone) : add_zone(vm, zone);
	mutex_unlock(&vm->irq_lock);
	return ret;
}

/**
 * mv_coalesced_create() - the ring of a new VM
 * @vm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int mv_coalesced_create(struct mv_vm *vm)
{
	spin_lock_init(&vm->ring_lock);
	vm->coalesced_ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vm->coalesced_ring ? 0 : -ENOMEM;
}

/**
 * mv_coalesced_destroy() - undo mv_coalesced_create(), zones included
 * @vm: nobody uses it any more
 */
void mv_coalesced_destroy(struct mv_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->zones, true));
	free_page((unsigned long)vm->coalesced_ring);
}
