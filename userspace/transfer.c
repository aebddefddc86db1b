// SPDX-License-Identifier: GPL-2.0
/*
 * A machine goes out as a stream.
 *
 * Migration: all memory is sent while the guest runs, then what it has changed
 * meanwhile, again and again, until that is little; then the guest pauses for the
 * rest and everything else. Snapshot: the guest pauses for all of it.
 *
 * In the end one of two launchers runs the guest. The destination takes it by
 * putting one word into our socket, which it can do only as long as we accept it,
 * so both always know whose it is; see wait_until_taken().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dirty.h"
#include "machine.h"
#include "monotonic.h"
#include "transfer.h"

/* How long the guest may be paused for the rest, as far as can be foreseen */
#define DOWNTIME_NS		(NSEC_PER_SEC / 10)
/* If it changes its memory faster than that goes, it pauses all the same. */
#define MAX_ROUNDS		20
/* A destination that is silent for so long is given up. */
#define PATIENCE_S		30

struct transfer {
	struct machine *m;
	int fd;
	struct stream_out *out;
	struct dirty_log log;
	bool first;		/* the pages there are zero */
};

/* ------------------------------------------------------------------------ */
/* Memory                                                                    */

static bool is_zero(const void *page)
{
	static const u8 zeros[STREAM_PAGE_SIZE];

	return !memcmp(page, zeros, sizeof(zeros));
}

/*
 * Pages from @page on that are to be sent and are alike: zero or not. The guest may
 * run and write to them; it is what is copied that is sent, and they come again.
 */
static u64 run_length(const struct transfer *t, unsigned int region, u64 page, u64 end, bool zero)
{
	const u8 *hva = t->m->ram.region[region].hva;
	u64 most = zero ? DIRTY_CHUNK : STREAM_MAX_PAGES;
	u64 n = 0;

	while (n < most && page + n < end && dirty_test(&t->log, region, page + n) &&
	       is_zero(hva + (page + n) * STREAM_PAGE_SIZE) == zero)
		n++;
	return n;
}

static void send_run(struct transfer *t, unsigned int region, u64 page, u64 n, bool zero)
{
	const struct ram_region *r = &t->m->ram.region[region];
	u64 gpa = r->gpa + page * STREAM_PAGE_SIZE;

	if (zero && t->first)
		return;
	stream_begin(t->out, zero ? SECTION_ZEROS : SECTION_PAGES, 0);
	stream_put(t->out, &gpa, sizeof(gpa));
	if (zero)
		stream_put(t->out, &n, sizeof(n));
	else
		stream_put(t->out, r->hva + page * STREAM_PAGE_SIZE, n * STREAM_PAGE_SIZE);
	stream_end(t->out);
}

static bool all_clean(const struct transfer *t, unsigned int region, u64 first, u64 end)
{
	for (u64 word = first / 64; word < (end + 63) / 64; word++)
		if (t->log.pages[region][word])
			return false;
	return true;
}

static bool send_chunk(struct transfer *t, unsigned int region, u64 first, u64 end)
{
	u64 page = first;

	if (all_clean(t, region, first, end))
		return true;
	if (!dirty_clear(&t->log, region, first, end - first)) {
		stream_out_fail(t->out, "cannot clear the dirty log: %s", strerror(errno));
		return false;
	}
	while (page < end) {
		bool zero = is_zero(t->m->ram.region[region].hva + page * STREAM_PAGE_SIZE);
		u64 n = dirty_test(&t->log, region, page) ?
			run_length(t, region, page, end, zero) : 0;

		/* None: clean, or it has just changed from zero. Then it comes again. */
		if (n)
			send_run(t, region, page, n, zero);
		page += n ?: 1;
	}
	memset(&t->log.pages[region][first / 64], 0, (end - first + 63) / 64 * sizeof(u64));
	return stream_flush(t->out);
}

/* What is to be sent now. */
static bool send_memory(struct transfer *t)
{
	for (unsigned int i = 0; i < t->m->ram.nr_regions; i++) {
		u64 pages = t->m->ram.region[i].size / STREAM_PAGE_SIZE;

		for (u64 first = 0; first < pages; first += DIRTY_CHUNK) {
			u64 end = first + DIRTY_CHUNK < pages ? first + DIRTY_CHUNK : pages;

			if (!send_chunk(t, i, first, end))
				return false;
		}
	}
	t->first = false;
	return true;
}

