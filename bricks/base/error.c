/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Errors, the logging hook, and the few operating-system helpers that every brick needs. */
#include <skete/base.h>

#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOG_MESSAGE_MAX 1024

int sk_error_set(struct sk_error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return code;
}

void sk_error_prefix(struct sk_error *err, const char *fmt, ...)
{
	char old[SK_ERROR_MAX];
	va_list args;
	size_t len;
	int n;

	if (!err)
		return;
	memcpy(old, err->message, sizeof(old));
	old[sizeof(old) - 1] = '\0';
	va_start(args, fmt);
	n = vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	len = n < 0 ? 0 : SK_MIN((size_t)n, sizeof(err->message) - 1);
	snprintf(err->message + len, sizeof(err->message) - len, ": %s", old);
}

void sk_logf(const struct sk_log *log, enum sk_log_level level, const char *fmt, ...)
{
	char message[LOG_MESSAGE_MAX];
	va_list args;

	if (!log || !log->emit || level > log->max_level)
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	log->emit(log->ctx, level, message);
}

uint64_t sk_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int sk_eventfd_create(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void sk_eventfd_signal(int fd)
{
	uint64_t one = 1;
	int saved_errno = errno;
	ssize_t n;

	/* EAGAIN means that the counter is full: the reader has news already. */
	do {
		n = write(fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	errno = saved_errno;
}

uint64_t sk_eventfd_drain(int fd)
{
	uint64_t count = 0;
	int saved_errno = errno;
	ssize_t n;

	do {
		n = read(fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
	errno = saved_errno;
	return n == (ssize_t)sizeof(count) ? count : 0;
}

void sk_close(int *fd)
{
	int saved_errno = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved_errno;
}
