/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The thread that talks to gdb, and what vCPU threads tell it. A stop is recorded under the
 * machine's lock with the wish to pause; the thread reports it once all vCPUs are parked.
 */
#include "gdb.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm_internal.h"

#define GDB_STACK_BYTES (256 * SK_KIB)
#define GDB_RECEIVE	2048

static int listen_on(uint16_t port, struct sk_error *err)
{
	const struct sockaddr_in where = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, ret;

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&where, sizeof(where)) || listen(fd, 1)) {
		ret = -errno;
		sk_close(&fd);
		return sk_error_set(err, ret, "cannot listen for gdb on 127.0.0.1:%u: %s", port,
				    strerror(-ret));
	}
	return fd;
}

int gdb_create(struct gdb_server **out, struct sk_vm *vm, uint16_t port, struct sk_error *err)
{
	struct gdb_server *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return sk_error_set(err, -ENOMEM, "no memory for gdb's session");
	g->vm = vm;
	g->fd = g->listen_fd = -1;
	g->event_fd = sk_eventfd_create();
	if (g->event_fd < 0) {
		ret = sk_error_set(err, g->event_fd, "cannot create an eventfd: %s",
				   strerror(-g->event_fd));
		goto err_destroy;
	}
	ret = g->listen_fd = listen_on(port, err);
	if (ret < 0)
		goto err_destroy;
	*out = g;
	return 0;
err_destroy:
	gdb_destroy(g);
	return ret;
}

void gdb_destroy(struct gdb_server *g)
{
	if (!g)
		return;
	atomic_store_explicit(&g->is_quitting, true, memory_order_relaxed);
	if (g->has_thread) {
		sk_eventfd_signal(g->event_fd);
		pthread_join(g->thread, NULL);
	}
	sk_gdb_destroy(g->session);
	sk_close(&g->fd);
	sk_close(&g->listen_fd);
	sk_close(&g->event_fd);
	free(g);
}

/* --- what vCPU threads say --- */

static void record_stop_locked(struct gdb_server *g, uint32_t index, int signal, bool is_breakpoint)
{
	if (!g->has_stop) {
		g->has_stop = true;
		g->stop_thread = index;
		g->stop_signal = signal;
		g->is_breakpoint = is_breakpoint;
	}
	vm_request_pause_locked(g->vm);
	sk_eventfd_signal(g->event_fd);
}

void gdb_request_stop(struct gdb_server *g, uint32_t index, int signal, bool is_breakpoint)
{
	pthread_mutex_lock(&g->vm->lock);
	record_stop_locked(g, index, signal, is_breakpoint);
	pthread_mutex_unlock(&g->vm->lock);
}

/* The unikernel stopped; its vCPU is in the middle of the port's write. */
static void take_stop(struct gdb_server *g, uint32_t index)
{
	struct gdb_vcpu *v = &g->vcpus[index];
	struct sk_debug_stop stop;
	struct sk_debug_regs r;
	struct kvm_regs regs;
	bool is_breakpoint = false;

	if (!g->is_attached || sk_kvm_vcpu_get_regs(g->vm->machine->vcpus[index], &regs) ||
	    gdb_target_read(g, index, regs.r8, &stop, sizeof(stop)) ||
	    gdb_target_read(g, index, stop.regs, &r, sizeof(r)))
		return; /* the guest goes on without us */
	v->stop = regs.r8;
	v->regs = stop.regs;
	if (stop.signal == GDB_SIGNAL_TRAP && gdb_target_find(g, r.rip - 1, false)) {
		is_breakpoint = true;
		r.rip--;
	}
	r.rflags &= ~UINT64_C(0x100);
	if (gdb_target_write(g, index, v->regs, &r, sizeof(r)))
		return;
	record_stop_locked(g, index, (int)(stop.signal & 0x7f), is_breakpoint);
}

void gdb_guest_event(struct gdb_server *g, uint32_t index, uint32_t event)
{
	if (!g->vm->config.gdb_text)
		return; /* only a unikernel stops in this way */
	pthread_mutex_lock(&g->vm->lock);
	if (event == SK_DEBUG_READY && g->waits_ready) {
		g->waits_ready = false;
		record_stop_locked(g, index, GDB_SIGNAL_TRAP, false);
	} else if (event == SK_DEBUG_STOP) {
		take_stop(g, index);
	}
	pthread_mutex_unlock(&g->vm->lock);
}

void gdb_debug_exit(struct gdb_server *g, uint32_t index, const struct kvm_debug_exit_arch *exit)
{
	bool is_ours = gdb_target_find(g, exit->pc, false);

	if (exit->exception == 3 && !is_ours) {
		g->vcpus[index].must_inject = true;
		(void)!gdb_target_arm(g, index);
		return;
	}
	gdb_request_stop(g, index, GDB_SIGNAL_TRAP, exit->exception == 3);
}

