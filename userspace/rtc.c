// SPDX-License-Identifier: GPL-2.0
/*
 * The CMOS clock: an MC146818 that shows the host's time in UTC. It cannot be
 * set, and raises no interrupts; the other CMOS cells are plain memory.
 */
#include <string.h>
#include <time.h>

#include "rtc.h"

#define REG_SECONDS		0x00
#define REG_MINUTES		0x02
#define REG_HOURS		0x04
#define REG_WEEKDAY		0x06
#define REG_DAY			0x07
#define REG_MONTH		0x08
#define REG_YEAR		0x09
#define REG_A			0x0a
#define REG_B			0x0b
#define REG_C			0x0c
#define REG_D			0x0d
#define REG_CENTURY		0x32

#define REG_A_UIP		BIT(7)
#define REG_A_32KHZ_1024HZ	0x26
#define REG_B_24H		BIT(1)
#define REG_B_BINARY		BIT(2)
#define REG_B_12H_PM		BIT(7)
#define REG_D_VALID		BIT(7)

/* UIP rises this long before the time changes (MC146818 data sheet, t_BUC). */
#define UPDATE_AHEAD_NS		244000

static u8 encode(const struct rtc *rtc, unsigned int v)
{
	return rtc->nvram[REG_B] & REG_B_BINARY ? v : (v / 10) << 4 | v % 10;
}

static u8 encode_hour(const struct rtc *rtc, unsigned int hour)
{
	if (rtc->nvram[REG_B] & REG_B_24H)
		return encode(rtc, hour);
	return encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? REG_B_12H_PM : 0);
}

static u8 rtc_cell(struct rtc *rtc, u8 index)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);

	switch (index) {
	case REG_SECONDS:
		return encode(rtc, tm.tm_sec);
	case REG_MINUTES:
		return encode(rtc, tm.tm_min);
	case REG_HOURS:
		return encode_hour(rtc, tm.tm_hour);
	case REG_WEEKDAY:
		return encode(rtc, tm.tm_wday + 1);
	case REG_DAY:
		return encode(rtc, tm.tm_mday);
	case REG_MONTH:
		return encode(rtc, tm.tm_mon + 1);
	case REG_YEAR:
		return encode(rtc, tm.tm_year % 100);
	case REG_CENTURY:
		return encode(rtc, tm.tm_year / 100 + 19);
	case REG_A:
		return (rtc->nvram[REG_A] & ~REG_A_UIP) |
		       (now.tv_nsec >= (long)NSEC_PER_SEC - UPDATE_AHEAD_NS ? REG_A_UIP : 0);
	case REG_C:
		return 0;
	case REG_D:
		return REG_D_VALID;
	default:
		return rtc->nvram[index];
	}
}

static u64 rtc_read(struct device *dev, u64 offset, unsigned int len)
{
	struct rtc *rtc = dev->opaque;
	u8 value = 0xff;	/* the index register is write-only */

	(void)len;
	if (!offset)
		return value;
	pthread_mutex_lock(&rtc->lock);
	value = rtc_cell(rtc, rtc->index);
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

static void rtc_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct rtc *rtc = dev->opaque;

	(void)len;
	pthread_mutex_lock(&rtc->lock);
	if (offset)
		rtc->nvram[rtc->index] = value;
	else
		rtc->index = value & 0x7f;	/* bit 7 masks NMIs: there are none */
	pthread_mutex_unlock(&rtc->lock);
}

static const struct device_ops rtc_ops = {
	.width = 1,
	.read = rtc_read,
	.write = rtc_write,
};

/**
 * rtc_init - put the clock on the bus
 * @rtc: the clock
 * @pio: the port bus
 *
 * Return: as bus_add().
 */
int rtc_init(struct rtc *rtc, struct bus *pio)
{
	memset(rtc, 0, sizeof(*rtc));
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->nvram[REG_A] = REG_A_32KHZ_1024HZ;
	rtc->nvram[REG_B] = REG_B_24H;
	rtc->ports = (struct device){
		.name = "rtc", .base = 0x70, .len = 2, .ops = &rtc_ops, .opaque = rtc,
	};
	return bus_add(pio, &rtc->ports);
}

static const struct state_desc rtc_desc = {
	.id = SECTION_RTC, .name = "CMOS clock",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct rtc, index, 0, RTC_NVRAM_SIZE - 1),
		STATE_ARRAY(struct rtc, nvram, 0xff),
		{ }
	},
};

/**
 * rtc_save - add the clock's state to a stream
 * @rtc: the clock, which nobody uses
 * @out: the stream
 */
void rtc_save(const struct rtc *rtc, struct stream_out *out)
{
	state_save(out, &rtc_desc, 0, rtc);
}

/**
 * rtc_load - make the clock what was saved
 * @rtc: the clock
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool rtc_load(struct rtc *rtc, struct saved *saved)
{
	return state_load(saved, &rtc_desc, 0, rtc);
}
