/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about the machine, and randomness. */
#include <errno.h>

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

static char host_name[65] = "skete", domain_name[65] = "(none)";

static long set_name(char *name, const char *to, size_t bytes)
{
	if (bytes > 64)
		return -EINVAL;
	memset(name, 0, 65);
	memcpy(name, to, bytes);
	return 0;
}

long sys_sethostname(const char *name, size_t bytes)
{
	return set_name(host_name, name, bytes);
}

long sys_setdomainname(const char *name, size_t bytes)
{
	return set_name(domain_name, name, bytes);
}

long sys_uname(struct utsname *name)
{
	memset(name, 0, sizeof(*name));
	memcpy(name->sysname, "Skete", 6);
	memcpy(name->nodename, host_name, sizeof(host_name));
	memcpy(name->domainname, domain_name, sizeof(domain_name));
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
