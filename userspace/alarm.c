// SPDX-License-Identifier: GPL-2.0
/* An alarm clock for the I/O loop: a timerfd of CLOCK_MONOTONIC. */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "alarm.h"
#include "report.h"

/**
 * alarm_init - make an alarm that is not set; it still has to be added to a loop
 * @alarm: filled in
 * @expired: called in the loop's thread; must call alarm_take()
 */
void alarm_init(struct loop_source *alarm, void (*expired)(struct loop_source *alarm))
{
	alarm->ready = expired;
	alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (alarm->fd < 0)
		die(EXIT_SETUP, "cannot make a timerfd: %s", strerror(errno));
}

/**
 * alarm_set - have the alarm's callback run at a time, and at no other
 * @alarm: the alarm
 * @when: as now_ns(), or ALARM_NEVER
 */
void alarm_set(struct loop_source *alarm, u64 when)
{
	struct itimerspec timer = { 0 };

	if (when != ALARM_NEVER) {
		timer.it_value.tv_sec = when / NSEC_PER_SEC;
		timer.it_value.tv_nsec = when % NSEC_PER_SEC;
	}
	timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

/**
 * alarm_take - silence the alarm
 * @alarm: the alarm
 *
 * Return: false if it has been set to another time since the loop found it ready.
 */
bool alarm_take(struct loop_source *alarm)
{
	u64 expirations;

	return read(alarm->fd, &expirations, sizeof(expirations)) == sizeof(expirations);
}
