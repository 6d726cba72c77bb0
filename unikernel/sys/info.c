/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about the machine, and randomness. */
#include <errno.h>
#include <sys/resource.h>

#include "../kernel/kernel.h"
#include "../mm/mm.h"
#include "sys.h"

int sys_debug;

long sys_unknown(long number)
{
	if (sys_debug)
		kprintf("skete: system call %d is not implemented\n", (int)number);
	return -ENOSYS;
}

long sys_uname(struct utsname *name)
{
	memset(name, 0, sizeof(*name));
	memcpy(name->sysname, "Skete", 6);
	memcpy(name->nodename, "skete", 6);
	memcpy(name->release, "6.1.0-skete", 12); /* programs compare it with Linux's versions */
	memcpy(name->version, "unikernel", 10);
	memcpy(name->machine, "x86_64", 7);
	return 0;
}

long sys_sysinfo(struct sysinfo *info)
{
	memset(info, 0, sizeof(*info));
	info->uptime = (long)(clock_ns() / NS_PER_SEC);
	info->totalram = frames_total * PAGE_SIZE;
	info->freeram = frames_free_count * PAGE_SIZE;
	info->mem_unit = 1;
	return 0;
}

long sys_getrandom(void *out, size_t bytes, unsigned int flags)
{
	int error;

	if (flags & ~7u)
		return -EINVAL;
	error = random_bytes(out, bytes);
	return error ? error : (long)bytes;
}

long sys_prlimit64(int pid, int what, const struct rlimit *set, struct rlimit *old)
{
	if ((pid != 0 && pid != 1) || what < 0 || what > 15)
		return -EINVAL;
	if (set)
		return -EPERM;
	if (old) {
		old->rlim_cur = what == RLIMIT_STACK  ? 8 << 20
				: what == RLIMIT_CORE ? 0
						      : RLIM_INFINITY;
		old->rlim_max = what == RLIMIT_CORE ? 0 : RLIM_INFINITY;
	}
	return 0;
}
