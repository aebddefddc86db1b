/* SPDX-License-Identifier: GPL-2.0 */
/* The user's terminal: raw while the guest has it, restored on every way out. */
#ifndef MINIVMM_TERMINAL_H
#define MINIVMM_TERMINAL_H

#include <stdbool.h>

void terminal_make_raw(void);
bool terminal_is_raw(void);
void terminal_restore(void);
void terminal_restore_on_signals(void);

#endif /* MINIVMM_TERMINAL_H */
