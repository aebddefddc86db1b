// SPDX-License-Identifier: GPL-2.0-only
/*
 * MINIVMM_IRQFD: an eventfd that raises a GSI, whoever signals it: a thread of
 * the client, another process, a driver.
 *
 * The eventfd's waker delivers the interrupt itself: all below it can be called
 * in any context.
 *
 * An irqfd ends when it is deassigned, when the last descriptor of its eventfd
 * is closed, or with its VM. Whichever comes first takes it out of vm->irqfds
 * and leaves the rest to a work item, as it may be called by the eventfd.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "core.h"

/**
 * struct irqfd - an eventfd that raises a GSI
 * @vm: of this VM
 * @ctx: the eventfd
 * @resample: signalled when the interrupt has ended and the line has been
 *	lowered; NULL: the line is only pulsed
 * @gsi: the GSI
 * @wait: in the eventfd's wait queue
 * @poll: puts it there
 * @error: why that failed
 * @link: in vm->irqfds
 * @resampler: in vm->resamplers
 * @end: takes it apart
 */
struct irqfd {
	struct mv_vm *vm;
	struct eventfd_ctx *ctx;
	struct eventfd_ctx *resample;
	u32 gsi;
	wait_queue_entry_t wait;
	poll_table poll;
	int error;
	struct list_head link;
	struct list_head resampler;
	struct work_struct end;
};

/* All VMs' ends */
static struct workqueue_struct *ends;

static void inject(struct irqfd *irqfd)
{
	if (irqfd->resample) {
		mv_gsi_set(irqfd->vm, MV_SOURCE_RESAMPLE, irqfd->gsi, true);
		return;
	}
	mv_gsi_pulse(irqfd->vm, MV_SOURCE_USER, irqfd->gsi);
}

/* vm->irqfds_lock is held: only one can take it out of the list. */
static void start_end(struct irqfd *irqfd)
{
	list_del_init(&irqfd->link);
	queue_work(ends, &irqfd->end);
}

/* The last descriptor of the eventfd is closed. */
static void hang_up(struct irqfd *irqfd)
{
	unsigned long flags;

	spin_lock_irqsave(&irqfd->vm->irqfds_lock, flags);
	if (!list_empty(&irqfd->link))
		start_end(irqfd);
	spin_unlock_irqrestore(&irqfd->vm->irqfds_lock, flags);
}

/* Called with the eventfd's wait-queue lock held, interrupts off */
static int wake(wait_queue_entry_t *wait, unsigned int mode, int sync,
		void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (events & EPOLLHUP)
		hang_up(irqfd);
	if (!(events & EPOLLIN))
		return 0;
	eventfd_ctx_do_read(irqfd->ctx, &count);
	inject(irqfd);
	return 1;
}

static void add_to_wait_queue(struct file *file, wait_queue_head_t *head,
			      poll_table *poll)
{
	struct irqfd *irqfd = container_of(poll, struct irqfd, poll);

	irqfd->error = mv_add_wait_queue_first(head, &irqfd->wait);
}

/* vm->irq_lock is held. */
static bool has_resampler(const struct mv_vm *vm, u32 gsi)
{
	const struct irqfd *irqfd;

	list_for_each_entry(irqfd, &vm->resamplers, resampler)
		if (irqfd->gsi == gsi)
			return true;
	return false;
}

/* vm->irq_lock is held. What nobody will ever hear the end of is let go. */
static void remove_resampler(struct irqfd *irqfd)
{
	struct mv_vm *vm = irqfd->vm;

	if (!irqfd->resample)
		return;
	list_del_rcu(&irqfd->resampler);
	synchronize_srcu_expedited(&vm->irq_srcu);
	if (!has_resampler(vm, irqfd->gsi))
		mv_gsi_set(vm, MV_SOURCE_RESAMPLE, irqfd->gsi, false);
}

static void free_irqfd(struct irqfd *irqfd)
{
	if (irqfd->resample)
		eventfd_ctx_put(irqfd->resample);
	if (irqfd->ctx)
		eventfd_ctx_put(irqfd->ctx);
	kfree(irqfd);
}

/* When the wait queue is left, wake() has returned for the last time. */
static void end_irqfd(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, end);
	struct mv_vm *vm = irqfd->vm;
	u64 count;

	eventfd_ctx_remove_wait_queue(irqfd->ctx, &irqfd->wait, &count);
	mutex_lock(&vm->irq_lock);
	remove_resampler(irqfd);
	mutex_unlock(&vm->irq_lock);
	free_irqfd(irqfd);
}

static bool is_taken(struct mv_vm *vm, const struct eventfd_ctx *ctx)
{
	const struct irqfd *irqfd;
	bool taken = false;

	spin_lock_irq(&vm->irqfds_lock);
	list_for_each_entry(irqfd, &vm->irqfds, link)
		taken |= irqfd->ctx == ctx;
	spin_unlock_irq(&vm->irqfds_lock);
	return taken;
}

/*
 * vm->irq_lock is held: nobody deassigns it meanwhile; and @file is, so that
 * it does not hang up either. An eventfd that was signalled before counts.
 */
static int start(struct irqfd *irqfd, struct file *file)
{
	struct mv_vm *vm = irqfd->vm;
	__poll_t events;

	if (is_taken(vm, irqfd->ctx))
		return -EBUSY;
	if (irqfd->resample)
		list_add_rcu(&irqfd->resampler, &vm->resamplers);
	events = vfs_poll(file, &irqfd->poll);
	if (irqfd->error) {
		remove_resampler(irqfd);
		return irqfd->error;
	}
	spin_lock_irq(&vm->irqfds_lock);
	list_add_tail(&irqfd->link, &vm->irqfds);
	spin_unlock_irq(&vm->irqfds_lock);
	if (events & EPOLLIN)
		inject(irqfd);
	return 0;
}

