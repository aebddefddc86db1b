/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The state of devices: one description of each, by which it is saved and loaded.
 *
 * A description is a table of the fields of a struct, with the values that they
 * can have. What is loaded is checked against it, whole, before a field changes.
 */
#ifndef MINIVMM_STATE_H
#define MINIVMM_STATE_H

#include "base.h"
#include "stream.h"

/**
 * struct state_field - a number, or several in a row
 * @offset: in the struct
 * @size: of one, in bytes: 1, 2, 4 or 8; 0 ends the table
 * @count: how many
 * @time: a time by now_ns(), which goes on from where it was
 * @min: the least value
 * @max: the greatest
 */
struct state_field {
	u32 offset;
	u16 size;
	u16 count;
	bool time;
	u64 min;
	u64 max;
};

#define STATE_FIELD(type, field, ...) \
	{ .offset = offsetof(type, field), .size = sizeof(((type *)0)->field), .count = 1, \
	  __VA_ARGS__ }

#define STATE_NUMBER(type, field, lowest, highest) \
	STATE_FIELD(type, field, .min = (lowest), .max = (highest))
#define STATE_BOOL(type, field)		STATE_NUMBER(type, field, 0, 1)
#define STATE_ANY(type, field)		STATE_NUMBER(type, field, 0, ~0ULL)
#define STATE_TIME(type, field)		STATE_FIELD(type, field, .time = true, .max = ~0ULL)

#define STATE_ARRAY(type, field, highest) \
	{ .offset = offsetof(type, field), .size = sizeof(((type *)0)->field[0]), \
	  .count = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]), \
	  .max = (highest) }

/* A struct of the kernel's, which checks it. */
#define STATE_STRUCT(type, field) \
	{ .offset = offsetof(type, field), .size = 1, .count = sizeof(((type *)0)->field), \
	  .max = 0xff }

struct state_desc {
	enum section_id id;
	const char *name;	/* for messages */
	const struct state_field *fields;
};

void state_save(struct stream_out *out, const struct state_desc *desc, u32 instance,
		const void *object);
void state_save_bytes(struct stream_out *out, enum section_id id, u32 instance,
		      const void *data, size_t len);

/* What was read of a machine, and not checked. */
struct saved_section {
	struct section section;
	bool used;
};

struct saved {
	struct saved_section *sections;
	u32 nr;
	u32 room;
	char error[STREAM_ERROR_MAX];
};

bool saved_add(struct saved *saved, const struct section *section);
bool __printf(2, 3) saved_fail(struct saved *saved, const char *format, ...);
bool saved_all_used(struct saved *saved);
void saved_free(struct saved *saved);

bool state_parse(const struct state_desc *desc, const struct section *section, void *object);
bool state_load(struct saved *saved, const struct state_desc *desc, u32 instance, void *object);
const void *state_load_bytes(struct saved *saved, enum section_id id, u32 instance,
			     const char *name, size_t element, u32 *count);

#endif /* MINIVMM_STATE_H */
