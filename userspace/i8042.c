// SPDX-License-Identifier: GPL-2.0
/*
 * The keyboard controller. Nothing is plugged in: it answers its own commands
 * at once, so that no guest waits, and it drives the reset and A20 lines.
 */
#include <string.h>

#include "i8042.h"

#define STATUS_OUTPUT_FULL	BIT(0)
#define STATUS_SYSTEM		BIT(2)
#define STATUS_UNLOCKED		BIT(4)

#define CMD_READ_CONFIG		0x20
#define CMD_WRITE_CONFIG	0x60
#define CMD_TEST_AUX		0xa9
#define CMD_SELF_TEST		0xaa
#define CMD_TEST_KEYBOARD	0xab
#define CMD_READ_OUTPUT_PORT	0xd0
#define CMD_WRITE_OUTPUT_PORT	0xd1
#define CMD_PULSE		0xf0	/* ..0xff: zero bits pulse output lines */

#define OUTPUT_NO_RESET		BIT(0)
#define OUTPUT_A20		BIT(1)

#define SELF_TEST_OK		0x55
#define PORT_CLOCK_LOW		0x01	/* the answer of a port with no device */

static void reply(struct i8042 *kbc, u8 value)
{
	kbc->reply = value;
	kbc->reply_ready = true;
}

static void drive_outputs(struct i8042 *kbc, u8 outputs)
{
	if (!(outputs & OUTPUT_NO_RESET))
		kbc->reset(kbc->machine);
}

static void command(struct i8042 *kbc, u8 value)
{
	switch (value) {
	case CMD_READ_CONFIG:
		reply(kbc, kbc->config);
		break;
	case CMD_WRITE_CONFIG:
	case CMD_WRITE_OUTPUT_PORT:
		kbc->pending = value;
		break;
	case CMD_SELF_TEST:
		reply(kbc, SELF_TEST_OK);
		break;
	case CMD_TEST_KEYBOARD:
	case CMD_TEST_AUX:
		reply(kbc, PORT_CLOCK_LOW);
		break;
	case CMD_READ_OUTPUT_PORT:
		reply(kbc, kbc->output_port);
		break;
	default:
		if (value >= CMD_PULSE)
			drive_outputs(kbc, value);
		break;
	}
}

static void data(struct i8042 *kbc, u8 value)
{
	switch (kbc->pending) {
	case CMD_WRITE_CONFIG:
		kbc->config = value;
		break;
	case CMD_WRITE_OUTPUT_PORT:
		kbc->output_port = value;
		drive_outputs(kbc, value);
		break;
	}
	/* Anything else was for a keyboard, and none answers. */
	kbc->pending = 0;
}

static u64 data_read(struct device *dev, u64 offset, unsigned int len)
{
	struct i8042 *kbc = dev->opaque;
	u8 value;

	(void)offset;
	(void)len;
	pthread_mutex_lock(&kbc->lock);
	value = kbc->reply;
	kbc->reply_ready = false;
	pthread_mutex_unlock(&kbc->lock);
	return value;
}

static u64 status_read(struct device *dev, u64 offset, unsigned int len)
{
	struct i8042 *kbc = dev->opaque;
	u8 status = STATUS_SYSTEM | STATUS_UNLOCKED;

	(void)offset;
	(void)len;
	pthread_mutex_lock(&kbc->lock);
	if (kbc->reply_ready)
		status |= STATUS_OUTPUT_FULL;
	pthread_mutex_unlock(&kbc->lock);
	return status;
}

static void data_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct i8042 *kbc = dev->opaque;

	(void)offset;
	(void)len;
	pthread_mutex_lock(&kbc->lock);
	data(kbc, value);
	pthread_mutex_unlock(&kbc->lock);
}

static void command_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct i8042 *kbc = dev->opaque;

	(void)offset;
	(void)len;
	pthread_mutex_lock(&kbc->lock);
	command(kbc, value);
	pthread_mutex_unlock(&kbc->lock);
}

static const struct device_ops data_ops = {
	.width = 1, .read = data_read, .write = data_write,
};

static const struct device_ops command_ops = {
	.width = 1, .read = status_read, .write = command_write,
};

/**
 * i8042_init - put the keyboard controller on the bus
 * @kbc: the controller
 * @pio: the port bus
 * @reset: called when the guest pulls the reset line
 * @machine: passed to @reset
 *
 * Return: as bus_add().
 */
int i8042_init(struct i8042 *kbc, struct bus *pio, void (*reset)(void *machine), void *machine)
{
	int err;

	memset(kbc, 0, sizeof(*kbc));
	pthread_mutex_init(&kbc->lock, NULL);
	kbc->output_port = OUTPUT_NO_RESET | OUTPUT_A20;
	kbc->reset = reset;
	kbc->machine = machine;
	kbc->data = (struct device){
		.name = "i8042 data", .base = 0x60, .len = 1, .ops = &data_ops, .opaque = kbc,
	};
	kbc->command = (struct device){
		.name = "i8042 command", .base = 0x64, .len = 1,
		.ops = &command_ops, .opaque = kbc,
	};
	err = bus_add(pio, &kbc->data);
	return err ?: bus_add(pio, &kbc->command);
}

static const struct state_desc i8042_desc = {
	.id = SECTION_I8042, .name = "keyboard controller",
	.fields = (const struct state_field[]){
		STATE_ANY(struct i8042, config),
		STATE_ANY(struct i8042, output_port),
		STATE_ANY(struct i8042, pending),
		STATE_ANY(struct i8042, reply),
		STATE_BOOL(struct i8042, reply_ready),
		{ }
	},
};

/**
 * i8042_save - add the controller's state to a stream
 * @kbc: the controller, which nobody uses
 * @out: the stream
 */
void i8042_save(const struct i8042 *kbc, struct stream_out *out)
{
	state_save(out, &i8042_desc, 0, kbc);
}

/**
 * i8042_load - make the controller what was saved
 * @kbc: the controller
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool i8042_load(struct i8042 *kbc, struct saved *saved)
{
	return state_load(saved, &i8042_desc, 0, kbc);
}
