/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about memory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../fs/devices.h"
#include "../fs/fd.h"
#include "../fs/inode.h"
#include "../fs/names.h"
#include "../fs/regular.h"
#include "../mm/mm.h"
#include "sys.h"

/* A file's own pages or copies of them; /dev/zero is anonymous memory. */
static long map_file(uint64_t hint, size_t bytes, int prot, int flags, int fd, uint64_t offset)
{
	struct file *file = fd_get(fd);
	uint64_t how = (uint64_t)prot & (PROT_READ | PROT_WRITE);
	int is_shared = (flags & MAP_TYPE) != MAP_PRIVATE, access;
	long result;

	if (!file)
		return -EBADF;
	access = (int)file->flags & O_ACCMODE;
	if (access == O_WRONLY || (is_shared && prot & PROT_WRITE && access != O_RDWR)) {
		result = -EACCES;
	} else if (offset % PAGE_SIZE || offset + bytes < offset) {
		result = -EINVAL;
	} else if (file->ops == &regular_ops) {
		if (is_shared)
			how |= AREA_SHARED | (access == O_RDONLY ? AREA_NO_WRITE : 0);
		result = mm_map_file(flags & MAP_FIXED ? hint : 0, bytes, how,
				     !!(flags & MAP_FIXED), file->inode, offset / PAGE_SIZE);
	} else if (file->inode && file->inode->device == DEVICE(1, 5)) {
		result = mm_map(flags & MAP_FIXED ? hint : 0, bytes, how, !!(flags & MAP_FIXED));
	} else {
		result = -ENODEV;
	}
	file_put(file);
	return result;
}

long sys_mmap(uint64_t hint, size_t bytes, int prot, int flags, int fd, long offset)
{
	long start;

	if ((flags & MAP_TYPE) != MAP_PRIVATE && (flags & MAP_TYPE) != MAP_SHARED &&
	    (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (prot & PROT_EXEC)
		return -EACCES;
	if (!(flags & MAP_ANONYMOUS))
		return map_file(hint, bytes, prot, flags, fd, (uint64_t)offset);
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

/* Shared mappings are the file itself, so there is nothing to write back. */
long sys_msync(uint64_t start, size_t bytes, int flags)
{
	struct mm_area area;

	if (start % PAGE_SIZE || flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) ||
	    (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	for (uint64_t at = start; at < start + bytes; at = area.end)
		if (!mm_area_next(at, &area) || area.start > at)
			return -ENOMEM;
	return 0;
}

long sys_mincore(uint64_t start, size_t bytes, unsigned char *present)
{
	struct mm_area area;

	if (start % PAGE_SIZE)
		return -EINVAL;
	for (uint64_t at = start; at < start + bytes; at = area.end)
		if (!mm_area_next(at, &area) || area.start > at)
			return -ENOMEM;
	for (size_t i = 0; i < (bytes + PAGE_SIZE - 1) / PAGE_SIZE; i++)
		present[i] = (unsigned char)mm_present(start + i * PAGE_SIZE);
	return 0;
}

/* Nothing is ever taken away to a disk; locking means to have it now. */
long sys_mlock(uint64_t start, size_t bytes)
{
	struct mm_area area;

	for (uint64_t at = start & -PAGE_SIZE; at < start + bytes; at = area.end) {
		if (!mm_area_next(at, &area) || area.start > at)
			return -ENOMEM;
		for (; area.prot & PROT_READ && at < area.end && at < start + bytes;
		     at += PAGE_SIZE)
			(void)*(volatile char *)at;
	}
	return 0;
}

long sys_mlock2(uint64_t start, size_t bytes, unsigned int flags)
{
	return flags & ~1u ? -EINVAL : sys_mlock(start, bytes);
}

long sys_munlock(uint64_t start, size_t bytes)
{
	(void)start;
	(void)bytes;
	return 0;
}

long sys_mlockall(int flags)
{
	return flags & ~7 || !flags ? -EINVAL : 0;
}

long sys_munlockall(void)
{
	return 0;
}

long sys_memfd_create(const char *name, unsigned int flags)
{
	struct inode *inode;
	struct file *file;
	long result;

	(void)name;
	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING))
		return -EINVAL;
	inode = inode_create(S_IFREG | 0777, NULL);
	result = inode ? names_open_inode(inode, O_RDWR, &file) : -ENOMEM;
	return result ? result : fd_install(file, 0, flags & MFD_CLOEXEC);
}
