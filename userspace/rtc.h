/* SPDX-License-Identifier: GPL-2.0 */
/* The CMOS clock, ports 0x70 and 0x71. */
#ifndef MINIVMM_RTC_H
#define MINIVMM_RTC_H

#include <pthread.h>

#include "bus.h"
#include "state.h"

#define RTC_NVRAM_SIZE		128

struct rtc {
	struct device ports;
	pthread_mutex_t lock;
	u8 index;
	u8 nvram[RTC_NVRAM_SIZE];
};

int rtc_init(struct rtc *rtc, struct bus *pio);
void rtc_save(const struct rtc *rtc, struct stream_out *out);
bool rtc_load(struct rtc *rtc, struct saved *saved);

#endif /* MINIVMM_RTC_H */
