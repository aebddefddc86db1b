// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into Bochs: read() of at most one block of its guest's memory.
 *
 * Bochs 3.0 keeps guest memory in blocks of 128 KiB, placed in the order of
 * their first use, and asks for the address of the first block only when it
 * loads an optramimage: one read() of more than a block scatters the rest over
 * whatever comes to be placed behind it. After a short read it asks again.
 */
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define BLOCK	(128 * 1024)

ssize_t read(int fd, void *buffer, size_t size)
{
	return syscall(SYS_read, fd, buffer, size < BLOCK ? size : BLOCK);
}
