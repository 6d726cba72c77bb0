/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What of Linux's the image keeps: threads, timers, signal handlers, the vDSO. */
#ifndef SKETE_TENDER_KERNEL_OBJECTS_H
#define SKETE_TENDER_KERNEL_OBJECTS_H

#include "tender_internal.h"

struct tender_range {
	uint64_t start, end;
};

void tender_ranges_sort(struct tender_range *ranges, size_t nr);

/* [start, end): the vDSO and the pages with its data; its code from @code on. */
struct tender_vdso {
	uint64_t start, code, end;
	uint64_t clock_gettime; /* a function */
};

/* Reads /proc/self/maps. 0 or -errno. */
int tender_vdso_find(struct tender_vdso *out, struct sk_error *err) SK_MUST_CHECK;

/*
 * The threads for CPUs 1 and up, which wait in the stage's code to be started at @entry; a timer
 * and a signal stack for each CPU, the calling thread's (CPU 0) included. 0 or -errno.
 */
int tender_cpus_create(struct tender_stage *stage, uint32_t cpus, uint64_t stage_at, uint64_t entry,
		       struct sk_error *err) SK_MUST_CHECK;

/* All signals that the image handles go to @handler, and return by @restore. 0 or -errno. */
int tender_signals_take(uint64_t handler, uint64_t restore, struct sk_error *err) SK_MUST_CHECK;

#endif
