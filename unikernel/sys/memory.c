/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about memory. */
#include <errno.h>
#include <sys/mman.h>

#include "../mm/mm.h"
#include "sys.h"

long sys_mmap(uint64_t hint, size_t bytes, int prot, int flags, int fd, long offset)
{
	long start;

	(void)fd;
	(void)offset;
	if (!(flags & MAP_ANONYMOUS))
		return -ENODEV; /* there are no files yet */
	if (prot & PROT_EXEC)
		return -EACCES;
	if (flags & MAP_FIXED_NOREPLACE & ~MAP_FIXED)
		return -EOPNOTSUPP;
	start = mm_map(flags & MAP_FIXED ? hint : 0, bytes,
		       (uint64_t)prot & (PROT_READ | PROT_WRITE), !!(flags & MAP_FIXED));
	if (start > 0 && flags & MAP_POPULATE && prot & PROT_READ)
		for (size_t at = 0; at < bytes; at += PAGE_SIZE)
			(void)*(volatile char *)(start + (long)at);
	return start;
}

long sys_munmap(uint64_t start, size_t bytes)
{
	return mm_unmap(start, bytes);
}

long sys_mprotect(uint64_t start, size_t bytes, int prot)
{
	return mm_protect(start, bytes, (uint64_t)prot);
}

long sys_mremap(uint64_t old, size_t old_bytes, size_t bytes, int flags)
{
	if (flags & ~MREMAP_MAYMOVE)
		return -EINVAL;
	return mm_remap(old, old_bytes, bytes, flags & MREMAP_MAYMOVE);
}

long sys_madvise(uint64_t start, size_t bytes, int advice)
{
	if (advice == MADV_DONTNEED)
		return mm_discard(start, bytes);
	return advice >= 0 && advice <= MADV_DODUMP ? 0 : -EINVAL; /* advice that may be ignored */
}

long sys_brk(uint64_t end)
{
	return mm_break(end);
}
