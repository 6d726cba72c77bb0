/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Creating and ending guest memory: checking the configuration and mapping the regions. */
#include "gmem_internal.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << MAP_HUGE_SHIFT)
#define MAP_HUGE_1GB (30 << MAP_HUGE_SHIFT)
#endif

#define HUGE_BYTES (2 * SK_MIB) /* a transparent huge page */

static uint64_t page_bytes(enum sk_gmem_pages pages)
{
	switch (pages) {
	case SK_GMEM_PAGES_2M:
		return 2 * SK_MIB;
	case SK_GMEM_PAGES_1G:
		return SK_GIB;
	case SK_GMEM_PAGES_AUTO:
	case SK_GMEM_PAGES_BASE:
	case SK_GMEM_PAGES_TRANSPARENT:
		break;
	}
	return SK_GMEM_PAGE_BYTES;
}

static bool is_hugetlb(const struct sk_gmem_region_config *c)
{
	return c->pages == SK_GMEM_PAGES_2M || c->pages == SK_GMEM_PAGES_1G;
}

static bool is_file(const struct sk_gmem_region_config *c)
{
	return c->backing == SK_GMEM_FILE_PRIVATE || c->backing == SK_GMEM_FILE_SHARED;
}

int sk_gmem_layout_x86(uint64_t size_bytes, const struct sk_gmem_region_config *model,
		       struct sk_gmem_region_config regions[2])
{
	uint64_t low = SK_MIN(size_bytes, SK_GMEM_X86_HOLE_START);
	int nr = 0;

	if (size_bytes == 0 || !sk_is_aligned(size_bytes, SK_GMEM_PAGE_BYTES) ||
	    !sk_range_fits(SK_GMEM_X86_HOLE_END, size_bytes - low, INT64_MAX))
		return -EINVAL;
	for (int i = 0; i < 2; i++)
		regions[i] = model ? *model : (struct sk_gmem_region_config){0};
	regions[nr].gpa = 0;
	regions[nr++].size_bytes = low;
	if (size_bytes > low) {
		regions[nr].gpa = SK_GMEM_X86_HOLE_END;
		regions[nr].size_bytes = size_bytes - low;
		regions[nr++].file_offset_bytes += low;
	}
	return nr;
}

static int check_region(const struct sk_gmem_region_config *c, struct sk_error *err)
{
	uint64_t page = page_bytes(c->pages);

	if (c->size_bytes == 0 || !sk_is_aligned(c->size_bytes, page) ||
	    !sk_is_aligned(c->gpa, page))
		return sk_error_set(err, -EINVAL,
				    "memory region at 0x%llx, %llu bytes: address and size must be "
				    "multiples of its page size, %llu KiB, and the size not 0",
				    (unsigned long long)c->gpa, (unsigned long long)c->size_bytes,
				    (unsigned long long)(page / SK_KIB));
	/* A size beyond off_t could not be mapped; the limit also keeps every sum below 2^64. */
	if (!sk_range_fits(c->gpa, c->size_bytes, INT64_MAX))
		return sk_error_set(err, -EINVAL,
				    "memory region at 0x%llx, %llu bytes: ends beyond 2^63",
				    (unsigned long long)c->gpa, (unsigned long long)c->size_bytes);
	if (!is_file(c))
		return 0;
	if (!c->path)
		return sk_error_set(err, -EINVAL,
				    "memory region at 0x%llx: backed by a file, but no path given",
				    (unsigned long long)c->gpa);
	if (is_hugetlb(c))
		return sk_error_set(err, -EINVAL,
				    "memory file %s: huge pages of a fixed size are for anonymous "
				    "memory and memfd only",
				    c->path);
	if (!sk_is_aligned(c->file_offset_bytes, SK_GMEM_PAGE_BYTES) ||
	    !sk_range_fits(c->file_offset_bytes, c->size_bytes, INT64_MAX))
		return sk_error_set(err, -EINVAL,
				    "memory file %s: offset %llu is not a multiple of 4 KiB or too "
				    "large",
				    c->path, (unsigned long long)c->file_offset_bytes);
	return 0;
}

static int check_config(const struct sk_gmem_config *config, struct sk_error *err)
{
	if (config->nr_regions == 0 || config->nr_regions > SK_GMEM_MAX_REGIONS)
		return sk_error_set(err, -EINVAL,
				    "guest memory has %zu regions: 1 to %d are allowed",
				    config->nr_regions, SK_GMEM_MAX_REGIONS);
	for (size_t i = 0; i < config->nr_regions; i++) {
		const struct sk_gmem_region_config *a = &config->regions[i];
		int ret = check_region(a, err);

		if (ret)
			return ret;
		for (size_t k = 0; k < i; k++) {
			const struct sk_gmem_region_config *b = &config->regions[k];

			if (sk_ranges_overlap(a->gpa, a->size_bytes, b->gpa, b->size_bytes))
				return sk_error_set(
					err, -EINVAL, "memory regions at 0x%llx and 0x%llx overlap",
					(unsigned long long)b->gpa, (unsigned long long)a->gpa);
		}
	}
	return 0;
}

