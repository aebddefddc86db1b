// SPDX-License-Identifier: GPL-2.0
/* The host's memory and what it says about it; see hostmem.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hostmem.h"

void *map_memory(u64 size, int flags, int fd)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	ASSERT(memory != MAP_FAILED);
	return memory;
}

u64 *map_small(u64 pages)
{
	u64 *memory = map_memory(pages * PAGE_SIZE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(memory, pages * PAGE_SIZE, MADV_NOHUGEPAGE);
	return memory;
}

u64 *map_aligned(u64 size)
{
	u64 address = (u64)map_memory(size + HUGE_SIZE, MAP_PRIVATE |
				      MAP_ANONYMOUS | MAP_NORESERVE, -1);
	u64 aligned = (address + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);

	if (aligned > address)
		ASSERT_OK(munmap((void *)address, aligned - address));
	if (aligned < address + HUGE_SIZE)
		ASSERT_OK(munmap((void *)(aligned + size),
				 address + HUGE_SIZE - aligned));
	return (u64 *)aligned;
}

u64 *page_at(u64 *memory, u64 page)
{
	return memory + page * (PAGE_SIZE / 8);
}

s64 huge_kib(void *memory, u64 size)
{
	unsigned long begin, end, kib;
	FILE *file = fopen("/proc/self/smaps", "r");
	bool inside = false;
	char line[256];
	s64 sum = 0;

	ASSERT(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			inside = begin >= (u64)memory &&
				 end <= (u64)memory + size;
		else if (sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			sum += inside ? kib : 0;
	}
	fclose(file);
	return sum;
}

s64 host_lookup(const char *path, const char *key)
{
	char line[256];
	s64 value = -1;
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) &&
		    strchr(": \t0123456789", line[strlen(key)]))
			value = atoll(line + strlen(key) +
				      strspn(line + strlen(key), ": \t"));
	if (file)
		fclose(file);
	return value;
}

bool host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

bool host_write_number(const char *path, u64 value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", value);
	return host_write(path, text);
}

s64 free_kib(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	unsigned long n, pages = 0;
	char line[256];

	ASSERT(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lu", &n) == 1 ||
		    sscanf(line, " count: %lu", &n) == 1)
			pages += n;
	fclose(file);
	ASSERT(pages);
	return pages * (PAGE_SIZE / 1024);
}
