// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: where in the client's address space guest-physical memory is.
 *
 * Three views of the same slots: by the client's number, by guest frame (for
 * faults: read under RCU, also inside the run section) and by address in the
 * client (for the MMU notifier). What has no slot is a device.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core.h"
#include "slots.h"

/* A four-level second-level table reaches 48 bits; KVM's limit for a slot */
#define MAX_GPA_BITS	48
#define MAX_SLOT_PAGES	((1UL << 31) - 1)

/* ---- finding one ---------------------------------------------------------- */

struct frames {
	u64 first, end;
};

static struct mv_slot *gfn_slot(struct latch_tree_node *node)
{
	return container_of(node, struct mv_slot, gfn_node);
}

static bool gfn_less(struct latch_tree_node *a, struct latch_tree_node *b)
{
	return gfn_slot(a)->gfn < gfn_slot(b)->gfn;
}

/* Slots do not overlap, so whichever shares a frame with the key is equal. */
static int gfn_compare(void *key, struct latch_tree_node *node)
{
	const struct frames *frames = key;
	const struct mv_slot *slot = gfn_slot(node);

	if (frames->end <= slot->gfn)
		return -1;
	return frames->first >= slot->gfn + slot->npages;
}

static const struct latch_tree_ops gfn_order = {
	.less = gfn_less,
	.comp = gfn_compare,
};

/* A slot that has frames of [@first, @end), or NULL. RCU, or slots->lock */
static const struct mv_slot *search(struct mv_slots *slots, u64 first, u64 end)
{
	struct frames frames = { first, end };
	struct latch_tree_node *node = latch_tree_find(&frames, &slots->by_gfn,
						       &gfn_order);

	return node ? gfn_slot(node) : NULL;
}

/**
 * mv_find_slot() - the slot that has a guest frame
 * @vcpu: remembers what it found last
 * @gfn: guest frame
 *
 * Context: any, also inside the run section; RCU read side, as long as the slot
 * is looked at. Return: the slot, or NULL.
 */
const struct mv_slot *mv_find_slot(struct mv_vcpu *vcpu, u64 gfn)
{
	struct mv_slots *slots = vcpu->vm->slots;
	unsigned long gen = READ_ONCE(slots->gen);
	const struct mv_slot *slot = vcpu->slot;

	/* A slot of this generation has not been freed. */
	if (slot && vcpu->slot_gen == gen && gfn - slot->gfn < slot->npages)
		return slot;
	smp_rmb();	/* the generation before the tree: see unlink_slot() */
	slot = search(slots, gfn, gfn + 1);
	if (slot) {
		vcpu->slot = slot;
		vcpu->slot_gen = gen;
	}
	return slot;
}

static unsigned long gfn_to_hva(struct mv_vcpu *vcpu, u64 gfn, bool write)
{
	const struct mv_slot *slot = mv_find_slot(vcpu, gfn);

	if (!slot || (write && slot->readonly))
		return 0;
	return mv_slot_hva(slot, gfn);
}

/**
 * mv_gpa_is_ram() - would an access find memory?
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @write: the access writes; read-only memory counts as none then
 *
 * Context: any.
 */
bool mv_gpa_is_ram(struct mv_vcpu *vcpu, u64 gpa, bool write)
{
	return !IS_ERR_VALUE(mv_gpa_to_hva(vcpu, gpa, write));
}

/**
 * mv_gpa_to_hva() - where the client has a guest-physical address
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @write: as in mv_gpa_is_ram(); mv_mark_dirty() must follow the write
 *
 * The slot may go away at once; the address is good for user-space accessors,
 * which fail then, and for nothing else.
 *
 * Context: any. Return: the address, or -ENXIO (test with IS_ERR_VALUE()).
 */
unsigned long mv_gpa_to_hva(struct mv_vcpu *vcpu, u64 gpa, bool write)
{
	unsigned long hva;

	rcu_read_lock();
	hva = gfn_to_hva(vcpu, gpa >> PAGE_SHIFT, write);
	rcu_read_unlock();
	return hva ? hva + offset_in_page(gpa) : -ENXIO;
}

static int copy_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data,
		    unsigned int len, bool write)
{
	unsigned long hva = mv_gpa_to_hva(vcpu, gpa, write), left;

	if (IS_ERR_VALUE(hva))
		return -ENXIO;
	if (write) {
		left = copy_to_user((void __user *)hva, data, len);
		/* after the write, of whatever part: see mv_get_dirty_log() */
		mv_mark_dirty(vcpu, gpa);
	} else {
		left = copy_from_user(data, (void __user *)hva, len);
	}
	return left ? -EFAULT : 0;
}

static int access_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data,
		      unsigned int len, bool write)
{
	int ret = 0;

	while (len && !ret) {
		unsigned int part = min_t(unsigned int, len,
					  PAGE_SIZE - offset_in_page(gpa));

		ret = copy_gpa(vcpu, gpa, data, part, write);
		gpa += part;
		data += part;
		len -= part;
	}
	return ret;
}