static struct irqfd *alloc_irqfd(struct mv_vm *vm, u32 gsi)
{
	struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);

	if (!irqfd)
		return NULL;
	irqfd->vm = vm;
	irqfd->gsi = gsi;
	INIT_LIST_HEAD(&irqfd->link);
	init_waitqueue_func_entry(&irqfd->wait, wake);
	init_poll_funcptr(&irqfd->poll, add_to_wait_queue);
	INIT_WORK(&irqfd->end, end_irqfd);
	return irqfd;
}

static int get_eventfds(struct irqfd *irqfd, struct file *file,
			const struct minivmm_irqfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	irqfd->ctx = ctx;
	if (!(args->flags & MINIVMM_IRQFD_FLAG_RESAMPLE))
		return 0;
	ctx = eventfd_ctx_fdget(args->resamplefd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	irqfd->resample = ctx;
	return 0;
}

static int assign_file(struct mv_vm *vm, const struct minivmm_irqfd *args,
		       struct file *file)
{
	struct irqfd *irqfd = alloc_irqfd(vm, args->gsi);
	int ret;

	if (!irqfd)
		return -ENOMEM;
	ret = get_eventfds(irqfd, file, args);
	if (!ret) {
		mutex_lock(&vm->irq_lock);
		ret = start(irqfd, file);
		mutex_unlock(&vm->irq_lock);
	}
	if (ret)
		free_irqfd(irqfd);
	return ret;
}

static int assign(struct mv_vm *vm, const struct minivmm_irqfd *args)
{
	enum mv_irqchip_mode mode = mv_irqchip_mode(vm);
	struct file *file;
	int ret;

	/* Ends of interrupts are known to the kernel's I/O APIC only. */
	if (mode == MV_IRQCHIP_USER ||
	    (mode == MV_IRQCHIP_SPLIT &&
	     (args->flags & MINIVMM_IRQFD_FLAG_RESAMPLE)))
		return -EINVAL;
	file = fget(args->fd);
	if (!file)
		return -EBADF;
	ret = assign_file(vm, args, file);
	/* From here on it can hang up, and be gone. */
	fput(file);
	return ret;
}

/* When this returns the eventfd injects no more. None is no error, as KVM's. */
static int deassign(struct mv_vm *vm, const struct minivmm_irqfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct irqfd *irqfd, *next;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&vm->irq_lock);
	spin_lock_irq(&vm->irqfds_lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link)
		if (irqfd->ctx == ctx && irqfd->gsi == args->gsi)
			start_end(irqfd);
	spin_unlock_irq(&vm->irqfds_lock);
	mutex_unlock(&vm->irq_lock);
	flush_workqueue(ends);
	eventfd_ctx_put(ctx);
	return 0;
}

/**
 * mv_irqfd() - MINIVMM_IRQFD
 * @vm: the VM
 * @args: from user space, not checked
 *
 * Return: 0; -EINVAL: unknown flags, no chips in the kernel that could take it,
 * no eventfd; -EBADF; -EBUSY if the eventfd is an irqfd already; -ENOMEM.
 */
int mv_irqfd(struct mv_vm *vm, const struct minivmm_irqfd *args)
{
	if (args->flags & ~(MINIVMM_IRQFD_FLAG_DEASSIGN |
			    MINIVMM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & MINIVMM_IRQFD_FLAG_DEASSIGN)
		return deassign(vm, args);
	return assign(vm, args);
}

/**
 * mv_resample() - an interrupt has ended: those that hold its line look again
 * @vm: the VM
 * @chip: MINIVMM_IRQCHIP_*
 * @pin: the input it came from
 *
 * The line is lowered before they are told, so that they can raise it anew.
 *
 * Context: sleeps; not under vm->irq_lock.
 */
void mv_resample(struct mv_vm *vm, u32 chip, unsigned int pin)
{
	const struct irqfd *irqfd;
	bool lowered = false;
	int idx, gsi;

	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = mv_pin_to_gsi(vm, chip, pin);
	list_for_each_entry_srcu(irqfd, &vm->resamplers, resampler,
				 srcu_read_lock_held(&vm->irq_srcu)) {
		if (gsi < 0 || irqfd->gsi != gsi)
			continue;
		if (!lowered)
			mv_gsi_set(vm, MV_SOURCE_RESAMPLE, gsi, false);
		lowered = true;
		mv_eventfd_signal(irqfd->resample);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
}

/**
 * mv_irqfds_destroy() - end all irqfds
 * @vm: nobody can assign one any more
 *
 * When this returns no eventfd knows the VM.
 */
void mv_irqfds_destroy(struct mv_vm *vm)
{
	struct irqfd *irqfd, *next;

	spin_lock_irq(&vm->irqfds_lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link)
		start_end(irqfd);
	spin_unlock_irq(&vm->irqfds_lock);
	/* also those that hung up just now */
	flush_workqueue(ends);
}

/**
 * mv_irqfd_init() - a work queue for the ends of irqfds
 *
 * Context: module load. Return: 0 or -ENOMEM.
 */
int mv_irqfd_init(void)
{
	ends = alloc_workqueue("minivmm-irqfd", WQ_UNBOUND, 0);
	return ends ? 0 : -ENOMEM;
}

/**
 * mv_irqfd_exit() - the module goes; no VM is left
 */
void mv_irqfd_exit(void)
{
	destroy_workqueue(ends);
}
