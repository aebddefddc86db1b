// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that has no pages of the host's own: device memory that the client has
 * mapped (VM_PFNMAP), to give it to its guest.
 */
#include <linux/mm.h>
#include "compat.h"
#include "core.h"

/* mmap_lock is held; if it had to be let go, look again (-EAGAIN). */
static int follow(struct mm_struct *mm, unsigned long hva, bool write, u64 *pfn,
		  bool *writable)
{
	struct vm_area_struct *vma = vma_lookup(mm, hva);
	bool can_write, unlocked = false;
	int ret;

	if (!vma || !(vma->vm_flags & VM_PFNMAP))
		return -EFAULT;
	ret = mv_follow_pfn(vma, hva, pfn, &can_write);
	if (!ret && (can_write || !write)) {
		*writable &= can_write;
		return 0;
	}
	ret = fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0,
			       &unlocked);
	return ret ?: -EAGAIN;
}

/**
 * mv_get_device_frame() - the host frame behind an address of the client
 * @mm: the client's
 * @hva: in a mapping of device memory
 * @write: it is to be written
 * @pfn: its frame, which belongs to nobody here: good until it is invalidated
 * @writable: cleared if the mapping is read-only
 *
 * Context: may sleep. Return: 0; -EFAULT if it is no device memory, or not
 * accessible so; -EINTR.
 */
int mv_get_device_frame(struct mm_struct *mm, unsigned long hva, bool write,
			u64 *pfn, bool *writable)
{
	int ret;

	do {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		ret = follow(mm, hva, write, pfn, writable);
		mmap_read_unlock(mm);
	} while (ret == -EAGAIN && !signal_pending(current));
	return ret == -EAGAIN ? -EINTR : ret;
}
