/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine as a stream of bytes, into a file or to another launcher: a header,
 * then sections, the last of which says that it is whole.
 *
 * Each section carries a checksum of everything up to its end, so that one which
 * is damaged, missing, doubled or out of place is noticed at once. Numbers are
 * little-endian, as on the machine it is about.
 */
#ifndef MINIVMM_STREAM_H
#define MINIVMM_STREAM_H

#include "base.h"

#define STREAM_MAX_PAGES	16	/* in a section */
#define STREAM_PAGE_SIZE	4096ULL
#define STREAM_MAX_SECTION	(sizeof(u64) + STREAM_MAX_PAGES * STREAM_PAGE_SIZE)

/* What a section is about; @instance tells CPUs and chips apart. */
enum section_id {
	SECTION_END,		/* empty: nothing is missing */
	SECTION_MACHINE,	/* the first: what kind of machine this is */
	SECTION_PAGES,		/* u64 address; that many whole pages of memory */
	SECTION_ZEROS,		/* u64 address, u64 pages: they are zero */
	SECTION_STATE,		/* from here on, each at most once: see state.h */
	SECTION_CLOCK = SECTION_STATE,
	SECTION_CPUID,
	SECTION_MSRS,
	SECTION_VCPU,
	SECTION_VCPU_THREAD,
	SECTION_UART,
	SECTION_CONSOLE,
	SECTION_RTC,
	SECTION_I8042,
	SECTION_ACPI_PM,
	SECTION_PIT,
	SECTION_PIT_CHANNEL,
	SECTION_PIC,
	SECTION_IOAPIC,
	SECTION_LOCAL_APIC,
	SECTION_KERNEL_CHIP,
	SECTION_KERNEL_PIT,
	SECTION_IDS,
};

struct section {
	u32 id;
	u32 instance;
	u32 length;
	const u8 *data;
};

/* Both directions: what went wrong first, "" if nothing. */
#define STREAM_ERROR_MAX	160

struct stream_out;
struct stream_in;

struct stream_out *stream_out_open(int fd);
void stream_begin(struct stream_out *out, enum section_id id, u32 instance);
void stream_put(struct stream_out *out, const void *data, size_t len);
void stream_end(struct stream_out *out);
bool stream_flush(struct stream_out *out);
void __printf(2, 3) stream_out_fail(struct stream_out *out, const char *format, ...);
const char *stream_out_error(const struct stream_out *out);
u64 stream_out_bytes(const struct stream_out *out);
void stream_out_free(struct stream_out *out);

struct stream_in *stream_in_open(int fd);
bool stream_next(struct stream_in *in, struct section *section);
bool stream_at_end(struct stream_in *in);
const char *stream_in_error(const struct stream_in *in);
void stream_in_free(struct stream_in *in);

#endif /* MINIVMM_STREAM_H */
