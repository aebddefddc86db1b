// SPDX-License-Identifier: GPL-2.0
/* Fields of devices to sections of a stream, and back. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monotonic.h"
#include "report.h"
#include "state.h"

/* More than the largest machine has */
#define MAX_SECTIONS		65536

/**
 * state_save - add a section with an object's state
 * @out: the stream
 * @desc: what its state is
 * @instance: which of several
 * @object: the object, which does not change meanwhile
 */
void state_save(struct stream_out *out, const struct state_desc *desc, u32 instance,
		const void *object)
{
	stream_begin(out, desc->id, instance);
	for (const struct state_field *f = desc->fields; f->size; f++) {
		const u8 *field = (const u8 *)object + f->offset;

		if (f->time) {
			u64 age;

			memcpy(&age, field, sizeof(age));
			age = now_ns() - age;
			stream_put(out, &age, sizeof(age));
		} else {
			stream_put(out, field, f->size * f->count);
		}
	}
	stream_end(out);
}

/**
 * state_save_bytes - add a section
 * @out: the stream
 * @id: what it is about
 * @instance: which of several
 * @data: its bytes
 * @len: how many
 */
void state_save_bytes(struct stream_out *out, enum section_id id, u32 instance,
		      const void *data, size_t len)
{
	stream_begin(out, id, instance);
	stream_put(out, data, len);
	stream_end(out);
}

/**
 * saved_fail - something is wrong with what was saved
 * @saved: it
 * @format: as for printf; ignored if it is not the first
 *
 * Return: false.
 */
bool saved_fail(struct saved *saved, const char *format, ...)
{
	va_list args;

	if (!*saved->error) {
		va_start(args, format);
		vsnprintf(saved->error, sizeof(saved->error), format, args);
		va_end(args);
	}
	return false;
}

static struct saved_section *find(struct saved *saved, u32 id, u32 instance)
{
	for (u32 i = 0; i < saved->nr; i++) {
		struct saved_section *s = &saved->sections[i];

		if (s->section.id == id && s->section.instance == instance)
			return s;
	}
	return NULL;
}

/**
 * saved_add - keep a section
 * @saved: zeroed at first
 * @section: what was read, copied
 *
 * Return: whether it is one that there can be.
 */
bool saved_add(struct saved *saved, const struct section *section)
{
	struct saved_section *s;
	u8 *data;

	if (section->id < SECTION_STATE || section->id >= SECTION_IDS)
		return saved_fail(saved, "a section of kind %u, which nobody knows", section->id);
	if (saved->nr == MAX_SECTIONS || find(saved, section->id, section->instance))
		return saved_fail(saved, "more than one section %u.%u", section->id,
				  section->instance);
	if (saved->nr == saved->room) {
		saved->room = saved->room * 2 ?: 32;
		saved->sections = realloc(saved->sections,
					  saved->room * sizeof(*saved->sections));
	}
	data = malloc(section->length ?: 1);
	if (!saved->sections || !data)
		die(EXIT_SETUP, "out of memory");
	memcpy(data, section->data, section->length);
	s = &saved->sections[saved->nr++];
	s->section = *section;
	s->section.data = data;
	s->used = false;
	return true;
}

/**
 * saved_all_used - was everything loaded?
 * @saved: what was read
 *
 * Return: false, with an error, if something has no place in this machine.
 */
bool saved_all_used(struct saved *saved)
{
	for (u32 i = 0; i < saved->nr; i++) {
		const struct saved_section *s = &saved->sections[i];

		if (!s->used)
			return saved_fail(saved, "section %u.%u has no place in this machine",
					  s->section.id, s->section.instance);
	}
	return true;
}

/**
 * saved_free - forget it
 * @saved: what was read
 */
void saved_free(struct saved *saved)
{
	for (u32 i = 0; i < saved->nr; i++)
		free((void *)saved->sections[i].section.data);
	free(saved->sections);
}

static size_t total_size(const struct state_field *fields)
{
	size_t size = 0;

	for (const struct state_field *f = fields; f->size; f++)
		size += f->size * f->count;
	return size;
}

static bool values_fit(const struct state_field *f, const u8 *data)
{
	for (unsigned int i = 0; i < f->count; i++) {
		u64 value = 0;

		memcpy(&value, data + i * f->size, f->size);
		if (value < f->min || value > f->max)
			return false;
	}
	return true;
}

/**
 * state_parse - set an object's state
 * @desc: what its state is
 * @section: from a stream
 * @object: changed only if all is well
 *
 * Return: whether the section has the right length, and possible values.
 */
bool state_parse(const struct state_desc *desc, const struct section *section, void *object)
{
	const u8 *data = section->data;

	if (section->length != total_size(desc->fields))
		return false;
	for (const struct state_field *f = desc->fields; f->size; f++) {
		if (!values_fit(f, data))
			return false;
		data += f->size * f->count;
	}

	data = section->data;
	for (const struct state_field *f = desc->fields; f->size; f++) {
		u8 *field = (u8 *)object + f->offset;

		if (f->time) {
			u64 age;

			memcpy(&age, data, sizeof(age));
			age = now_ns() - age;
			memcpy(field, &age, sizeof(age));
		} else {
			memcpy(field, data, f->size * f->count);
		}
		data += f->size * f->count;
	}
	return true;
}

static const struct section *take(struct saved *saved, u32 id, u32 instance, const char *name)
{
	struct saved_section *s = find(saved, id, instance);

	if (!s) {
		saved_fail(saved, "the state of %s %u is missing", name, instance);
		return NULL;
	}
	s->used = true;
	return &s->section;
}

/**
 * state_load - set an object's state
 * @saved: where it is
 * @desc: what its state is
 * @instance: which of several
 * @object: changed only if all is well
 *
 * Return: whether it is there and possible.
 */
bool state_load(struct saved *saved, const struct state_desc *desc, u32 instance, void *object)
{
	const struct section *section = take(saved, desc->id, instance, desc->name);

	if (!section)
		return false;
	return state_parse(desc, section, object) ||
	       saved_fail(saved, "the state of %s %u is impossible", desc->name, instance);
}

/**
 * state_load_bytes - a section that is an array
 * @saved: where it is
 * @id: what it is about
 * @instance: which of several
 * @name: for the error message
 * @element: size of an element
 * @count: set to how many there are
 *
 * Return: the elements, or NULL.
 */
const void *state_load_bytes(struct saved *saved, enum section_id id, u32 instance,
			     const char *name, size_t element, u32 *count)
{
	const struct section *section = take(saved, id, instance, name);

	if (!section)
		return NULL;
	if (section->length % element) {
		saved_fail(saved, "the state of %s %u is impossible", name, instance);
		return NULL;
	}
	*count = section->length / element;
	return section->data;
}
