/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The system calls about signals, as Linux defines them. */
#ifndef SKETE_UK_SIGNALS_H
#define SKETE_UK_SIGNALS_H

#include <stdint.h>

struct kernel_sigaction {
	void (*handler)(int, void *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

long signal_action(int number, const struct kernel_sigaction *action, struct kernel_sigaction *old);
long signal_mask(int how, const uint64_t *set, uint64_t *old);
/* The end of a cancellation point (see toolchain/musl). */
void __skete_cp_leave(void);

#endif
