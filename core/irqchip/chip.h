/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the models of the interrupt chips stand on. They are pure logic, compiled
 * into minivmm.ko and, for guests whose chips are in user space, into the
 * launcher: no lock, no allocation, no clock.
 */
#ifndef MINIVMM_CHIP_H
#define MINIVMM_CHIP_H

#ifdef __KERNEL__
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/types.h>
#else
#include <string.h>
#include "base.h"
#endif

#include <linux/minivmm.h>

#endif /* MINIVMM_CHIP_H */
