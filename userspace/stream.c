// SPDX-License-Identifier: GPL-2.0
/* Sections, out and in, with their checksums. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "report.h"
#include "stream.h"

#define MAGIC			"minivmm\n"
#define VERSION			2

struct header {
	char magic[8];
	u32 version;
	u32 reserved;
};

struct section_header {
	u32 id;
	u32 instance;
	u32 length;		/* of what follows the header */
	u32 reserved;
	u64 checksum;		/* of all before it, and of what follows the header */
};

#define HASHED_HEADER		offsetof(struct section_header, checksum)
#define BUFFER_SIZE		(4 * (sizeof(struct section_header) + STREAM_MAX_SECTION))

struct stream_out {
	int fd;
	XXH3_state_t *hash;
	size_t len;		/* in @buffer */
	size_t section;		/* where the open section begins there */
	u64 bytes;		/* written */
	char error[STREAM_ERROR_MAX];
	u8 buffer[BUFFER_SIZE];
};

struct stream_in {
	int fd;
	XXH3_state_t *hash;
	size_t pos;		/* what is not used yet, in @buffer */
	size_t len;
	u64 offset;		/* of @pos in the stream */
	char error[STREAM_ERROR_MAX];
	u8 buffer[BUFFER_SIZE];
};

static XXH3_state_t *new_hash(void)
{
	XXH3_state_t *hash = XXH3_createState();

	if (!hash)
		die(EXIT_SETUP, "out of memory");
	XXH3_64bits_reset(hash);
	return hash;
}

/* ------------------------------------------------------------------------ */
/* Out                                                                       */

/**
 * stream_out_open - begin a stream
 * @fd: where it goes; stays the caller's
 *
 * Nothing fails: the first error is kept, and all that follows does nothing.
 */
struct stream_out *stream_out_open(int fd)
{
	const struct header header = { .magic = MAGIC, .version = VERSION };
	struct stream_out *out = calloc(1, sizeof(*out));

	if (!out)
		die(EXIT_SETUP, "out of memory");
	out->fd = fd;
	out->hash = new_hash();
	XXH3_64bits_update(out->hash, &header, sizeof(header));
	memcpy(out->buffer, &header, sizeof(header));
	out->len = sizeof(header);
	return out;
}

/**
 * stream_out_fail - something went wrong
 * @out: the stream
 * @format: as for printf; ignored if it is not the first
 */
void stream_out_fail(struct stream_out *out, const char *format, ...)
{
	va_list args;

	if (*out->error)
		return;
	va_start(args, format);
	vsnprintf(out->error, sizeof(out->error), format, args);
	va_end(args);
}

/**
 * stream_flush - write what was put so far
 * @out: the stream, between sections
 *
 * Return: whether all is well.
 */
bool stream_flush(struct stream_out *out)
{
	size_t done = 0;

	while (!*out->error && done < out->len) {
		ssize_t n = write(out->fd, out->buffer + done, out->len - done);

		if (n > 0) {
			done += n;
			out->bytes += n;
		} else if (!n || errno == EAGAIN) {
			stream_out_fail(out, "the other side takes nothing any more");
		} else if (errno != EINTR) {
			stream_out_fail(out, "cannot write: %s", strerror(errno));
		}
	}
	out->len = 0;
	return !*out->error;
}

/**
 * stream_begin - begin a section
 * @out: the stream
 * @id: what it is about
 * @instance: of which CPU or chip
 */
void stream_begin(struct stream_out *out, enum section_id id, u32 instance)
{
	const struct section_header header = { .id = id, .instance = instance };

	if (out->len + sizeof(header) + STREAM_MAX_SECTION > sizeof(out->buffer))
		stream_flush(out);
	out->section = out->len;
	memcpy(out->buffer + out->len, &header, sizeof(header));
	out->len += sizeof(header);
}

/**
 * stream_put - add to the section
 * @out: the stream, in a section
 * @data: the bytes, copied
 * @len: how many; STREAM_MAX_SECTION at most in all
 */
void stream_put(struct stream_out *out, const void *data, size_t len)
{
	size_t used = out->len - out->section - sizeof(struct section_header);

	if (len > STREAM_MAX_SECTION - used) {
		stream_out_fail(out, "a section is too long");
		return;
	}
	memcpy(out->buffer + out->len, data, len);
	out->len += len;
}

/**
 * stream_end - end the section
 * @out: the stream, in a section
 */
void stream_end(struct stream_out *out)
{
	u8 *data = out->buffer + out->section + sizeof(struct section_header);
	struct section_header header;

	memcpy(&header, out->buffer + out->section, sizeof(header));
	header.length = out->buffer + out->len - data;
	XXH3_64bits_update(out->hash, &header, HASHED_HEADER);
	XXH3_64bits_update(out->hash, data, header.length);
	header.checksum = XXH3_64bits_digest(out->hash);
	memcpy(out->buffer + out->section, &header, sizeof(header));
}

