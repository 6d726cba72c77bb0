/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Resource limits. Those on files hold (RLIMIT_NOFILE, RLIMIT_FSIZE); the others are kept for those
 * who ask, since a machine with one program has a limit of its own for memory and time.
 */
#include <errno.h>
#include <sys/resource.h>

#include "../fs/fd.h"
#include "limits.h"
#include "sys.h"

#define COUNT 16
#define FILES 1024

static struct rlimit limits[COUNT] = {
	[0 ... COUNT - 1] = {RLIM_INFINITY, RLIM_INFINITY},
	[RLIMIT_STACK] = {8 << 20, RLIM_INFINITY},
	[RLIMIT_CORE] = {0, RLIM_INFINITY},
	[RLIMIT_NOFILE] = {FILES, FD_COUNT_MAX},
	[RLIMIT_MEMLOCK] = {8 << 20, 8 << 20},
	[RLIMIT_NICE] = {0, 0},
	[RLIMIT_RTPRIO] = {0, 0},
};

uint32_t fd_limit(void)
{
	uint64_t limit = limits[RLIMIT_NOFILE].rlim_cur;

	return limit < FD_COUNT_MAX ? (uint32_t)limit : FD_COUNT_MAX;
}

uint64_t limits_file_bytes(void)
{
	return limits[RLIMIT_FSIZE].rlim_cur;
}

long sys_prlimit64(int pid, int what, const struct rlimit *set, struct rlimit *old)
{
	struct rlimit new = {0, 0};

	if (what < 0 || what >= COUNT)
		return -EINVAL;
	if (pid != 0 && pid != 1)
		return -ESRCH;
	if (set) {
		new = *set;
		if (new.rlim_cur > new.rlim_max)
			return -EINVAL;
		if (what == RLIMIT_NOFILE && new.rlim_max > FD_COUNT_MAX)
			return -EPERM;
		if (new.rlim_max > limits[what].rlim_max && sys_geteuid())
			return -EPERM;
	}
	if (old)
		*old = limits[what];
	if (set)
		limits[what] = new;
	return 0;
}

long sys_getrlimit(int what, struct rlimit *limit)
{
	return sys_prlimit64(0, what, NULL, limit);
}

long sys_setrlimit(int what, const struct rlimit *limit)
{
	return sys_prlimit64(0, what, limit, NULL);
}