void gdb_hold(struct gdb_server *g, uint32_t index)
{
	struct sk_vm *vm = g->vm;

	pthread_mutex_lock(&vm->lock);
	while (g->vcpus[index].is_held &&
	       !atomic_load_explicit(&vm->wants_attention, memory_order_relaxed))
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

void gdb_reboot(struct gdb_server *g)
{
	memset(g->vcpus, 0, sizeof(g->vcpus));
	memset(g->breaks, 0, sizeof(g->breaks));
}

/* --- the thread --- */

void gdb_go_on(struct gdb_server *g)
{
	(void)!sk_vm_resume(g->vm);
}

/* Waits until the guest stands still. False: it has ended. */
static bool wait_paused(struct gdb_server *g)
{
	struct sk_vm *vm = g->vm;
	bool is_paused;

	pthread_mutex_lock(&vm->lock);
	while (vm->phase != VM_PAUSED && vm->phase != VM_ENDED)
		pthread_cond_wait(&vm->changed, &vm->lock);
	is_paused = vm->phase == VM_PAUSED;
	pthread_mutex_unlock(&vm->lock);
	return is_paused;
}

static void hang_up(struct gdb_server *g)
{
	sk_gdb_destroy(g->session);
	g->session = NULL;
	sk_close(&g->fd);
}

/* gdb is gone without a word: as if it had detached. */
static void lose(struct gdb_server *g)
{
	bool is_paused;

	pthread_mutex_lock(&g->vm->lock);
	is_paused = g->vm->phase == VM_PAUSED;
	pthread_mutex_unlock(&g->vm->lock);
	if (!is_paused)
		gdb_request_stop(g, 0, GDB_SIGNAL_INT, false);
	if (wait_paused(g))
		gdb_target_ops.detach(g);
	hang_up(g);
}

/* The guest's end, as gdb is told. */
static void tell_end(struct gdb_server *g)
{
	struct sk_vm_result result = {0};

	(void)!sk_vm_wait(g->vm, 0, &result);
	if (g->session)
		sk_gdb_exited(g->session, result.end == SK_VM_EXITED ? (int)(result.status & 0xff)
					  : result.end == SK_VM_POWERED_OFF ? 0
									    : -1);
	hang_up(g);
}

static void tell_stop(struct gdb_server *g)
{
	struct sk_vm *vm = g->vm;
	bool has_stop, is_breakpoint;
	uint32_t thread;
	int signal;

	if (!g->session || !wait_paused(g))
		return;
	pthread_mutex_lock(&vm->lock);
	has_stop = g->has_stop;
	g->has_stop = false;
	thread = g->stop_thread;
	signal = g->stop_signal;
	is_breakpoint = g->is_breakpoint;
	pthread_mutex_unlock(&vm->lock);
	if (has_stop)
		sk_gdb_stopped(g->session, thread, signal, is_breakpoint);
}

static void answer(struct gdb_server *g)
{
	const struct sk_gdb_config config = {
		.ops = &gdb_target_ops,
		.ctx = g,
		.text = g->vm->config.gdb_text,
		.data = g->vm->config.gdb_data,
	};
	bool is_stopping;
	int one = 1;

	g->fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (g->fd < 0)
		return;
	(void)setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pthread_mutex_lock(&g->vm->lock);
	g->is_attached = true;
	is_stopping = g->has_stop || g->waits_ready;
	if (!is_stopping)
		record_stop_locked(g, 0, GDB_SIGNAL_INT, false);
	pthread_mutex_unlock(&g->vm->lock);
	if (!wait_paused(g) || sk_gdb_create(&g->session, &config, NULL))
		hang_up(g);
	else
		tell_stop(g);
}

static void receive(struct gdb_server *g)
{
	uint8_t bytes[GDB_RECEIVE];
	ssize_t n = recv(g->fd, bytes, sizeof(bytes), 0);

	if (n > 0)
		sk_gdb_receive(g->session, bytes, (size_t)n);
	else if (n == 0 || errno != EINTR)
		lose(g);
	pthread_mutex_lock(&g->vm->lock);
	if (!g->is_attached && g->session) {
		pthread_mutex_unlock(&g->vm->lock);
		hang_up(g); /* it has detached */
		return;
	}
	pthread_mutex_unlock(&g->vm->lock);
}

static void *serve(void *arg)
{
	struct gdb_server *g = arg;

	pthread_setname_np(pthread_self(), "gdb");
	for (;;) {
		struct pollfd fds[] = {
			{.fd = g->event_fd, .events = POLLIN},
			{.fd = sk_vm_exit_fd(g->vm), .events = POLLIN},
			{.fd = g->fd < 0 ? g->listen_fd : g->fd, .events = POLLIN},
		};

		if (poll(fds, SK_ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents || atomic_load_explicit(&g->is_quitting, memory_order_relaxed)) {
			tell_end(g);
			break;
		}
		if (fds[0].revents) {
			(void)sk_eventfd_drain(g->event_fd);
			tell_stop(g);
		}
		if (fds[2].revents && g->fd < 0)
			answer(g);
		else if (fds[2].revents)
			receive(g);
	}
	return NULL;
}

int gdb_start_locked(struct gdb_server *g)
{
	pthread_attr_t attr;
	int ret = -pthread_attr_init(&attr);

	if (ret)
		return ret;
	g->waits_ready = g->vm->config.gdb_text != 0;
	if (!g->waits_ready)
		record_stop_locked(g, 0, GDB_SIGNAL_TRAP, false);
	ret = -pthread_attr_setstacksize(&attr, GDB_STACK_BYTES);
	if (!ret)
		ret = -pthread_create(&g->thread, &attr, serve, g);
	g->has_thread = !ret;
	pthread_attr_destroy(&attr);
	return ret;
}
