/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* epoll(7): level and edge triggered, one-shot, exclusive, nested up to five deep. */
#ifndef SKETE_UK_EPOLL_H
#define SKETE_UK_EPOLL_H

#include <stdint.h>

struct epoll_event;
struct file;

struct file *epoll_create_file(void);
/* -EINVAL if `epoll` is no epoll instance. `event` may be NULL for EPOLL_CTL_DEL. */
long epoll_control(struct file *epoll, int operation, int fd, struct file *target,
		   const struct epoll_event *event);
/* Until there are events, or a time of clock_ns() (0: only look). */
long epoll_collect(struct file *epoll, struct epoll_event *events, int room, uint64_t deadline_ns);
/* The file is about to be released: nobody watches it any longer. */
void epoll_forget(struct file *file);

#endif
