// SPDX-License-Identifier: GPL-2.0
/* Streams: what goes out comes in, and nothing else does. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"
#include "monotonic.h"
#include "stream.h"
#include "tap.h"

struct thing {
	u8 small;
	bool flag;
	u32 numbers[3];
	u64 since;
	u32 secret;		/* no part of the state */
};

static const struct state_desc thing_desc = {
	.id = SECTION_RTC, .name = "thing",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct thing, small, 2, 7),
		STATE_BOOL(struct thing, flag),
		STATE_ARRAY(struct thing, numbers, 1000),
		STATE_TIME(struct thing, since),
		{ }
	},
};

#define THING_LEN	(1 + 1 + 3 * 4 + 8)

static int fd;
static u8 bytes[4096];
static size_t nr_bytes;

/* Four sections in the file; keeps a copy of it. */
static void write_stream(void)
{
	struct thing thing = { .small = 5, .flag = true, .numbers = { 1, 20, 1000 } };
	struct stream_out *out;

	thing.since = now_ns() - 1000000;
	fd = memfd_create("stream", 0);
	out = stream_out_open(fd);
	state_save_bytes(out, SECTION_MSRS, 7, "abc", 3);
	state_save_bytes(out, SECTION_CPUID, 1, "defg", 4);
	state_save(out, &thing_desc, 0, &thing);
	stream_begin(out, SECTION_END, 0);
	stream_end(out);
	CHECK(stream_flush(out), "a stream goes out");
	nr_bytes = stream_out_bytes(out);
	EQUAL(pread(fd, bytes, sizeof(bytes), 0), nr_bytes, "as many bytes as it says");
	stream_out_free(out);
}

/* Return: how many good sections come in of @len bytes; -1 if that is the whole stream. */
static int read_stream(const u8 *data, size_t len)
{
	struct stream_in *in;
	struct section s;
	int n = 0;

	lseek(fd, 0, SEEK_SET);
	if (ftruncate(fd, 0) || write(fd, data, len) != (ssize_t)len)
		return -2;
	lseek(fd, 0, SEEK_SET);
	in = stream_in_open(fd);
	while (stream_next(in, &s)) {
		n++;
		if (s.id == SECTION_END && !s.length && stream_at_end(in)) {
			n = -1;
			break;
		}
	}
	if (n >= 0 && !*stream_in_error(in))
		n = -2;
	stream_in_free(in);
	return n;
}

static void test_damage(void)
{
	unsigned int accepted = 0;
	u8 copy[sizeof(bytes)];

	EQUAL(read_stream(bytes, nr_bytes), -1, "it comes in");
	for (size_t len = 0; len < nr_bytes; len++)
		accepted += read_stream(bytes, len) < 0;
	EQUAL(accepted, 0, "no part of it does");
	for (size_t bit = 0; bit < 8 * nr_bytes; bit++) {
		memcpy(copy, bytes, nr_bytes);
		copy[bit / 8] ^= 1 << bit % 8;
		accepted += read_stream(copy, nr_bytes) < 0;
	}
	EQUAL(accepted, 0, "nor with any bit wrong");
	memcpy(copy, bytes, nr_bytes);
	EQUAL(read_stream(copy, nr_bytes + 1), 4, "nor with one byte more");
}

/* Sections whose own checksum is right, out of place */
static void test_order(void)
{
	const size_t first = 16, second = first + 24 + 3, third = second + 24 + 4;
	u8 copy[sizeof(bytes)];

	memcpy(copy, bytes, first);
	memcpy(copy + first, bytes + second, nr_bytes - second);
	EQUAL(read_stream(copy, nr_bytes - (second - first)), 0, "a section is missing");
	memcpy(copy, bytes, second);
	memcpy(copy + second, bytes + first, nr_bytes - first);
	EQUAL(read_stream(copy, nr_bytes + second - first), 1, "a section comes twice");
	memcpy(copy, bytes, first);
	memcpy(copy + first, bytes + second, third - second);
	memcpy(copy + first + third - second, bytes + first, second - first);
	memcpy(copy + third, bytes + third, nr_bytes - third);
	EQUAL(read_stream(copy, nr_bytes), 0, "two sections have changed places");
}

static void test_limits(void)
{
	static u8 big[STREAM_MAX_SECTION + 1];
	int full = memfd_create("full", MFD_ALLOW_SEALING);
	struct stream_out *out = stream_out_open(full);

	stream_begin(out, SECTION_MSRS, 0);
	stream_put(out, big, sizeof(big));
	stream_end(out);
	CHECK(!stream_flush(out), "a section that is too long");
	CHECK(strstr(stream_out_error(out), "too long"), "is no section");
	stream_out_free(out);

	if (fcntl(full, F_ADD_SEALS, F_SEAL_GROW))
		exit(99);
	out = stream_out_open(full);
	for (unsigned int i = 0; i < 8; i++)
		state_save_bytes(out, SECTION_MSRS, i, big, STREAM_MAX_SECTION);
	CHECK(!stream_flush(out), "what cannot be written");
	CHECK(strstr(stream_out_error(out), "cannot write"), "is an error that stays");
	stream_out_free(out);
	close(full);
}