int mv_read_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	return access_gpa(vcpu, gpa, data, len, false);
}

int mv_write_gpa(struct mv_vcpu *vcpu, u64 gpa, const void *data,
		 unsigned int len)
{
	return access_gpa(vcpu, gpa, (void *)data, len, true);
}

/* ---- changing them -------------------------------------------------------- */

static u64 max_gfn(void)
{
	return 1ULL << (min_t(u8, boot_cpu_data.x86_phys_bits, MAX_GPA_BITS) -
			PAGE_SHIFT);
}

/*
 * An address that the CPU would take with a tag in its upper bits (LAM) is not
 * one the MMU notifier will ever name, so only plain ones will do.
 */
static bool valid_hva(u64 hva, u64 size)
{
	return PAGE_ALIGNED(hva) && size <= TASK_SIZE_MAX &&
	       hva <= TASK_SIZE_MAX - size &&
	       access_ok((void __user *)(unsigned long)hva, size);
}

static bool valid_region(const struct minivmm_userspace_memory_region *mem)
{
	if (mem->flags & ~(MINIVMM_MEM_READONLY | MINIVMM_MEM_LOG_DIRTY_PAGES) ||
	    mem->slot >= MV_MAX_SLOTS)
		return false;
	if (!PAGE_ALIGNED(mem->memory_size) ||
	    !PAGE_ALIGNED(mem->guest_phys_addr))
		return false;
	if (mem->memory_size >> PAGE_SHIFT > MAX_SLOT_PAGES)
		return false;
	if (mem->guest_phys_addr + mem->memory_size < mem->guest_phys_addr ||
	    (mem->guest_phys_addr + mem->memory_size) >> PAGE_SHIFT > max_gfn())
		return false;
	return valid_hva(mem->userspace_addr, mem->memory_size);
}

static void link_hva(struct mv_vm *vm, struct mv_slot *slot)
{
	slot->hva_node.start = slot->hva;
	slot->hva_node.last = slot->hva + (slot->npages << PAGE_SHIFT) - 1;
	raw_spin_lock_irq(&vm->mmu_lock);
	interval_tree_insert(&slot->hva_node, &vm->slots->by_hva);
	vm->slots->hva_gen++;
	raw_spin_unlock_irq(&vm->mmu_lock);
}

static void unlink_hva(struct mv_vm *vm, struct mv_slot *slot)
{
	raw_spin_lock_irq(&vm->mmu_lock);
	interval_tree_remove(&slot->hva_node, &vm->slots->by_hva);
	vm->slots->hva_gen++;
	raw_spin_unlock_irq(&vm->mmu_lock);
}

static bool hides_apics(const struct mv_slot *slot)
{
	return MV_APIC_GFN - slot->gfn < slot->npages;
}

/* The notifier knows a slot before, and until after, anything can be mapped. */
static void link_slot(struct mv_vm *vm, struct mv_slot *slot)
{
	link_hva(vm, slot);
	if (hides_apics(slot))
		mv_apic_page_hide(vm);
	latch_tree_insert(&slot->gfn_node, &vm->slots->by_gfn, &gfn_order);
}

/*
 * Takes away a slot and everything mapped through it. Faults that have found it
 * already look at @dead before they map anything.
 */
static void unlink_slot(struct mv_vm *vm, struct mv_slot *slot)
{
	struct mv_slots *slots = vm->slots;

	latch_tree_erase(&slot->gfn_node, &slots->by_gfn, &gfn_order);
	mv_lock_frames(vm);
	slot->dead = true;
	mv_unlock_frames(vm);
	mv_change_frames(vm, slot->gfn, slot->gfn + slot->npages, MV_UNMAP);
	mv_flush_guest_tlbs(vm);
	if (hides_apics(slot))
		mv_apic_page_unhide(vm);
	unlink_hva(vm, slot);
	smp_wmb();	/* out of the tree before the generation moves */
	WRITE_ONCE(slots->gen, slots->gen + 1);
}

static struct mv_slot *
alloc_slot(const struct minivmm_userspace_memory_region *mem)
{
	struct mv_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->gfn = mem->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = mem->memory_size >> PAGE_SHIFT;
	slot->hva = mem->userspace_addr;
	slot->id = mem->slot;
	slot->readonly = mem->flags & MINIVMM_MEM_READONLY;
	return slot;
}

static void delete_slot(struct mv_vm *vm, struct mv_slot *slot)
{
	unlink_slot(vm, slot);
	if (slot->dirty)
		mv_dirty_stop(vm, slot);
	xa_erase(&vm->slots->by_id, slot->id);
	kfree_rcu(slot, rcu);
}

