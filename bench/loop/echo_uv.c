/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The echo server on libuv: its fastest way, without a write request. */
#include "loop_bench.h"

#if HAVE_UV
#include <uv.h>

struct conn {
	uv_tcp_t tcp;
	size_t size_bytes;
	char buf[ECHO_MAX_BYTES];
};

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct conn *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->buf, (unsigned)c->size_bytes);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);

	if (n < 0)
		uv_close((uv_handle_t *)stream, NULL);
	else if (n > 0 && uv_try_write(stream, &out, 1) != (int)n)
		bench_die("libuv: a round trip did not fit into the socket buffer");
}

void echo_uv(const int *fds, unsigned nr, size_t size_bytes)
{
	struct conn *conns = calloc(nr, sizeof(*conns));
	uv_loop_t loop;

	uv_loop_init(&loop);
	for (unsigned i = 0; i < nr; i++) {
		uv_tcp_init(&loop, &conns[i].tcp);
		uv_tcp_open(&conns[i].tcp, fds[i]);
		conns[i].tcp.data = &conns[i];
		conns[i].size_bytes = size_bytes;
		uv_read_start((uv_stream_t *)&conns[i].tcp, give_buffer, received);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	free(conns);
}
#else
void echo_uv(const int *fds, unsigned nr, size_t size_bytes)
{
	(void)fds;
	(void)nr;
	(void)size_bytes;
}
#endif
