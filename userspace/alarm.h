/* SPDX-License-Identifier: GPL-2.0 */
/* An alarm clock for the I/O loop: a source that is ready from a time on. */
#ifndef MINIVMM_ALARM_H
#define MINIVMM_ALARM_H

#include "loop.h"
#include "monotonic.h"

#define ALARM_NEVER	(~0ULL)

void alarm_init(struct loop_source *alarm, void (*expired)(struct loop_source *alarm));
void alarm_set(struct loop_source *alarm, u64 when);
bool alarm_take(struct loop_source *alarm);

#endif /* MINIVMM_ALARM_H */
