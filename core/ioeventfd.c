// SPDX-License-Identifier: GPL-2.0-only
/*
 * MINIVMM_IOEVENTFD: a guest's write that signals an eventfd, instead of
 * waking the thread that called MINIVMM_RUN.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>
#include "compat.h"
#include "iobus.h"

#define VALID_FLAGS	(MINIVMM_IOEVENTFD_FLAG_DATAMATCH | \
			 MINIVMM_IOEVENTFD_FLAG_PIO |	    \
			 MINIVMM_IOEVENTFD_FLAG_DEASSIGN)

struct ioeventfd {
	struct mv_iodev dev;
	struct eventfd_ctx *ctx;
};

static void ring(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
		 unsigned int len, const void *data)
{
	mv_eventfd_signal(container_of(dev, struct ioeventfd, dev)->ctx);
}

static void ioeventfd_free(struct mv_iodev *dev)
{
	struct ioeventfd *p = container_of(dev, struct ioeventfd, dev);

	eventfd_ctx_put(p->ctx);
	kfree(p);
}

static const struct mv_iodev_ops ioeventfd_ops = {
	.write = ring,
	.release = ioeventfd_free,
};

static struct mv_iodev doorbell(const struct minivmm_ioeventfd *args)
{
	bool match = args->flags & MINIVMM_IOEVENTFD_FLAG_DATAMATCH;

	return (struct mv_iodev) {
		.space = args->flags & MINIVMM_IOEVENTFD_FLAG_PIO ?
			 MV_SPACE_PORT : MV_SPACE_MEMORY,
		.base = args->addr,
		.len = args->len,
		.doorbell = true,
		.any_data = !match,
		.data = match ? args->datamatch : 0,
		.ops = &ioeventfd_ops,
	};
}

/* Takes over @ctx if it succeeds. */
static int assign(struct mv_vm *vm, const struct minivmm_ioeventfd *args,
		  struct eventfd_ctx *ctx)
{
	struct ioeventfd *p = kmalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	struct mv_iodev *dev;
	int ret;

	if (!p)
		return -ENOMEM;
	p->dev = doorbell(args);
	p->ctx = ctx;
	dev = &p->dev;
	ret = mv_iobus_add(vm, &dev, 1);
	if (ret)
		kfree(p);
	return ret;
}

static int deassign(struct mv_vm *vm, const struct minivmm_ioeventfd *args,
		    const struct eventfd_ctx *ctx)
{
	const struct mv_iodev key = doorbell(args);
	struct mv_iodev *dev = mv_iobus_find(vm, &key);
	int ret;

	if (!dev || container_of(dev, struct ioeventfd, dev)->ctx != ctx)
		return -ENOENT;
	ret = mv_iobus_remove(vm, dev);
	if (!ret)
		ioeventfd_free(dev);
	return ret;
}

static bool can_be(const struct minivmm_ioeventfd *args)
{
	bool match = args->flags & MINIVMM_IOEVENTFD_FLAG_DATAMATCH;

	switch (args->len) {
	case 0:
		return !match;
	case 1:
	case 2:
	case 4:
	case 8:
		return args->addr + args->len >= args->addr;
	default:
		return false;
	}
}

/**
 * mv_ioeventfd() - MINIVMM_IOEVENTFD
 * @vm: the VM
 * @args: from user space, not checked
 *
 * Return: 0; -EINVAL; -EBADF, or -EINVAL if it is no eventfd; -EEXIST if a
 * write could match two; -ENOENT if there is none to deassign; -ENOMEM.
 */
int mv_ioeventfd(struct mv_vm *vm, const struct minivmm_ioeventfd *args)
{
	bool remove = args->flags & MINIVMM_IOEVENTFD_FLAG_DEASSIGN;
	struct eventfd_ctx *ctx;
	int ret;

	if (args->flags & ~VALID_FLAGS || (!remove && !can_be(args)))
		return -EINVAL;
	ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&vm->irq_lock);
	ret = remove ? deassign(vm, args, ctx) : assign(vm, args, ctx);
	mutex_unlock(&vm->irq_lock);
	if (ret || remove)
		eventfd_ctx_put(ctx);
	return ret;
}
