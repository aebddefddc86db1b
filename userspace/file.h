/* SPDX-License-Identifier: GPL-2.0 */
/* Reading whole files. */
#ifndef MINIVMM_FILE_H
#define MINIVMM_FILE_H

#include "base.h"

struct file {
	const char *path;
	const u8 *data;		/* read-only mapping, NULL if empty */
	u64 size;
};

void file_open(struct file *file, const char *path, const char *what);

#endif /* MINIVMM_FILE_H */
