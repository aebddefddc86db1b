// SPDX-License-Identifier: GPL-2.0
/* Reading whole files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "report.h"

/**
 * file_open - map a file for reading; ends the process when that fails
 * @file: filled in
 * @path: its name
 * @what: what the file should be, for the error message
 */
void file_open(struct file *file, const char *path, const char *what)
{
	struct stat st;
	void *data;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die(EXIT_SETUP, "%s: cannot open the %s: %s", path, what, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die(EXIT_SETUP, "%s: not a regular file, so not a %s", path, what);
	if (!st.st_size)
		die(EXIT_SETUP, "%s: the %s is empty", path, what);

	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		die(EXIT_SETUP, "%s: cannot read the %s: %s", path, what, strerror(errno));
	close(fd);
	file->path = path;
	file->data = data;
	file->size = st.st_size;
}
