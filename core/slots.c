// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: where in the client's address space guest-physical memory is.
 *
 * The table is replaced as a whole and read under SRCU, by vCPUs, by the MMU
 * notifier and inside the run section. What has no slot is a device.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core.h"
#include "slots.h"

/* A four-level second-level table reaches 48 bits; KVM's limit for a slot */
#define MAX_GPA_BITS	48
#define MAX_SLOT_PAGES	((1UL << 31) - 1)

static const struct mv_slot *search(const struct mv_slots *slots, u64 gfn)
{
	u32 lo = 0, hi = slots->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct mv_slot *slot = &slots->slot[mid];

		if (gfn < slot->gfn)
			hi = mid;
		else if (gfn >= slot->gfn + slot->npages)
			lo = mid + 1;
		else
			return slot;
	}
	return NULL;
}

/**
 * mv_find_slot() - the slot that an access finds
 * @vm: the VM; the caller holds its SRCU
 * @gfn: guest frame
 * @write: the access writes; read-only memory counts as none then
 *
 * Context: any, also inside the run section. Return: the slot, or NULL.
 */
const struct mv_slot *mv_find_slot(struct mv_vm *vm, u64 gfn, bool write)
{
	const struct mv_slot *slot = search(mv_slots(vm), gfn);

	if (!slot || (slot->flags & MV_SLOT_DEAD) ||
	    (write && (slot->flags & MINIVMM_MEM_READONLY)))
		return NULL;
	return slot;
}

static unsigned long gfn_to_hva(struct mv_vm *vm, u64 gfn, bool write)
{
	const struct mv_slot *slot = mv_find_slot(vm, gfn, write);

	return slot ? mv_slot_hva(slot, gfn) : 0;
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
	struct mv_vm *vm = vcpu->vm;
	int idx = srcu_read_lock(&vm->srcu);
	bool ram = gfn_to_hva(vm, gpa >> PAGE_SHIFT, write);

	srcu_read_unlock(&vm->srcu, idx);
	return ram;
}

/**
 * mv_gpa_to_hva() - where the client has a guest-physical address
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @write: as in mv_gpa_is_ram()
 *
 * The slot may go away at once; the address is good for user-space accessors,
 * which fail then, and for nothing else.
 *
 * Return: the address, or -ENXIO (test with IS_ERR_VALUE()).
 */
unsigned long mv_gpa_to_hva(struct mv_vcpu *vcpu, u64 gpa, bool write)
{
	struct mv_vm *vm = vcpu->vm;
	int idx = srcu_read_lock(&vm->srcu);
	unsigned long hva = gfn_to_hva(vm, gpa >> PAGE_SHIFT, write);

	srcu_read_unlock(&vm->srcu, idx);
	return hva ? hva + offset_in_page(gpa) : -ENXIO;
}