/* The sections of the file, with one more if it is not NULL */
static struct saved load(const struct section *more)
{
	struct saved saved = { 0 };
	struct stream_in *in;
	struct section s;

	read_stream(bytes, nr_bytes);
	lseek(fd, 0, SEEK_SET);
	in = stream_in_open(fd);
	while (stream_next(in, &s) && s.id != SECTION_END)
		saved_add(&saved, &s);
	stream_in_free(in);
	if (more)
		saved_add(&saved, more);
	return saved;
}

static void test_saved(void)
{
	const struct section twice = { .id = SECTION_MSRS, .instance = 7 };
	const struct section unknown = { .id = SECTION_IDS };
	const struct section memory = { .id = SECTION_PAGES };
	struct thing thing = { .secret = 77 };
	struct saved saved = load(NULL);
	const char *text;
	u64 age;
	u32 n;

	CHECK(state_load(&saved, &thing_desc, 0, &thing), "a state is loaded");
	CHECK(thing.small == 5 && thing.flag && thing.numbers[2] == 1000, "as it was saved");
	EQUAL(thing.secret, 77, "and nothing else");
	age = now_ns() - thing.since;
	CHECK(age >= 1000000 && age < 60 * NSEC_PER_SEC, "time goes on from there");
	text = state_load_bytes(&saved, SECTION_MSRS, 7, "list", 1, &n);
	CHECK(text && n == 3 && !memcmp(text, "abc", 3), "a list");
	CHECK(!saved_all_used(&saved), "something is left");
	CHECK(strstr(saved.error, "no place in this machine"), "that is an error");
	saved_free(&saved);

	saved = load(NULL);
	CHECK(!state_load_bytes(&saved, SECTION_MSRS, 7, "list", 2, &n), "half an element");
	saved_free(&saved);
	saved = load(NULL);
	CHECK(!state_load(&saved, &thing_desc, 1, &thing), "another instance");
	CHECK(strstr(saved.error, "thing 1 is missing"), "is missing");
	saved_free(&saved);
	saved = load(&twice);
	CHECK(strstr(saved.error, "more than one"), "a section that is there twice");
	saved_free(&saved);
	saved = load(&unknown);
	CHECK(strstr(saved.error, "nobody knows"), "one that nobody knows");
	saved_free(&saved);
	saved = load(&memory);
	CHECK(strstr(saved.error, "nobody knows"), "memory is no state");
	saved_free(&saved);
}

static void parse(const u8 *data, u32 len, bool good, const char *what)
{
	const struct section s = { .id = SECTION_RTC, .length = len, .data = data };
	struct thing thing = { .small = 99 };

	EQUAL(state_parse(&thing_desc, &s, &thing), good, what);
	if (!good)
		EQUAL(thing.small, 99, "then nothing changes");
}

static void test_values(void)
{
	u8 data[THING_LEN + 1] = { 2, 1 };

	parse(data, THING_LEN, true, "values that can be");
	parse(data, THING_LEN - 1, false, "too short");
	parse(data, THING_LEN + 1, false, "too long");
	data[0] = 8;
	parse(data, THING_LEN, false, "above the maximum");
	data[0] = 1;
	parse(data, THING_LEN, false, "below the minimum");
	data[0] = 7;
	data[1] = 2;
	parse(data, THING_LEN, false, "neither true nor false");
	data[1] = 0;
	data[2 + 4 + 2] = 1;
	parse(data, THING_LEN, false, "one number of several");
	data[2 + 4 + 2] = 0;
	parse(data, THING_LEN, true, "all is well again");
}

static void config(u64 memory, u32 cpus, u32 irqchip, bool good, const char *what)
{
	struct machine_config c = { .memory = memory, .cpus = cpus, .irqchip = irqchip };
	struct section s = { .id = SECTION_MACHINE, .length = 16 };
	u8 data[16];

	memcpy(data, &c.memory, 8);
	memcpy(data + 8, &c.cpus, 4);
	memcpy(data + 12, &c.irqchip, 4);
	s.data = data;
	EQUAL(machine_parse_config(&s, &c), good, what);
}

static void test_config(void)
{
	config(4 * MIB, 1, IRQCHIP_USER, true, "a machine");
	config(0, 1, IRQCHIP_USER, false, "one without memory");
	config(~4095ULL, 1, IRQCHIP_USER, false, "one with too much");
	config(4 * MIB + 1, 1, IRQCHIP_USER, false, "one with a part of a page");
	config(4 * MIB, 0, IRQCHIP_USER, false, "one without CPUs");
	config(4 * MIB, 4097, IRQCHIP_USER, false, "one with too many");
	config(4 * MIB, 1, IRQCHIP_AUTO, false, "one with undecided chips");
	config(4 * MIB, 1, IRQCHIP_USER + 1, false, "one with unknown ones");
}

int main(void)
{
	write_stream();
	test_damage();
	test_order();
	test_limits();
	test_saved();
	test_values();
	test_config();
	return tap_end();
}
