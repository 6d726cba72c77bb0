/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The table of descriptors: pages of pointers to files, made when a number in them is first used.
 * The lowest bit of a pointer is FD_CLOEXEC.
 */
#include "fd.h"

#include <errno.h>

#include "../arch/x86_64/cpu.h"
#include "../mm/heap.h"
#include "locks.h"

#define PER_PAGE 512
#define CLOEXEC	 1ul

static struct {
	uint32_t lock;
	uint32_t lowest; /* nothing below it is free */
	uintptr_t *pages[FD_COUNT_MAX / PER_PAGE];
} table;

static uintptr_t *slot(uint32_t fd)
{
	uintptr_t *page = fd < FD_COUNT_MAX ? table.pages[fd / PER_PAGE] : NULL;

	return page ? &page[fd % PER_PAGE] : NULL;
}

static struct file *file_of(uintptr_t value)
{
	return (struct file *)(value & ~CLOEXEC);
}

struct file *fd_get(int fd)
{
	const uintptr_t *at = slot((uint32_t)fd);
	struct file *file;
	uint32_t before;

	if (!at || !*at)
		return NULL;
	before = spin_lock(&table.lock);
	file = file_of(*at);
	if (file)
		file_get(file);
	spin_unlock(&table.lock, before);
	return file;
}

/* The slot of a number, with its page made if it is missing. Locked. */
static uintptr_t *make_slot(uint32_t fd)
{
	uintptr_t **page = &table.pages[fd / PER_PAGE];

	if (!*page)
		*page = kheap_page(1);
	return *page ? &(*page)[fd % PER_PAGE] : NULL;
}

long fd_install(struct file *file, int lowest, uint32_t cloexec)
{
	uint32_t before = spin_lock(&table.lock), limit = fd_limit(), fd;
	uintptr_t *at = NULL;
	long result = -EMFILE;

	fd = (uint32_t)lowest > table.lowest ? (uint32_t)lowest : table.lowest;
	for (; fd < limit; fd++) {
		at = make_slot(fd);
		if (!at || !*at)
			break;
	}
	if (fd < limit && !at)
		result = -ENOMEM;
	else if (fd < limit) {
		*at = (uintptr_t)file | (cloexec ? CLOEXEC : 0);
		if (fd == table.lowest)
			table.lowest = fd + 1;
		result = (long)fd;
	}
	spin_unlock(&table.lock, before);
	if (result < 0)
		file_put(file);
	return result;
}

long fd_install_at(struct file *file, int fd, uint32_t cloexec)
{
	uint32_t before = spin_lock(&table.lock);
	uintptr_t *at = (uint32_t)fd < fd_limit() ? make_slot((uint32_t)fd) : NULL;
	struct file *old = file;
	long result = (uint32_t)fd < fd_limit() ? -ENOMEM : -EBADF;

	if (at) {
		old = file_of(*at);
		*at = (uintptr_t)file | (cloexec ? CLOEXEC : 0);
		result = fd;
	}
	spin_unlock(&table.lock, before);
	if (old && result >= 0)
		locks_close(old);
	if (old)
		file_put(old);
	return result;
}

long fd_close(int fd)
{
	uint32_t before = spin_lock(&table.lock);
	uintptr_t *at = slot((uint32_t)fd);
	struct file *file = at ? file_of(*at) : NULL;

	if (file) {
		*at = 0;
		if ((uint32_t)fd < table.lowest)
			table.lowest = (uint32_t)fd;
	}
	spin_unlock(&table.lock, before);
	if (!file)
		return -EBADF;
	locks_close(file);
	file_put(file);
	return 0;
}

long fd_cloexec(int fd)
{
	const uintptr_t *at = slot((uint32_t)fd);

	return at && *at ? (long)(*at & CLOEXEC) : -EBADF;
}

long fd_set_cloexec(int fd, uint32_t cloexec)
{
	uint32_t before = spin_lock(&table.lock);
	uintptr_t *at = slot((uint32_t)fd);
	long result = -EBADF;

	if (at && *at) {
		*at = (*at & ~CLOEXEC) | (cloexec ? CLOEXEC : 0);
		result = 0;
	}
	spin_unlock(&table.lock, before);
	return result;
}

long fd_flags(int fd)
{
	uint32_t before = spin_lock(&table.lock);
	const uintptr_t *at = slot((uint32_t)fd);
	long result = at && *at ? (long)file_of(*at)->flags : -EBADF;

	spin_unlock(&table.lock, before);
	return result;
}

int fd_next(int fd)
{
	for (; fd < FD_COUNT_MAX; fd++) {
		const uintptr_t *at = slot((uint32_t)fd);

		if (!at)
			fd |= PER_PAGE - 1;
		else if (*at)
			return fd;
	}
	return -1;
}