static int copy_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data,
		    unsigned int len, bool write)
{
	unsigned long hva = mv_gpa_to_hva(vcpu, gpa, write), left;

	if (IS_ERR_VALUE(hva))
		return -ENXIO;
	if (write)
		left = copy_to_user((void __user *)hva, data, len);
	else
		left = copy_from_user(data, (void __user *)hva, len);
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

/**
 * mv_read_gpa_16() - the same for 16 bytes that lie in one page
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @data: what is there
 *
 * Every instruction that is emulated comes through here; a copy of fixed size
 * takes a third of what the general one does.
 *
 * Context: may sleep. Return: 0, -ENXIO, -EFAULT.
 */
int mv_read_gpa_16(struct mv_vcpu *vcpu, u64 gpa, u64 data[2])
{
	unsigned long hva = mv_gpa_to_hva(vcpu, gpa, false);

	if (IS_ERR_VALUE(hva))
		return -ENXIO;
	if (get_user(data[0], (u64 __user *)hva) ||
	    get_user(data[1], (u64 __user *)hva + 1))
		return -EFAULT;
	return 0;
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

static struct mv_slots *alloc_slots(u32 nr)
{
	return kvzalloc(struct_size((struct mv_slots *)NULL, slot, nr),
			GFP_KERNEL_ACCOUNT);
}

/*
 * Publishes a new table and waits until nobody uses the old one. A fault that
 * is still under way has then mapped its page, and can be zapped.
 */
static void publish(struct mv_vm *vm, struct mv_slots *slots)
{
	struct mv_slots *old = rcu_replace_pointer(vm->slots, slots,
					lockdep_is_held(&vm->slots_lock));

	synchronize_srcu(&vm->srcu);
	kvfree(old);
}

/* A copy of the table without slot @id, and with @add unless it is NULL. */
static struct mv_slots *copy_slots(const struct mv_slots *old, u32 id,
				   const struct mv_slot *add)
{
	struct mv_slots *new = alloc_slots(old->nr + 1);
	u32 i;

	if (!new)
		return NULL;
	for (i = 0; i < old->nr; i++) {
		const struct mv_slot *slot = &old->slot[i];

		if (slot->id == id)
			continue;
		if (add && add->gfn < slot->gfn) {
			new->slot[new->nr++] = *add;
			add = NULL;
		}
		new->slot[new->nr++] = *slot;
	}
	if (add)
		new->slot[new->nr++] = *add;
	return new;
}

static const struct mv_slot *slot_by_id(const struct mv_slots *slots, u32 id)
{
	u32 i;

	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	return NULL;
}

static bool overlaps(const struct mv_slots *slots, const struct mv_slot *new)
{
	u32 i;

	for (i = 0; i < slots->nr; i++) {
		const struct mv_slot *slot = &slots->slot[i];

		if (slot->id != new->id &&
		    slot->gfn < new->gfn + new->npages &&
		    new->gfn < slot->gfn + slot->npages)
			return true;
	}
	return false;
}

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
	if (mem->flags & ~MINIVMM_MEM_READONLY || mem->slot >= MV_MAX_SLOTS)
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

/*
 * Takes slot @old away, with everything mapped through it, and puts @new in its
 * place unless that is NULL.
 *
 * Between two tables the slot is dead: no fault finds it any more, but an
 * invalidation by the host still does, as long as any of its pages is mapped.
 * Both tables are made before the first is published: no way back after that.
 */
static int replace_slot(struct mv_vm *vm, const struct mv_slots *slots,
			const struct mv_slot *old, const struct mv_slot *new)
{
	struct mv_slot dead = *old;
	struct mv_slots *without = copy_slots(slots, old->id, new);
	struct mv_slots *dying;

	dead.flags |= MV_SLOT_DEAD;
	dying = copy_slots(slots, old->id, &dead);
	if (!without || !dying) {
		kvfree(without);
		kvfree(dying);
		return -ENOMEM;
	}
	publish(vm, dying);
	mv_zap_frames(vm, dead.gfn, dead.gfn + dead.npages, true);
	mv_flush_guest_tlbs(vm);
	publish(vm, without);
	return 0;
}

static int add_slot(struct mv_vm *vm, const struct mv_slots *slots,
		    const struct mv_slot *slot)
{
	struct mv_slots *new = copy_slots(slots, slot->id, slot);

	if (!new)
		return -ENOMEM;
	publish(vm, new);
	return 0;
}

/* The slot exists: it can move, and nothing else about it can change. */
static int change_slot(struct mv_vm *vm, const struct mv_slots *slots,
		       const struct mv_slot *old, const struct mv_slot *new)
{
	if (old->hva != new->hva || old->npages != new->npages ||
	    old->flags != new->flags)
		return -EINVAL;
	if (old->gfn == new->gfn)
		return 0;
	if (overlaps(slots, new))
		return -EEXIST;
	return replace_slot(vm, slots, old, new);
}

static int set_region_locked(struct mv_vm *vm,
			     const struct minivmm_userspace_memory_region *mem)
{
	const struct mv_slots *slots = rcu_dereference_protected(vm->slots,
					lockdep_is_held(&vm->slots_lock));
	const struct mv_slot *old = slot_by_id(slots, mem->slot);
	struct mv_slot new = {
		.gfn = mem->guest_phys_addr >> PAGE_SHIFT,
		.npages = mem->memory_size >> PAGE_SHIFT,
		.hva = mem->userspace_addr,
		.id = mem->slot,
		.flags = mem->flags,
	};

	if (!new.npages)
		return old ? replace_slot(vm, slots, old, NULL) : -EINVAL;
	if (old)
		return change_slot(vm, slots, old, &new);
	if (overlaps(slots, &new))
		return -EEXIST;
	return add_slot(vm, slots, &new);
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
	mutex_lock(&vm->slots_lock);
	ret = set_region_locked(vm, mem);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

/**
 * mv_slots_init() - an empty table
 * @vm: new
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int mv_slots_init(struct mv_vm *vm)
{
	struct mv_slots *slots = alloc_slots(0);
	int ret;

	if (!slots)
		return -ENOMEM;
	mutex_init(&vm->slots_lock);
	ret = init_srcu_struct(&vm->srcu);
	if (ret)
		kvfree(slots);
	else
		RCU_INIT_POINTER(vm->slots, slots);
	return ret;
}

/**
 * mv_slots_destroy() - the VM's last reference is gone
 * @vm: no vCPU can run, the MMU notifier is off
 */
void mv_slots_destroy(struct mv_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->slots, true));
	cleanup_srcu_struct(&vm->srcu);
}