static bool update(struct transfer *t)
{
	if (dirty_update(&t->log))
		return true;
	stream_out_fail(t->out, "cannot read the dirty log: %s", strerror(errno));
	return false;
}

static bool send_while_running(struct transfer *t)
{
	for (unsigned int round = 0; round < MAX_ROUNDS; round++) {
		u64 begin = now_ns(), before = stream_out_bytes(t->out), bytes, left;

		if (!send_memory(t) || !update(t))
			return false;
		left = dirty_count(&t->log) * STREAM_PAGE_SIZE;
		bytes = stream_out_bytes(t->out) - before;
		/* left / (bytes / time) */
		if ((double)left * (now_ns() - begin) <= (double)DOWNTIME_NS * bytes)
			break;
	}
	return true;
}

/* ------------------------------------------------------------------------ */
/* Everything                                                                */

static bool send_rest(struct transfer *t)
{
	if (!update(t) || !send_memory(t))
		return false;
	machine_save(t->m, t->out);
	stream_begin(t->out, SECTION_END, 0);
	stream_end(t->out);
	return stream_flush(t->out);
}

/* Return: how much of the answer is there when it is whole, or no more comes. */
static size_t receive(int fd, char *answer, size_t len, int flags)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = recv(fd, answer + got, len - got, flags);

		if (n > 0)
			got += n;
		else if (!n || errno != EINTR)
			break;
	}
	return got;
}

/*
 * Whether the destination has taken the guest. After shutdown() it cannot: it
 * would be told so. What it has put into the socket before that is there.
 */
static bool wait_until_taken(struct transfer *t)
{
	char answer[sizeof(TRANSFER_TAKEN) - 1];
	size_t n = receive(t->fd, answer, sizeof(answer), 0);

	if (n < sizeof(answer)) {
		shutdown(t->fd, SHUT_RD);
		n += receive(t->fd, answer + n, sizeof(answer) - n, MSG_DONTWAIT);
	}
	if (n == sizeof(answer) && !memcmp(answer, TRANSFER_TAKEN, n))
		return true;
	stream_out_fail(t->out, "the destination has not taken the guest");
	return false;
}

static bool pause_machine(struct transfer *t)
{
	if (machine_pause(t->m))
		return true;
	stream_out_fail(t->out, "the guest has ended meanwhile");
	return false;
}

static void begin(struct transfer *t, struct machine *m, int fd)
{
	*t = (struct transfer){ .m = m, .fd = fd, .first = true };
	t->out = stream_out_open(fd);
	dirty_init(&t->log, &m->vm, &m->ram);
	machine_save_config(m, t->out);
}

static bool finish(struct transfer *t, bool done, struct transfer_error *error)
{
	snprintf(error->text, sizeof(error->text), "%s", stream_out_error(t->out));
	dirty_finish(&t->log);
	stream_out_free(t->out);
	return done;
}

/**
 * transfer_snapshot - write the machine, which goes on
 * @m: the machine, running
 * @fd: where to
 * @error: set to what went wrong
 *
 * Return: whether all of it was written.
 */
bool transfer_snapshot(struct machine *m, int fd, struct transfer_error *error)
{
	struct transfer t;
	bool done;

	begin(&t, m, fd);
	done = pause_machine(&t) && send_rest(&t);
	machine_resume(m);
	return finish(&t, done, error);
}

/**
 * transfer_migrate - move the machine to another launcher
 * @m: the machine, running
 * @fd: a connected socket
 * @error: set to what went wrong
 *
 * Return: true if the guest runs there now: then @m is still paused, and only
 * waits for machine_moved(). Else it runs on here.
 */
bool transfer_migrate(struct machine *m, int fd, struct transfer_error *error)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct transfer t;
	bool done;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	begin(&t, m, fd);
	done = !dirty_start(&t.log) || send_while_running(&t);
	if (done) {
		done = pause_machine(&t) && send_rest(&t) && wait_until_taken(&t);
		if (!done)
			machine_resume(m);
	}
	return finish(&t, done, error);
}