static int open_file(const struct sk_gmem_region_config *c, struct sk_error *err)
{
	bool is_shared = c->backing == SK_GMEM_FILE_SHARED;
	int fd = open(c->path, (is_shared ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	struct stat st;
	int ret;

	if (fd < 0) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot open memory file %s: %s", c->path,
				    strerror(-ret));
	}
	if (fstat(fd, &st)) {
		ret = sk_error_set(err, -errno, "cannot stat memory file %s", c->path);
		goto err_close;
	}
	/* Pages beyond the end of the file would raise SIGBUS at the first access. */
	if (st.st_size < 0 ||
	    !sk_range_fits(c->file_offset_bytes, c->size_bytes, (uint64_t)st.st_size)) {
		ret = sk_error_set(err, -ENODATA,
				   "memory file %s has %lld bytes, but the guest needs %llu at "
				   "offset %llu",
				   c->path, (long long)st.st_size,
				   (unsigned long long)c->size_bytes,
				   (unsigned long long)c->file_offset_bytes);
		goto err_close;
	}
	return fd;

err_close:
	sk_close(&fd);
	return ret;
}

static int open_memfd(const struct sk_gmem_region_config *c, struct sk_error *err)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd, ret;

	if (c->pages == SK_GMEM_PAGES_2M)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	if (c->pages == SK_GMEM_PAGES_1G)
		flags |= MFD_HUGETLB | MFD_HUGE_1GB;
	fd = memfd_create("guest-memory", flags);
	if (fd < 0) {
		ret = -errno;
		if (is_hugetlb(c))
			return sk_error_set(err, -ENOTSUP,
					    "this host has no %s huge pages for guest memory (%s)",
					    c->pages == SK_GMEM_PAGES_2M ? "2 MiB" : "1 GiB",
					    strerror(-ret));
		return sk_error_set(err, ret, "cannot create a memfd for guest memory: %s",
				    strerror(-ret));
	}
	if (ftruncate(fd, (off_t)c->size_bytes)) {
		ret = -errno;
		sk_close(&fd);
		return sk_error_set(err, ret,
				    "cannot size the guest memory's memfd to %llu MiB: %s",
				    (unsigned long long)(c->size_bytes / SK_MIB), strerror(-ret));
	}
	/* The size is fixed from here on, so that a peer cannot make accesses fault. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		ret = -errno;
		sk_close(&fd);
		return sk_error_set(err, ret,
				    "cannot seal the size of the guest memory's memfd: %s",
				    strerror(-ret));
	}
	return fd;
}

static int map_error(const struct sk_gmem_region_config *c, int code, struct sk_error *err)
{
	if (is_hugetlb(c))
		return sk_error_set(err, -ENOTSUP,
				    "cannot reserve %llu MiB of %s huge pages: %s (see "
				    "/sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages)",
				    (unsigned long long)(c->size_bytes / SK_MIB),
				    c->pages == SK_GMEM_PAGES_2M ? "2 MiB" : "1 GiB",
				    strerror(-code),
				    (unsigned long long)(page_bytes(c->pages) / SK_KIB));
	return sk_error_set(err, code, "cannot map %llu MiB of guest memory: %s",
			    (unsigned long long)(c->size_bytes / SK_MIB), strerror(-code));
}

static int map_flags(const struct sk_gmem_region_config *c)
{
	int flags;

	switch (c->backing) {
	case SK_GMEM_MEMFD:
	case SK_GMEM_FILE_SHARED:
		flags = MAP_SHARED;
		break;
	case SK_GMEM_FILE_PRIVATE:
		flags = MAP_PRIVATE;
		break;
	default:
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
		if (c->pages == SK_GMEM_PAGES_2M)
			flags |= MAP_HUGETLB | MAP_HUGE_2MB;
		if (c->pages == SK_GMEM_PAGES_1G)
			flags |= MAP_HUGETLB | MAP_HUGE_1GB;
		break;
	}
	/* Huge pages are reserved now, so that running out is an error here and no SIGBUS later. */
	return is_hugetlb(c) ? flags : flags | MAP_NORESERVE;
}

static int advise(const struct sk_gmem_region_config *c, void *hva, struct sk_error *err)
{
	int ret;

	/* Guest memory in a core dump would be huge and is the guest's secret. */
	(void)madvise(hva, c->size_bytes, MADV_DONTDUMP);
	if (c->pages == SK_GMEM_PAGES_AUTO)
		(void)madvise(hva, c->size_bytes, MADV_HUGEPAGE);
	if (c->pages == SK_GMEM_PAGES_TRANSPARENT && madvise(hva, c->size_bytes, MADV_HUGEPAGE)) {
		ret = -errno;
		return sk_error_set(err, -ENOTSUP, "this host has no transparent huge pages (%s)",
				    strerror(-ret));
	}
	/* A kernel without transparent huge pages refuses this advice, and needs none. */
	if (c->pages == SK_GMEM_PAGES_BASE)
		(void)madvise(hva, c->size_bytes, MADV_NOHUGEPAGE);
	return 0;
}

