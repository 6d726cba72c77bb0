/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What a conformance program prints: one line per thing that it tried. The same source runs on
 * Linux and on the unikernel, and tests/posix/run compares what they print; so a program prints
 * results and names of errors, never addresses, numbers of processes or times.
 */
#ifndef SAY_H
#define SAY_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline const char *error_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{EPERM, "EPERM"},
		{ENOENT, "ENOENT"},
		{ESRCH, "ESRCH"},
		{EINTR, "EINTR"},
		{EIO, "EIO"},
		{ENXIO, "ENXIO"},
		{EBADF, "EBADF"},
		{ECHILD, "ECHILD"},
		{EAGAIN, "EAGAIN"},
		{ENOMEM, "ENOMEM"},
		{EACCES, "EACCES"},
		{EBUSY, "EBUSY"},
		{EEXIST, "EEXIST"},
		{EXDEV, "EXDEV"},
		{ENODEV, "ENODEV"},
		{ENOTDIR, "ENOTDIR"},
		{EISDIR, "EISDIR"},
		{EINVAL, "EINVAL"},
		{EMFILE, "EMFILE"},
		{ENOTTY, "ENOTTY"},
		{EFBIG, "EFBIG"},
		{ENOSPC, "ENOSPC"},
		{ESPIPE, "ESPIPE"},
		{EPIPE, "EPIPE"},
		{ERANGE, "ERANGE"},
		{ENAMETOOLONG, "ENAMETOOLONG"},
		{ENOSYS, "ENOSYS"},
		{ENOTEMPTY, "ENOTEMPTY"},
		{ELOOP, "ELOOP"},
		{EOVERFLOW, "EOVERFLOW"},
		{ENOTSOCK, "ENOTSOCK"},
		{EMSGSIZE, "EMSGSIZE"},
		{EPROTOTYPE, "EPROTOTYPE"},
		{ENOPROTOOPT, "ENOPROTOOPT"},
		{EOPNOTSUPP, "EOPNOTSUPP"},
		{EAFNOSUPPORT, "EAFNOSUPPORT"},
		{EADDRINUSE, "EADDRINUSE"},
		{ECONNRESET, "ECONNRESET"},
		{EISCONN, "EISCONN"},
		{ENOTCONN, "ENOTCONN"},
		{ETIMEDOUT, "ETIMEDOUT"},
		{ECONNREFUSED, "ECONNREFUSED"},
		{EDOM, "EDOM"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	return "another error";
}

/* The value of an expression, or the error that it failed with. */
#define SAY(expression)                                                     \
	do {                                                                \
		errno = 0;                                                  \
		long say_value = (long)(expression);                        \
		if (say_value == -1)                                        \
			printf("%s: %s\n", #expression, error_name(errno)); \
		else                                                        \
			printf("%s: %ld\n", #expression, say_value);        \
	} while (0)

#define SAY_TEXT(text) printf("%s: \"%s\"\n", #text, text)

#endif
