/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Guest-physical memory: RAM regions at guest-physical addresses (gpa), backed by anonymous
 * memory, a memfd or a file, and the only way from a gpa to a host address: always with a length,
 * bounds-checked, RAM only.
 *
 * Threading class: the set of regions is immutable after create; every access is safe from any
 * thread (the bytes themselves are shared with the guest, which may change them at any time: copy
 * once, check the copy). The dirty bitmap is updated and harvested with atomic operations.
 *
 * The x86 layout that sk_gmem_layout_x86() gives, with the hole where devices live:
 *
 *   0 ............. RAM up to SK_GMEM_X86_HOLE_START (3 GiB)
 *   3 GiB ......... hole: PCI windows, IOAPIC (0xfec00000), local APIC (0xfee00000)
 *   4 GiB ......... the rest of the RAM
 */
#ifndef SKETE_GMEM_H
#define SKETE_GMEM_H

#include <sys/uio.h>

#include <skete/base.h>

typedef uint64_t gpa_t;

#define SK_GMEM_X86_HOLE_START (3 * SK_GIB)
#define SK_GMEM_X86_HOLE_END   (4 * SK_GIB)
#define SK_GMEM_PAGE_BYTES     UINT64_C(4096) /* the unit of the dirty bitmap */
#define SK_GMEM_MAX_REGIONS    64

enum sk_gmem_backing {
	SK_GMEM_ANON,	      /* private anonymous memory */
	SK_GMEM_MEMFD,	      /* memfd_create(2): can be shared with another process */
	SK_GMEM_FILE_PRIVATE, /* a file's content, copy on write: the file never changes */
	SK_GMEM_FILE_SHARED,  /* a file's content, written back */
};

enum sk_gmem_pages {
	SK_GMEM_PAGES_AUTO,	   /* transparent huge pages if the host's kernel has them */
	SK_GMEM_PAGES_BASE,	   /* 4 KiB; transparent huge pages are advised against */
	SK_GMEM_PAGES_TRANSPARENT, /* madvise(MADV_HUGEPAGE); an error if the kernel has none */
	SK_GMEM_PAGES_2M,	   /* hugetlb, reserved at create; an error if the host has none */
	SK_GMEM_PAGES_1G,
};

struct sk_gmem_region_config {
	gpa_t gpa;	     /* a multiple of the page size */
	uint64_t size_bytes; /* likewise, not 0 */
	enum sk_gmem_backing backing;
	enum sk_gmem_pages pages;   /* huge hugetlb pages: SK_GMEM_ANON and SK_GMEM_MEMFD only */
	const char *path;	    /* the two file backings; borrowed for the call */
	uint64_t file_offset_bytes; /* the two file backings; a multiple of 4 KiB */
};

struct sk_gmem_config {
	const struct sk_gmem_region_config *regions; /* in any order; they may not overlap */
	size_t nr_regions;
	bool has_dirty_log; /* keep a dirty bitmap of writes through this brick, enabled at create
			     */
};

/* One region as it is mapped. @fd is -1 unless the memory can be mapped by someone else. */
struct sk_gmem_region {
	gpa_t gpa;
	uint64_t size_bytes;
	void *hva;
	int fd; /* borrowed: valid until destroy */
	uint64_t fd_offset_bytes;
};

/* A piece of guest memory as a guest names it: not yet checked. */
struct sk_gmem_range {
	gpa_t gpa;
	uint64_t len_bytes;
};

struct sk_gmem;

/*
 * Splits @size_bytes of RAM around the hole into one or two entries of @regions (room for 2; only
 * gpa and size_bytes are set, the rest is copied from @model, which may be NULL for zeroes).
 * Returns the number of entries, or -EINVAL if @size_bytes is 0 or not a multiple of 4 KiB.
 */
int sk_gmem_layout_x86(uint64_t size_bytes, const struct sk_gmem_region_config *model,
		       struct sk_gmem_region_config regions[2]) SK_MUST_CHECK;

/*
 * Maps the regions. On success *@out belongs to the caller, who ends it with destroy after every
 * user (KVM slots, devices) is gone. Nothing is touched, so nothing is resident yet (hugetlb pages
 * are reserved). Errors: -EINVAL (overlap, alignment, wrap, too many), -ENOMEM, -ENOENT ... of
 * the file, -ENODATA (the file is shorter than the region), -ENOTSUP (huge pages of a kind that
 * the host does not have).
 */
