/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The bus: who answers at an address. One instance carries the I/O ports, a
 * second one the MMIO addresses.
 */
#ifndef MINIVMM_BUS_H
#define MINIVMM_BUS_H

#include "base.h"

#define BUS_MAX_DEVICES		32

struct device;

/*
 * @read and @write get the offset into the device's range and a length of 1,
 * 2, 4 or 8 bytes, at most @width. Values are little-endian numbers. Any vCPU
 * thread may call them at any time: a device locks for itself.
 */
struct device_ops {
	unsigned int width;
	u64 (*read)(struct device *dev, u64 offset, unsigned int len);
	void (*write)(struct device *dev, u64 offset, u64 value, unsigned int len);
};

struct device {
	const char *name;
	u64 base;
	u64 len;
	const struct device_ops *ops;
	void *opaque;		/* the model's own state */
};

/* Sorted by base; complete before the first vCPU runs, read-only after. */
struct bus {
	struct device *devices[BUS_MAX_DEVICES];
	unsigned int nr;
};

int bus_add(struct bus *bus, struct device *dev);
struct device *bus_find(const struct bus *bus, u64 addr);
void bus_read(const struct bus *bus, u64 addr, void *data, unsigned int len);
void bus_write(const struct bus *bus, u64 addr, const void *data, unsigned int len);

#endif /* MINIVMM_BUS_H */
