// SPDX-License-Identifier: GPL-2.0
/*
 * A machine comes in as a stream.
 *
 * All of it is read, and its checksums are right, before there is a VM. Nothing
 * that a stream says is trusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "incoming.h"
#include "transfer.h"

/**
 * incoming_open_file - a machine comes from a file
 * @in: filled in
 * @path: the file's name
 */
void incoming_open_file(struct incoming *in, const char *path)
{
	struct stat st;

	*in = (struct incoming){ .name = path, .fd = open(path, O_RDONLY | O_CLOEXEC) };
	if (in->fd < 0 || fstat(in->fd, &st))
		die(EXIT_SETUP, "%s: cannot open the snapshot: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die(EXIT_SETUP, "%s: not a regular file, so not a snapshot", path);
}

/**
 * incoming_accept - a machine comes from whoever connects first; wait for that
 * @in: filled in
 * @address: where to listen
 */
void incoming_accept(struct incoming *in, const struct unix_address *address)
{
	int fd = unix_listen(address, SOCK_STREAM);

	*in = (struct incoming){ .name = address->name, .migration = true };
	do {
		in->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	} while (in->fd < 0 && errno == EINTR);
	if (in->fd < 0)
		die(EXIT_SETUP, "%s: cannot accept: %s", in->name, strerror(errno));
	close(fd);
	unlink(address->addr.sun_path);
}

static bool load_pages(const struct ram *ram, const struct section *section)
{
	u64 gpa, len;
	void *to;

	if (section->length <= sizeof(gpa))
		return false;
	memcpy(&gpa, section->data, sizeof(gpa));
	len = section->length - sizeof(gpa);
	to = ram_ptr(ram, gpa, len);
	if (!to || gpa % STREAM_PAGE_SIZE || len % STREAM_PAGE_SIZE)
		return false;
	memcpy(to, section->data + sizeof(gpa), len);
	return true;
}

static bool load_zeros(const struct ram *ram, const struct section *section)
{
	struct {
		u64 gpa;
		u64 pages;
	} range;
	void *to;

	if (section->length != sizeof(range))
		return false;
	memcpy(&range, section->data, sizeof(range));
	if (range.gpa % STREAM_PAGE_SIZE || range.pages > ram->size / STREAM_PAGE_SIZE)
		return false;
	to = ram_ptr(ram, range.gpa, range.pages * STREAM_PAGE_SIZE);
	/* As it was at first */
	return to && !madvise(to, range.pages * STREAM_PAGE_SIZE, MADV_DONTNEED);
}

static bool load_section(struct incoming *in, const struct ram *ram, const struct section *section)
{
	switch (section->id) {
	case SECTION_PAGES:
		return load_pages(ram, section) ||
		       saved_fail(&in->saved, "memory where none is");
	case SECTION_ZEROS:
		return load_zeros(ram, section) ||
		       saved_fail(&in->saved, "memory where none is");
	default:
		return saved_add(&in->saved, section);
	}
}

static void __noreturn refuse(const struct incoming *in, const char *why)
{
	die(EXIT_SETUP, "%s: %s", in->name, why);
}

static void read_config(struct incoming *in, struct stream_in *stream,
			struct machine_config *config)
{
	struct section section;

	if (!stream_next(stream, &section))
		refuse(in, stream_in_error(stream));
	if (!machine_parse_config(&section, config))
		refuse(in, "it is of a machine that there cannot be");
}

static void read_all(struct incoming *in, struct stream_in *stream, struct ram *ram)
{
	struct section section;

	for (;;) {
		if (!stream_next(stream, &section))
			refuse(in, stream_in_error(stream));
		if (section.id == SECTION_END)
			break;
		if (!load_section(in, ram, &section))
			refuse(in, in->saved.error);
	}
	/* A file ends here; a socket stays open for our answer. */
	if (section.length || (!in->migration && !stream_at_end(stream)))
		refuse(in, "damaged: something follows its end");
}

static void answer(const struct incoming *in)
{
	const char *taken = TRANSFER_TAKEN;

	if (send(in->fd, taken, strlen(taken), MSG_NOSIGNAL) != (ssize_t)strlen(taken))
		refuse(in, "the source has given up; the guest stays there");
}

/**
 * incoming_build - read the machine and build it
 * @in: open
 * @m: zeroed; ready for machine_run()
 * @o: options; what the stream knows is set
 *
 * Ends the process when there is anything wrong with it. After this the guest is
 * ours: whoever sent it has given it up.
 */
void incoming_build(struct incoming *in, struct machine *m, struct machine_options *o)
{
	struct stream_in *stream = stream_in_open(in->fd);
	struct machine_config config;

	read_config(in, stream, &config);
	ram_create(&m->ram, config.memory);
	read_all(in, stream, &m->ram);
	stream_in_free(stream);

	o->cpus = config.cpus;
	o->irqchip = config.irqchip;
	machine_build(m, o);
	if (!machine_load(m, &in->saved))
		refuse(in, in->saved.error);
	if (in->migration)
		answer(in);
	saved_free(&in->saved);
	close(in->fd);
}
