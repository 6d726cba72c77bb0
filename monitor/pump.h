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

#define PUMP_IN_BYTES  (16 * 1024)
#define PUMP_OUT_BYTES (64 * 1024)

/* How much out_fd takes when poll() says that it is writable. */
enum pump_out {
	PUMP_OUT_FILE,	  /* everything, for what "without waiting" means to a file */
	PUMP_OUT_NO_WAIT, /* what it says itself: the kernel knows RWF_NOWAIT for it */
	PUMP_OUT_POLLED,  /* PIPE_BUF bytes */
};

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
	enum pump_out out_kind;
	size_t in_len, out_len, out_pos; /* the output starts at out + out_pos */
	char in[PUMP_IN_BYTES], out[PUMP_OUT_BYTES];
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
