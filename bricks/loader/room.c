/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Which guest memory is taken, and by what. Everything that is written goes through a claim, so
 * that nothing ever overlaps, whatever a file says.
 */
#include "loader_internal.h"

#include <inttypes.h>
#include <stdio.h>

struct loader_size_text sk_loader_size_text(uint64_t size_bytes)
{
	struct loader_size_text t;

	if (size_bytes >= SK_MIB)
		snprintf(t.text, sizeof(t.text), "%" PRIu64 " MiB", size_bytes / SK_MIB);
	else
		snprintf(t.text, sizeof(t.text), "%" PRIu64 " KiB", size_bytes / SK_KIB);
	return t;
}

static void add_claim(struct loading *l, gpa_t gpa, uint64_t len_bytes, const char *what)
{
	BUG_ON(l->nr_claims == LOADER_MAX_CLAIMS);
	l->claims[l->nr_claims++] =
		(struct claim){.gpa = gpa, .len_bytes = len_bytes, .what = what};
}

int sk_loader_room_init(struct loading *l)
{
	const struct sk_loader_config *config = l->config;
	size_t i;

	if (!sk_gmem_nr_regions(l->gm))
		return sk_error_set(l->err, -EINVAL, "the guest has no memory");
	if (config->nr_reserved > SK_LOADER_MAX_RESERVED)
		return sk_error_set(l->err, -EINVAL, "%zu reserved ranges; the loader takes %d",
				    config->nr_reserved, SK_LOADER_MAX_RESERVED);
	add_claim(l, 0, SK_LOADER_GDT_GPA, "the real-mode vectors");
	add_claim(l, SK_LOADER_EBDA_GPA, SK_LOADER_HIGH_GPA - SK_LOADER_EBDA_GPA,
		  "the BIOS area below 1 MiB");
	for (i = 0; i < config->nr_reserved; i++) {
		const struct sk_loader_reserved *r = &config->reserved[i];

		if (!r->len_bytes || !sk_range_fits(r->gpa, r->len_bytes, UINT64_MAX) ||
		    r->type < SK_LOADER_MEMORY_RESERVED || r->type > SK_LOADER_MEMORY_NVS)
			return sk_error_set(l->err, -EINVAL,
					    "reserved range %zu (0x%" PRIx64 ", 0x%" PRIx64
					    " bytes, type %d) is empty, wraps or has no such type",
					    i, r->gpa, r->len_bytes, (int)r->type);
		add_claim(l, r->gpa, r->len_bytes, "a range reserved for the platform");
	}
	return 0;
}

static const struct claim *find_claim(const struct loading *l, gpa_t gpa, uint64_t len_bytes)
{
	size_t i;

	for (i = 0; i < l->nr_claims; i++) {
		if (sk_ranges_overlap(l->claims[i].gpa, l->claims[i].len_bytes, gpa, len_bytes))
			return &l->claims[i];
	}
	return NULL;
}

static gpa_t ram_end(const struct sk_gmem *gm)
{
	const struct sk_gmem_region *last = sk_gmem_region_at(gm, sk_gmem_nr_regions(gm) - 1);

	return last->gpa + last->size_bytes;
}

int sk_loader_claim(struct loading *l, gpa_t gpa, uint64_t len_bytes, const char *what)
{
	struct sk_loader_entry *entry = &l->entry;
	const struct claim *other;
	gpa_t end;

	if (__builtin_add_overflow(gpa, len_bytes, &end))
		return sk_error_set(l->err, -ENOEXEC,
				    "%s at 0x%" PRIx64 " is 0x%" PRIx64
				    " bytes long and wraps around",
				    what, gpa, len_bytes);
	if (end > ram_end(l->gm))
		return sk_error_set(l->err, -ENOMEM,
				    "%s ends at 0x%" PRIx64 ", beyond the guest's RAM (%s)", what,
				    end, sk_loader_size_text(sk_gmem_size_bytes(l->gm)).text);
	if (!sk_gmem_is_ram(l->gm, gpa, len_bytes))
		return sk_error_set(
			l->err, -ENOMEM,
			"%s at 0x%" PRIx64 "-0x%" PRIx64 " is not wholly in the guest's RAM (%s)",
			what, gpa, end, sk_loader_size_text(sk_gmem_size_bytes(l->gm)).text);
	other = find_claim(l, gpa, len_bytes);
	if (other)
		return sk_error_set(
			l->err, -ENOMEM,
			"%s at 0x%" PRIx64 "-0x%" PRIx64 " overlaps %s at 0x%" PRIx64 "-0x%" PRIx64,
			what, gpa, end, other->what, other->gpa, other->gpa + other->len_bytes);
	add_claim(l, gpa, len_bytes, what);
	entry->lowest_gpa = entry->highest_gpa ? SK_MIN(entry->lowest_gpa, gpa) : gpa;
	entry->highest_gpa = SK_MAX(entry->highest_gpa, end);
	return 0;
}