/**
 * stream_out_error - what went wrong
 * @out: the stream
 *
 * Return: a text, or "".
 */
const char *stream_out_error(const struct stream_out *out)
{
	return out->error;
}

/**
 * stream_out_bytes - how much was written
 * @out: the stream
 */
u64 stream_out_bytes(const struct stream_out *out)
{
	return out->bytes;
}

/**
 * stream_out_free - forget the stream
 * @out: the stream
 */
void stream_out_free(struct stream_out *out)
{
	XXH3_freeState(out->hash);
	free(out);
}

/* ------------------------------------------------------------------------ */
/* In                                                                        */

static bool __printf(2, 3) in_fail(struct stream_in *in, const char *format, ...)
{
	va_list args;

	if (!*in->error) {
		va_start(args, format);
		vsnprintf(in->error, sizeof(in->error), format, args);
		va_end(args);
	}
	return false;
}

/* Return: whether there are @n bytes to use. */
static bool fill(struct stream_in *in, size_t n)
{
	if (*in->error)
		return false;
	if (in->len - in->pos >= n)
		return true;
	memmove(in->buffer, in->buffer + in->pos, in->len - in->pos);
	in->len -= in->pos;
	in->pos = 0;
	while (in->len < n) {
		ssize_t got = read(in->fd, in->buffer + in->len, sizeof(in->buffer) - in->len);

		if (got > 0)
			in->len += got;
		else if (!got)
			return in_fail(in, "truncated: it ends after %llu bytes",
				       in->offset + in->len);
		else if (errno != EINTR)
			return in_fail(in, "cannot read: %s", strerror(errno));
	}
	return true;
}

static const u8 *use(struct stream_in *in, size_t n)
{
	const u8 *data = in->buffer + in->pos;

	in->pos += n;
	in->offset += n;
	return data;
}

static void read_header(struct stream_in *in)
{
	struct header header;

	if (!fill(in, sizeof(header)))
		return;
	memcpy(&header, use(in, sizeof(header)), sizeof(header));
	XXH3_64bits_update(in->hash, &header, sizeof(header));
	if (memcmp(header.magic, MAGIC, sizeof(header.magic)))
		in_fail(in, "not a saved machine");
	else if (header.version != VERSION)
		in_fail(in, "its format has version %u, this program knows %u", header.version,
			VERSION);
}

/**
 * stream_in_open - begin to read a stream
 * @fd: where it comes from; stays the caller's
 *
 * Nothing fails: the first error is kept, and ends the stream.
 */
struct stream_in *stream_in_open(int fd)
{
	struct stream_in *in = calloc(1, sizeof(*in));

	if (!in)
		die(EXIT_SETUP, "out of memory");
	in->fd = fd;
	in->hash = new_hash();
	read_header(in);
	return in;
}

/**
 * stream_next - the next section
 * @in: the stream
 * @section: filled in; its data is there until the next call
 *
 * Return: whether there is one, and its checksum is right; stream_in_error() if not.
 */
bool stream_next(struct stream_in *in, struct section *section)
{
	struct section_header header;
	u64 start = in->offset;
	const u8 *data;

	if (!fill(in, sizeof(header)))
		return false;
	memcpy(&header, use(in, sizeof(header)), sizeof(header));
	if (header.length > STREAM_MAX_SECTION)
		return in_fail(in, "damaged at byte %llu: a section of %u bytes", start,
			       header.length);
	if (!fill(in, header.length))
		return false;
	data = use(in, header.length);
	XXH3_64bits_update(in->hash, &header, HASHED_HEADER);
	XXH3_64bits_update(in->hash, data, header.length);
	if (header.checksum != XXH3_64bits_digest(in->hash))
		return in_fail(in, "damaged at byte %llu: the checksum is wrong", start);
	*section = (struct section){
		.id = header.id, .instance = header.instance, .length = header.length,
		.data = data,
	};
	return true;
}

/**
 * stream_at_end - does nothing follow?
 * @in: the stream, of a file
 */
bool stream_at_end(struct stream_in *in)
{
	u8 byte;

	if (in->pos == in->len && read(in->fd, &byte, 1) <= 0)
		return true;
	return in_fail(in, "damaged at byte %llu: something follows its end", in->offset);
}

/**
 * stream_in_error - what went wrong
 * @in: the stream
 *
 * Return: a text, or "".
 */
const char *stream_in_error(const struct stream_in *in)
{
	return in->error;
}

/**
 * stream_in_free - forget the stream
 * @in: the stream
 */
void stream_in_free(struct stream_in *in)
{
	XXH3_freeState(in->hash);
	free(in);
}
