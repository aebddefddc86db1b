// SPDX-License-Identifier: GPL-2.0
/* The bus: who answers, what is refused, how wide accesses are split. */
#include <errno.h>
#include <string.h>

#include "bus.h"
#include "tap.h"

struct memory {
	struct device dev;
	u8 bytes[16];
	unsigned int cycles;
};

static u64 memory_read(struct device *dev, u64 offset, unsigned int len)
{
	struct memory *m = dev->opaque;
	u64 value = 0;

	m->cycles++;
	memcpy(&value, m->bytes + offset, len);
	return value;
}

static void memory_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct memory *m = dev->opaque;

	m->cycles++;
	memcpy(m->bytes + offset, &value, len);
}

static const struct device_ops byte_ops = {
	.width = 1, .read = memory_read, .write = memory_write,
};

static const struct device_ops wide_ops = {
	.width = 4, .read = memory_read, .write = memory_write,
};

static void memory_init(struct memory *m, u64 base, u64 len, const struct device_ops *ops)
{
	memset(m, 0, sizeof(*m));
	m->dev = (struct device){
		.name = "memory", .base = base, .len = len, .ops = ops, .opaque = m,
	};
}

static int add(struct bus *bus, u64 base, u64 len)
{
	struct device dev = { .base = base, .len = len, .ops = &byte_ops };
	unsigned int nr = bus->nr;
	int err = bus_add(bus, &dev);

	/* dev goes out of scope: what was added must not stay. */
	if (!err)
		bus->nr = nr;
	return err;
}

static void test_add(void)
{
	static struct memory low, high, middle;
	struct bus bus = { 0 };

	memory_init(&high, 0x60, 4, &byte_ops);
	memory_init(&low, 0x20, 2, &byte_ops);
	memory_init(&middle, 0x22, 2, &byte_ops);
	EQUAL(bus_add(&bus, &high.dev), 0, "a device fits");
	EQUAL(bus_add(&bus, &low.dev), 0, "one below it fits");
	EQUAL(bus_add(&bus, &middle.dev), 0, "one that touches another fits");

	EQUAL(add(&bus, 0x60, 4), (u64)-EEXIST, "the same range is refused");
	EQUAL(add(&bus, 0x63, 1), (u64)-EEXIST, "an overlap at the end is refused");
	EQUAL(add(&bus, 0x5f, 2), (u64)-EEXIST, "an overlap at the start is refused");
	EQUAL(add(&bus, 0x00, 0x100), (u64)-EEXIST, "a range around all is refused");
	EQUAL(add(&bus, 0x70, 0), (u64)-EINVAL, "an empty range is refused");
	EQUAL(add(&bus, ~0ULL, 2), (u64)-EINVAL, "a wrapping range is refused");

	CHECK(bus_find(&bus, 0x21) == &low.dev, "the last byte belongs to the device");
	CHECK(bus_find(&bus, 0x22) == &middle.dev, "the next byte to its neighbour");
	CHECK(!bus_find(&bus, 0x24) && !bus_find(&bus, 0x1f), "what is around to nobody");
	CHECK(!bus_find(&bus, 0) && !bus_find(&bus, ~0ULL), "nor do the ends of the space");
}

static void test_full(void)
{
	static struct memory many[BUS_MAX_DEVICES + 1];
	struct bus bus = { 0 };
	int err = 0;

	for (unsigned int i = 0; i < BUS_MAX_DEVICES; i++) {
		memory_init(&many[i], 0x1000 - i * 8, 8, &byte_ops);
		err |= bus_add(&bus, &many[i].dev);
	}
	EQUAL(err, 0, "the bus takes as many devices as it says");
	memory_init(&many[BUS_MAX_DEVICES], 0x2000, 8, &byte_ops);
	EQUAL(bus_add(&bus, &many[BUS_MAX_DEVICES].dev), (u64)-ENOSPC, "and not one more");
	for (unsigned int i = 1; i < bus.nr; i++)
		err |= bus.devices[i - 1]->base >= bus.devices[i]->base;
	EQUAL(err, 0, "they are sorted");
}

static void test_access(void)
{
	static const u8 pattern[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	static struct memory bytes, wide;
	struct bus bus = { 0 };
	u8 data[8];

	memory_init(&bytes, 0x10, 4, &byte_ops);
	memory_init(&wide, 0x14, 8, &wide_ops);
	bus_add(&bus, &bytes.dev);
	bus_add(&bus, &wide.dev);

	bus_write(&bus, 0x10, pattern, 4);
	EQUAL(bytes.cycles, 4, "a byte device sees a wide write as bytes");
	CHECK(!memcmp(bytes.bytes, pattern, 4), "in order");
	bus_write(&bus, 0x14, pattern, 8);
	EQUAL(wide.cycles, 2, "a device four wide sees eight bytes as two writes");
	CHECK(!memcmp(wide.bytes, pattern, 8), "in order");
	bus_read(&bus, 0x12, data, 4);
	CHECK(!memcmp(data, "\3\4\1\2", 4), "a read across a border asks both devices");
	bus_read(&bus, 0x1a, data, 4);
	CHECK(!memcmp(data, "\7\10\377\377", 4), "what nobody claims reads as ones");
	memset(data, 0, sizeof(data));
	bus_read(&bus, 0x1000, data, 8);
	CHECK(!memcmp(data, "\377\377\377\377\377\377\377\377", 8), "eight bytes of it too");
	bus_write(&bus, 0x0e, pattern, 4);
	CHECK(!memcmp(bytes.bytes, "\3\4\3\4", 4), "writes to nobody are dropped");
}

int main(void)
{
	test_add();
	test_full();
	test_access();
	return tap_end();
}
