// SPDX-License-Identifier: GPL-2.0
/*
 * The bus: a sorted array of address ranges, searched by bisection.
 */
#include <errno.h>
#include <string.h>

#include "bus.h"

/* How many devices start at or below @addr. */
static unsigned int bus_upper(const struct bus *bus, u64 addr)
{
	unsigned int lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (bus->devices[mid]->base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/**
 * bus_find - the device that answers at an address
 * @bus: the bus
 * @addr: port number or guest physical address
 *
 * Return: the device, or NULL when nobody claims @addr.
 */
struct device *bus_find(const struct bus *bus, u64 addr)
{
	unsigned int n = bus_upper(bus, addr);
	struct device *dev;

	if (!n)
		return NULL;
	dev = bus->devices[n - 1];
	return addr - dev->base < dev->len ? dev : NULL;
}

/**
 * bus_add - put a device on the bus
 * @bus: the bus
 * @dev: the device; it stays the caller's and must outlive the bus
 *
 * Return: 0; -EINVAL for an empty or wrapping range; -EEXIST when the range
 * overlaps another device's; -ENOSPC when the bus is full.
 */
int bus_add(struct bus *bus, struct device *dev)
{
	u64 last = dev->base + dev->len - 1;
	unsigned int n;

	if (!dev->len || last < dev->base)
		return -EINVAL;
	if (bus->nr == BUS_MAX_DEVICES)
		return -ENOSPC;

	/* Neighbours suffice: what is on the bus does not overlap. */
	n = bus_upper(bus, last);
	if (n) {
		const struct device *below = bus->devices[n - 1];

		if (below->base + below->len - 1 >= dev->base)
			return -EEXIST;
	}

	memmove(&bus->devices[n + 1], &bus->devices[n],
		(bus->nr - n) * sizeof(bus->devices[0]));
	bus->devices[n] = dev;
	bus->nr++;
	return 0;
}

/*
 * One cycle: the largest power of two that the access has left, the device
 * takes and its range still covers. Wider accesses become several cycles, as
 * the ISA bridge of a PC does for its 8-bit devices.
 */
static unsigned int bus_cycle(const struct device *dev, u64 addr, unsigned int left)
{
	u64 room = dev->base + dev->len - addr;
	unsigned int n = 8;

	while (n > left || n > dev->ops->width || n > room)
		n /= 2;
	return n;
}

/**
 * bus_read - carry out a read
 * @bus: the bus
 * @addr: port number or guest physical address
 * @data: where the bytes go
 * @len: how many bytes
 *
 * Bytes that no device claims read as ones, as on a bus with pull-ups.
 */
void bus_read(const struct bus *bus, u64 addr, void *data, unsigned int len)
{
	u8 *bytes = data;

	while (len) {
		struct device *dev = bus_find(bus, addr);
		unsigned int n = 1;
		u64 value = 0xff;

		if (dev) {
			n = bus_cycle(dev, addr, len);
			value = dev->ops->read(dev, addr - dev->base, n);
		}
		memcpy(bytes, &value, n);
		bytes += n;
		addr += n;
		len -= n;
	}
}

/**
 * bus_write - carry out a write
 * @bus: the bus
 * @addr: port number or guest physical address
 * @data: the bytes
 * @len: how many bytes
 *
 * Bytes that no device claims are dropped.
 */
void bus_write(const struct bus *bus, u64 addr, const void *data, unsigned int len)
{
	const u8 *bytes = data;

	while (len) {
		struct device *dev = bus_find(bus, addr);
		unsigned int n = 1;

		if (dev) {
			u64 value = 0;

			n = bus_cycle(dev, addr, len);
			memcpy(&value, bytes, n);
			dev->ops->write(dev, addr - dev->base, value, n);
		}
		bytes += n;
		addr += n;
		len -= n;
	}
}
