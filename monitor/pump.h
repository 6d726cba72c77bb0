/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Moves bytes between the guest's console and the outside until the machine ends, and answers
 * signals meanwhile. The program's only loop; it runs on the main thread.
 */
#ifndef SKETE_MONITOR_PUMP_H
#define SKETE_MONITOR_PUMP_H

#include <skete/vm.h>

#include "hvc.h"
#include "terminal.h"

#define PUMP_BUFFER_BYTES (16 * 1024)

struct pump {
	/* set by the caller after pump_init(); all descriptors are borrowed */
	struct sk_vm *vm;
	struct terminal *terminal; /* its keys mean something; NULL: input is just bytes */
	int in_fd;		   /* -1: no input */
	int out_fd;		   /* -1: output goes nowhere */
	struct hvc *hvc;	   /* whose to_fd, if it has one, gets the input; may be NULL */
	int signal_fd;		   /* signalfd(2) of the signals that are blocked */

	/* private to pump.c */
	struct terminal_keys keys;
	char in[PUMP_BUFFER_BYTES], out[PUMP_BUFFER_BYTES];
	size_t in_len, out_len;
	size_t out_burst; /* what out_fd takes at once without blocking for long */
};

/* No input, no output, no terminal. The buffers stay as they are: memory that is not touched yet.
 */
void pump_init(struct pump *pump, struct sk_vm *vm, int signal_fd);

/*
 * Returns when the machine has ended and its output is written, or when a signal asks for the end
 * (then the machine is stopped). 0 or the number of the signal; -errno if the outside failed
 * (@err says how), -ECANCELED if the user quit with Ctrl-A x.
 */
int pump_run(struct pump *p, struct sk_error *err) SK_MUST_CHECK;

#endif