/*
 * Maps a region at an address that is the guest's modulo 2 MiB: only then can the host's page
 * tables and KVM's both map a huge page. Kernels before 6.7 do not see to it.
 */
static void *map_aligned(const struct sk_gmem_region_config *c, int fd, off_t offset_bytes)
{
	uint64_t room_bytes = c->size_bytes + HUGE_BYTES, before_bytes;
	uint8_t *room, *hva;

	if (is_hugetlb(c) || c->size_bytes < HUGE_BYTES)
		return mmap(NULL, c->size_bytes, PROT_READ | PROT_WRITE, map_flags(c), fd,
			    offset_bytes);
	room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (room == MAP_FAILED)
		return MAP_FAILED;
	before_bytes = (c->gpa - (uintptr_t)room) % HUGE_BYTES;
	hva = mmap(room + before_bytes, c->size_bytes, PROT_READ | PROT_WRITE,
		   map_flags(c) | MAP_FIXED, fd, offset_bytes);
	if (hva == MAP_FAILED) {
		int error = errno;

		munmap(room, room_bytes);
		errno = error;
		return MAP_FAILED;
	}
	if (before_bytes)
		munmap(room, before_bytes);
	munmap(hva + c->size_bytes, HUGE_BYTES - before_bytes);
	return hva;
}

static int map_region(struct region *region, const struct sk_gmem_region_config *c,
		      bool has_dirty_log, struct sk_error *err)
{
	void *hva;
	int ret;

	if (c->backing != SK_GMEM_ANON) {
		ret = is_file(c) ? open_file(c, err) : open_memfd(c, err);
		if (ret < 0)
			return ret;
		region->fd = ret;
	}
	hva = map_aligned(c, region->fd, is_file(c) ? (off_t)c->file_offset_bytes : 0);
	if (hva == MAP_FAILED)
		return map_error(c, -errno, err);
	region->pub = (struct sk_gmem_region){
		.gpa = c->gpa,
		.size_bytes = c->size_bytes,
		.hva = hva,
		.fd = c->backing == SK_GMEM_FILE_PRIVATE ? -1 : region->fd,
		.fd_offset_bytes = is_file(c) ? c->file_offset_bytes : 0,
	};
	region->backing = c->backing;
	region->page_bytes = page_bytes(c->pages);
	ret = advise(c, hva, err);
	if (ret)
		return ret;
	if (has_dirty_log) {
		region->dirty = calloc(sk_bits_words(c->size_bytes / SK_GMEM_PAGE_BYTES), 8);
		if (!region->dirty)
			return sk_error_set(err, -ENOMEM, "no memory for the dirty bitmap");
	}
	return 0;
}

/* By address. Few, and mostly in order: qsort() would ask the kernel for the machine's memory
 * first. */
static void sort_regions(struct region *regions, size_t nr_regions)
{
	for (size_t i = 1; i < nr_regions; i++) {
		const struct region region = regions[i];
		size_t at = i;

		for (; at && regions[at - 1].pub.gpa > region.pub.gpa; at--)
			regions[at] = regions[at - 1];
		regions[at] = region;
	}
}

int sk_gmem_create(struct sk_gmem **out, const struct sk_gmem_config *config, struct sk_error *err)
{
	struct sk_gmem *gm;
	int ret = check_config(config, err);

	if (ret)
		return ret;
	gm = calloc(1, sizeof(*gm) + config->nr_regions * sizeof(gm->regions[0]));
	if (!gm)
		return sk_error_set(err, -ENOMEM, "no memory for the list of memory regions");
	gm->has_dirty_log = config->has_dirty_log;
	for (size_t i = 0; i < config->nr_regions; i++) {
		struct region *region = &gm->regions[gm->nr_regions++];

		region->fd = -1;
		ret = map_region(region, &config->regions[i], config->has_dirty_log, err);
		if (ret)
			goto err_destroy;
		gm->size_bytes += config->regions[i].size_bytes;
	}
	sort_regions(gm->regions, gm->nr_regions);
	*out = gm;
	return 0;

err_destroy:
	sk_gmem_destroy(gm);
	return ret;
}

void sk_gmem_destroy(struct sk_gmem *gm)
{
	if (!gm)
		return;
	for (size_t i = gm->nr_regions; i-- > 0;) {
		struct region *region = &gm->regions[i];

		free(region->dirty);
		if (region->pub.hva)
			munmap(region->pub.hva, region->pub.size_bytes);
		sk_close(&region->fd);
	}
	free(gm);
}

size_t sk_gmem_nr_regions(const struct sk_gmem *gm)
{
	return gm->nr_regions;
}

const struct sk_gmem_region *sk_gmem_region_at(const struct sk_gmem *gm, size_t index)
{
	BUG_ON(index >= gm->nr_regions);
	return &gm->regions[index].pub;
}

uint64_t sk_gmem_size_bytes(const struct sk_gmem *gm)
{
	return gm->size_bytes;
}