static int add_slot(struct mv_vm *vm,
		    const struct minivmm_userspace_memory_region *mem)
{
	struct mv_dirty *dirty = NULL;
	struct mv_slot *slot;
	int ret = -ENOMEM;

	slot = alloc_slot(mem);
	if (!slot)
		return ret;
	if (search(vm->slots, slot->gfn, slot->gfn + slot->npages)) {
		ret = -EEXIST;
		goto free;
	}
	if (mem->flags & MINIVMM_MEM_LOG_DIRTY_PAGES) {
		dirty = mv_dirty_alloc(vm, slot->npages);
		if (!dirty)
			goto free;
	}
	ret = xa_insert(&vm->slots->by_id, slot->id, slot, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto free_dirty;
	if (dirty)
		mv_dirty_start(vm, slot, dirty);
	link_slot(vm, slot);
	return 0;

free_dirty:
	kvfree(dirty);
free:
	kfree(slot);
	return ret;
}

/* Does any slot but @old have frames of [@first, @end)? */
static bool occupied(struct mv_slots *slots, const struct mv_slot *old,
		     u64 first, u64 end)
{
	u64 old_end = old->gfn + old->npages;

	if (first < old->gfn && search(slots, first, min(end, old->gfn)))
		return true;
	return end > old_end && search(slots, max(first, old_end), end);
}

/* The new slot takes over the log: it is of the pages, wherever they are. */
static void move_slot(struct mv_vm *vm, struct mv_slot *old,
		      struct mv_slot *new)
{
	unlink_slot(vm, old);
	new->dirty = old->dirty;
	/* Only replaces an entry, which needs no memory. */
	xa_store(&vm->slots->by_id, new->id, new, GFP_KERNEL_ACCOUNT);
	link_slot(vm, new);
	kfree_rcu(old, rcu);
}

static int set_logging(struct mv_vm *vm, struct mv_slot *slot, bool on)
{
	struct mv_dirty *dirty;

	if (on == !!slot->dirty)
		return 0;
	if (!on) {
		mv_dirty_stop(vm, slot);
		return 0;
	}
	dirty = mv_dirty_alloc(vm, slot->npages);
	if (!dirty)
		return -ENOMEM;
	mv_dirty_start(vm, slot, dirty);
	return 0;
}

/* It can move, its logging can start and stop; nothing else can change. */
static int change_slot(struct mv_vm *vm, struct mv_slot *old,
		       const struct minivmm_userspace_memory_region *mem)
{
	u64 gfn = mem->guest_phys_addr >> PAGE_SHIFT;
	struct mv_slot *new = NULL;
	int ret;

	if (old->hva != mem->userspace_addr ||
	    old->npages != mem->memory_size >> PAGE_SHIFT ||
	    old->readonly != !!(mem->flags & MINIVMM_MEM_READONLY))
		return -EINVAL;
	if (gfn != old->gfn) {
		if (occupied(vm->slots, old, gfn, gfn + old->npages))
			return -EEXIST;
		new = alloc_slot(mem);
		if (!new)
			return -ENOMEM;
	}
	ret = set_logging(vm, old, mem->flags & MINIVMM_MEM_LOG_DIRTY_PAGES);
	if (ret)
		kfree(new);
	else if (new)
		move_slot(vm, old, new);
	return ret;
}

static int set_region_locked(struct mv_vm *vm,
			     const struct minivmm_userspace_memory_region *mem)
{
	struct mv_slot *old = xa_load(&vm->slots->by_id, mem->slot);

	if (mem->memory_size)
		return old ? change_slot(vm, old, mem) : add_slot(vm, mem);
	if (!old)
		return -EINVAL;
	delete_slot(vm, old);
	return 0;
}

/**
 * mv_set_memory_region() - MINIVMM_SET_USER_MEMORY_REGION
 * @vm: the VM; vCPUs may be running
 * @mem: checked here
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for what cannot be; -EEXIST for an overlap; -ENOMEM.
 */
int mv_set_memory_region(struct mv_vm *vm,
			 const struct minivmm_userspace_memory_region *mem)
{
	int ret;

	if (!valid_region(mem))
		return -EINVAL;
	mutex_lock(&vm->slots->lock);
	ret = set_region_locked(vm, mem);
	mutex_unlock(&vm->slots->lock);
	return ret;
}

/**
 * mv_slots_init() - no slots
 * @vm: new
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int mv_slots_init(struct mv_vm *vm)
{
	struct mv_slots *slots = kzalloc(sizeof(*slots), GFP_KERNEL_ACCOUNT);

	if (!slots)
		return -ENOMEM;
	mutex_init(&slots->lock);
	xa_init(&slots->by_id);
	seqcount_latch_init(&slots->by_gfn.seq);
	slots->by_hva = RB_ROOT_CACHED;
	vm->slots = slots;
	return 0;
}

/**
 * mv_slots_destroy() - the VM's last reference is gone
 * @vm: no vCPU can run, the MMU notifier is off
 */
void mv_slots_destroy(struct mv_vm *vm)
{
	struct mv_slot *slot;
	unsigned long id;

	xa_for_each(&vm->slots->by_id, id, slot) {
		kvfree(slot->dirty);
		kfree(slot);
	}
	xa_destroy(&vm->slots->by_id);
	kfree(vm->slots);
}
