/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices in the kernel, for those who implement them and for iobus.c. */
#ifndef MINIVMM_IOBUS_H
#define MINIVMM_IOBUS_H

#include "core.h"

struct mv_iodev;

/**
 * struct mv_iodev_ops - what a device does
 * @read: @len bytes at @addr, all of them the device's, to @data
 * @write: the other way round
 * @release: nobody uses the device any more; or NULL
 *
 * Context of @read and @write: a vCPU's thread outside the run section, inside
 * vm->irq_srcu. They may sleep, but not take vm->irq_lock. A doorbell's @write
 * may also be called inside the run section, where it must not sleep.
 */
struct mv_iodev_ops {
	void (*read)(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
		     unsigned int len, void *data);
	void (*write)(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
		      unsigned int len, const void *data);
	void (*release)(struct mv_iodev *dev);
};

/**
 * struct mv_iodev - a device on the bus: a range, or a doorbell
 * @space: ports or memory
 * @base: its first address
 * @len: bytes; of a doorbell, the length of the writes it takes, 0: any
 * @doorbell: takes writes to @base only, of @len and @data; else a range, which
 *	takes all that lies within it
 * @any_data: a doorbell that does not look at @data
 * @data: what must be written
 * @ops: what it does
 */
struct mv_iodev {
	enum mv_io_space space;
	u64 base;
	u32 len;
	bool doorbell;
	bool any_data;
	u64 data;
	const struct mv_iodev_ops *ops;
};

int mv_iobus_add(struct mv_vm *vm, struct mv_iodev *const devs[],
		 unsigned int nr);
int mv_iobus_remove(struct mv_vm *vm, struct mv_iodev *dev);
struct mv_iodev *mv_iobus_find(struct mv_vm *vm, const struct mv_iodev *key);

#endif