int sk_gmem_create(struct sk_gmem **out, const struct sk_gmem_config *config,
		   struct sk_error *err) SK_MUST_CHECK;
void sk_gmem_destroy(struct sk_gmem *gm);

/* Regions in ascending order of gpa; @index < sk_gmem_nr_regions(). */
size_t sk_gmem_nr_regions(const struct sk_gmem *gm);
const struct sk_gmem_region *sk_gmem_region_at(const struct sk_gmem *gm, size_t index);
/* The sum of all regions. */
uint64_t sk_gmem_size_bytes(const struct sk_gmem *gm);

/* True if every byte of the range is RAM; the range may span adjacent regions. */
bool sk_gmem_is_ram(const struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes);

/*
 * Copies between guest memory and @buf; the range may span adjacent regions. All or nothing:
 * -EFAULT if any byte is not RAM, and then nothing was copied. write and fill mark pages dirty.
 */
int sk_gmem_read(const struct sk_gmem *gm, gpa_t gpa, void *buf, size_t len_bytes) SK_MUST_CHECK;
int sk_gmem_write(struct sk_gmem *gm, gpa_t gpa, const void *buf, size_t len_bytes) SK_MUST_CHECK;
int sk_gmem_fill(struct sk_gmem *gm, gpa_t gpa, uint8_t value, uint64_t len_bytes) SK_MUST_CHECK;

/*
 * The host address of a range that lies within one region, or NULL. It stays valid until destroy.
 * Who writes through it says so with sk_gmem_mark_dirty().
 */
void *sk_gmem_slice(const struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes);

/*
 * Gives the pages that lie wholly in the range back to the host (of huge hugetlb pages: whole huge
 * pages). What they hold is lost: afterwards it is zeroes, or for the two file backings what the
 * file says. They are marked dirty, and may be used again at any time. -EFAULT if a byte is not
 * RAM, and then nothing happened; otherwise what the kernel said.
 */
int sk_gmem_discard(struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes) SK_MUST_CHECK;

/*
 * Scatter-gather: translates @nr_ranges guest ranges to at most @max_iov vectors, splitting what
 * spans regions and skipping empty ranges. Returns the number of vectors, -EFAULT if a byte is not
 * RAM, or -E2BIG if they do not fit. Dirty marking is the caller's, as for a slice.
 */
int sk_gmem_to_iov(const struct sk_gmem *gm, const struct sk_gmem_range *ranges, size_t nr_ranges,
		   struct iovec *iov, size_t max_iov) SK_MUST_CHECK;

/*
 * Atomic access to naturally aligned little-endian fields of rings. load acquires, store releases;
 * the partner is the guest's driver (virtio 1.2, 2.7.13). -EFAULT: not RAM; -EINVAL: unaligned.
 */
int sk_gmem_load_u16(const struct sk_gmem *gm, gpa_t gpa, uint16_t *value) SK_MUST_CHECK;
int sk_gmem_load_u32(const struct sk_gmem *gm, gpa_t gpa, uint32_t *value) SK_MUST_CHECK;
int sk_gmem_load_u64(const struct sk_gmem *gm, gpa_t gpa, uint64_t *value) SK_MUST_CHECK;
int sk_gmem_store_u16(struct sk_gmem *gm, gpa_t gpa, uint16_t value) SK_MUST_CHECK;
int sk_gmem_store_u32(struct sk_gmem *gm, gpa_t gpa, uint32_t value) SK_MUST_CHECK;
int sk_gmem_store_u64(struct sk_gmem *gm, gpa_t gpa, uint64_t value) SK_MUST_CHECK;

/*
 * The dirty bitmap: one bit per 4 KiB page, per region, of what this brick (or a caller through
 * mark_dirty) wrote; the guest's own writes are in KVM's log. Without has_dirty_log marking does
 * nothing and harvest returns -ENOTSUP. harvest moves the bits of region @index into @bitmap
 * (sk_bits_words(size / 4 KiB) words, or it is -EINVAL) by OR, and clears them.
 */
void sk_gmem_mark_dirty(struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes);
/* The same for what a slice or a vector leads to: @hva and all @len_bytes lie in one region. */
void sk_gmem_mark_dirty_hva(struct sk_gmem *gm, const void *hva, uint64_t len_bytes);
bool sk_gmem_has_dirty_log(const struct sk_gmem *gm);
int sk_gmem_harvest_dirty(struct sk_gmem *gm, size_t index, uint64_t *bitmap,
			  size_t nr_words) SK_MUST_CHECK;

#endif
