/* SPDX-License-Identifier: GPL-2.0 */
/* The keyboard controller, ports 0x60 and 0x64: no keyboard, but a reset line. */
#ifndef MINIVMM_I8042_H
#define MINIVMM_I8042_H

#include <pthread.h>

#include "bus.h"
#include "state.h"

struct i8042 {
	struct device data;
	struct device command;
	pthread_mutex_t lock;
	u8 config;		/* the "command byte" */
	u8 output_port;
	u8 pending;		/* command waiting for its data byte, or 0 */
	u8 reply;
	bool reply_ready;
	void (*reset)(void *machine);
	void *machine;
};

int i8042_init(struct i8042 *kbc, struct bus *pio, void (*reset)(void *machine), void *machine);
void i8042_save(const struct i8042 *kbc, struct stream_out *out);
bool i8042_load(struct i8042 *kbc, struct saved *saved);

#endif /* MINIVMM_I8042_H */
