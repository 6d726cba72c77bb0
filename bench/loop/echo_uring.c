/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The echo server on bare liburing: what the kernel gives when nothing is in between. */
#include "loop_bench.h"

#include <liburing.h>
#include <unistd.h>

struct conn {
	int fd;
	bool is_sending;
	char buf[ECHO_MAX_BYTES];
};

static void next(struct io_uring *ring, struct conn *c, size_t size_bytes, int n)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (c->is_sending)
		io_uring_prep_send(sqe, c->fd, c->buf, (size_t)n, MSG_NOSIGNAL);
	else
		io_uring_prep_recv(sqe, c->fd, c->buf, size_bytes, 0);
	io_uring_sqe_set_data(sqe, c);
}

void echo_uring(const int *fds, unsigned nr, size_t size_bytes)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 4096,
	};
	struct conn *conns = calloc(nr, sizeof(*conns));
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned head, seen, nr_open = nr;
	int ret = io_uring_queue_init_params(1024, &ring, &p);

	if (ret)
		bench_die("io_uring_queue_init_params: %s", strerror(-ret));
	for (unsigned i = 0; i < nr; i++) {
		conns[i].fd = fds[i];
		next(&ring, &conns[i], size_bytes, 0);
	}
	while (nr_open) {
		io_uring_submit_and_wait(&ring, 1);
		seen = 0;
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			struct conn *c = io_uring_cqe_get_data(cqe);

			seen++;
			if (cqe->res > 0) {
				c->is_sending = !c->is_sending;
				next(&ring, c, size_bytes, cqe->res);
			} else {
				close(c->fd);
				nr_open--;
			}
		}
		io_uring_cq_advance(&ring, seen);
	}
	io_uring_queue_exit(&ring);
	free(conns);
}
