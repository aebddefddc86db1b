// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's dirty log. A page is sent after the log of it was cleared: what the
 * guest writes then, before or after the page is read, shows in the log again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dirty.h"
#include "report.h"

#define PAGE_SIZE		4096
#define MANUAL_FLAGS \
	(MINIVMM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | MINIVMM_DIRTY_LOG_INITIALLY_SET)

static u64 region_pages(const struct dirty_log *log, unsigned int region)
{
	return log->ram->region[region].size / PAGE_SIZE;
}

static u64 region_words(const struct dirty_log *log, unsigned int region)
{
	return (region_pages(log, region) + 63) / 64;
}

static void *new_bitmap(u64 words)
{
	void *bitmap = calloc(words, sizeof(u64));

	if (!bitmap)
		die(EXIT_SETUP, "out of memory");
	return bitmap;
}

/**
 * dirty_init - all pages are to be sent
 * @log: filled in; nothing is logged yet
 * @vm: the VM
 * @ram: its memory
 */
void dirty_init(struct dirty_log *log, const struct vm *vm, const struct ram *ram)
{
	u64 most = 0;

	memset(log, 0, sizeof(*log));
	log->vm = vm;
	log->ram = ram;
	for (unsigned int i = 0; i < ram->nr_regions; i++) {
		u64 words = region_words(log, i), pages = region_pages(log, i);

		log->pages[i] = new_bitmap(words);
		memset(log->pages[i], 0xff, words * sizeof(u64));
		if (pages % 64)
			log->pages[i][words - 1] >>= 64 - pages % 64;
		if (words > most)
			most = words;
	}
	log->news = new_bitmap(most);
}

static bool set_logging(struct dirty_log *log, u32 flags)
{
	for (unsigned int i = 0; i < log->ram->nr_regions; i++)
		if (vm_set_slot(log->vm, log->ram, i, flags))
			return false;
	return true;
}

/*
 * With this the guest's pages are protected against writes a few at a time, and
 * not all when the log is read. It is for the life of the VM.
 */
static bool choose_manual(const struct vm *vm)
{
	int offered = vm_extension(vm, MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	struct minivmm_enable_cap enable = {
		.cap = MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { offered & MANUAL_FLAGS },
	};

	return offered > 0 && !ioctl(vm->fd, MINIVMM_ENABLE_CAP, &enable);
}

/**
 * dirty_start - have the kernel log the guest's writes
 * @log: after dirty_init()
 *
 * Return: whether it does; if not, the guest must be paused from here on.
 */
bool dirty_start(struct dirty_log *log)
{
	log->manual = choose_manual(log->vm);
	log->logging = set_logging(log, MINIVMM_MEM_LOG_DIRTY_PAGES);
	if (!log->logging)
		set_logging(log, 0);
	return log->logging;
}

static bool read_log(struct dirty_log *log, unsigned int region)
{
	struct minivmm_dirty_log kernel = { .slot = region, .dirty_bitmap = log->news };

	if (ioctl(log->vm->fd, MINIVMM_GET_DIRTY_LOG, &kernel))
		return false;
	/* Those that were not sent since they were read last stay. */
	for (u64 i = 0; i < region_words(log, region); i++)
		log->pages[region][i] |= log->news[i];
	return true;
}

/**
 * dirty_update - add the pages that the guest has written
 * @log: the log; nothing is added unless it was started
 *
 * Return: whether the kernel could tell; errno if not.
 */
bool dirty_update(struct dirty_log *log)
{
	for (unsigned int i = 0; log->logging && i < log->ram->nr_regions; i++)
		if (!read_log(log, i))
			return false;
	return true;
}

/**
 * dirty_clear - pages are about to be sent: log what is written to them from now on
 * @log: the log
 * @region: of the guest's memory
 * @first: page in it, a multiple of 64
 * @count: how many, a multiple of 64 or up to the region's end
 *
 * The caller takes them from log->pages.
 *
 * Return: whether the kernel does so; errno if not.
 */
bool dirty_clear(struct dirty_log *log, unsigned int region, u64 first, u64 count)
{
	struct minivmm_clear_dirty_log clear = {
		.slot = region, .num_pages = count, .first_page = first,
		.dirty_bitmap = &log->pages[region][first / 64],
	};

	return !log->logging || !log->manual ||
	       !ioctl(log->vm->fd, MINIVMM_CLEAR_DIRTY_LOG, &clear);
}

/**
 * dirty_count - how many pages are to be sent
 * @log: the log
 */
u64 dirty_count(const struct dirty_log *log)
{
	u64 count = 0;

	for (unsigned int i = 0; i < log->ram->nr_regions; i++)
		for (u64 word = 0; word < region_words(log, i); word++)
			count += __builtin_popcountll(log->pages[i][word]);
	return count;
}

/**
 * dirty_finish - log nothing any more
 * @log: the log
 */
void dirty_finish(struct dirty_log *log)
{
	if (log->logging)
		set_logging(log, 0);
	for (unsigned int i = 0; i < log->ram->nr_regions; i++)
		free(log->pages[i]);
	free(log->news);
}
