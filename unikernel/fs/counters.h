/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Files that are only an event: eventfd(2), timerfd_create(2), signalfd(2). */
#ifndef SKETE_UK_COUNTERS_H
#define SKETE_UK_COUNTERS_H

#include <stdint.h>
#include <time.h>

struct file;

/* flags: EFD_*, TFD_* or SFD_*. With a reference, or NULL without memory. */
struct file *eventfd_create(uint32_t count, uint32_t flags);
struct file *timerfd_create_file(int clock, uint32_t flags);
struct file *signalfd_create(uint64_t set, uint32_t flags);

/* -EINVAL for a file of another kind. */
long timerfd_set(struct file *file, int flags, const struct itimerspec *new,
		 struct itimerspec *old);
long timerfd_get(struct file *file, struct itimerspec *now);
long signalfd_change(struct file *file, uint64_t set);

#endif
