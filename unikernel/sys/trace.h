/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* `skete.strace`: every system call on the console, with arguments and result. */
#ifndef SKETE_UK_TRACE_H
#define SKETE_UK_TRACE_H

#include "../arch/x86_64/layout.h"

/* Trace from now on. Before there is a second thread. */
void trace_start(void);

/*
 * What a call looks like. A letter for each argument: d number, u unsigned, x hexadecimal, o octal,
 * p address, s string, b bytes (their number is the next argument), B bytes (the result says how
 * many there are after the call), P protection, S signal, F flags of open. "!": it does not return.
 */
struct trace_signature {
	const char *name;
	const char *arguments;
};

extern const struct trace_signature trace_signatures[SYSCALL_COUNT];

#endif