/* The end of the stretch of adjacent regions that region *@index starts; leaves its last index. */
static gpa_t stretch_end(const struct sk_gmem *gm, size_t *index)
{
	const struct sk_gmem_region *region = sk_gmem_region_at(gm, *index);
	gpa_t end = region->gpa + region->size_bytes;

	while (*index + 1 < sk_gmem_nr_regions(gm)) {
		region = sk_gmem_region_at(gm, *index + 1);
		if (region->gpa != end)
			break;
		end += region->size_bytes;
		(*index)++;
	}
	return end;
}

/* Each step goes below or above one more claim, so there are at most nr_claims + 1 steps. */
static bool highest_in(const struct loading *l, uint64_t len_bytes, uint64_t align, gpa_t start,
		       gpa_t end, gpa_t *gpa)
{
	const struct claim *claim;
	gpa_t at;

	while (end >= len_bytes) {
		at = sk_align_down(end - len_bytes, align);
		if (at < start)
			return false;
		claim = find_claim(l, at, len_bytes);
		if (!claim) {
			*gpa = at;
			return true;
		}
		end = claim->gpa;
	}
	return false;
}

static bool lowest_in(const struct loading *l, uint64_t len_bytes, uint64_t align, gpa_t start,
		      gpa_t end, gpa_t *gpa)
{
	const struct claim *claim;
	gpa_t at;

	while (sk_align_up(start, align, &at) && sk_range_fits(at, len_bytes, end)) {
		claim = find_claim(l, at, len_bytes);
		if (!claim) {
			*gpa = at;
			return true;
		}
		start = claim->gpa + claim->len_bytes;
	}
	return false;
}

bool sk_loader_find_highest(const struct loading *l, uint64_t len_bytes, uint64_t align,
			    gpa_t floor, gpa_t limit, gpa_t *gpa)
{
	gpa_t start, end;
	bool is_found = false;
	size_t i;

	for (i = 0; i < sk_gmem_nr_regions(l->gm); i++) {
		start = SK_MAX(sk_gmem_region_at(l->gm, i)->gpa, floor);
		end = SK_MIN(stretch_end(l->gm, &i), limit);
		is_found |= highest_in(l, len_bytes, align, start, end, gpa);
	}
	return is_found;
}

bool sk_loader_find_lowest(const struct loading *l, uint64_t len_bytes, uint64_t align, gpa_t floor,
			   gpa_t limit, gpa_t *gpa)
{
	gpa_t start, end;
	size_t i;

	for (i = 0; i < sk_gmem_nr_regions(l->gm); i++) {
		start = SK_MAX(sk_gmem_region_at(l->gm, i)->gpa, floor);
		end = SK_MIN(stretch_end(l->gm, &i), limit);
		if (lowest_in(l, len_bytes, align, start, end, gpa))
			return true;
	}
	return false;
}

void sk_loader_put(struct loading *l, gpa_t gpa, const void *buf, size_t len_bytes)
{
	int rc = sk_gmem_write(l->gm, gpa, buf, len_bytes);

	BUG_ON(rc); /* it was claimed */
}

void sk_loader_put_zeroes(struct loading *l, gpa_t gpa, uint64_t len_bytes)
{
	int rc;

	if (l->config->is_fresh || !len_bytes)
		return;
	rc = sk_gmem_fill(l->gm, gpa, 0, len_bytes);
	BUG_ON(rc); /* it was claimed */
}

int sk_loader_put_string(struct loading *l, const char *what, const char *string, size_t max_bytes,
			 gpa_t *gpa)
{
	const size_t len_bytes = strlen(string);

	max_bytes = SK_MIN(max_bytes, LOADER_MAX_STRING);
	if (len_bytes > max_bytes)
		return sk_loader_image_error(l->kernel, l->err, -E2BIG,
					     "%s has %zu bytes; this kernel takes at most %zu",
					     what, len_bytes, max_bytes);
	BUG_ON(l->strings_used_bytes + len_bytes + 1 > SK_LOADER_STRINGS_BYTES);
	*gpa = SK_LOADER_STRINGS_GPA + l->strings_used_bytes;
	sk_loader_put(l, *gpa, string, len_bytes + 1);
	l->strings_used_bytes += len_bytes + 1;
	return 0;
}
