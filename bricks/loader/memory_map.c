/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The memory map that every protocol hands to the guest, each in its own form. The ends of all
 * ranges cut the address space into pieces; what covers a piece decides its type: the caller's
 * reserved ranges first (the earlier one wins), then the platform's, then RAM.
 */
#include "loader_internal.h"

#define TYPE_NONE 0

struct layer {
	gpa_t gpa;
	gpa_t end;
	int type;
};

#define MAX_LAYERS (SK_LOADER_MAX_RESERVED + 3 + SK_GMEM_MAX_REGIONS)

static const struct layer platform[] = {
	{SK_LOADER_EBDA_GPA, SK_LOADER_VGA_GPA, SK_LOADER_MEMORY_RESERVED},
	{SK_LOADER_VGA_GPA, SK_LOADER_BIOS_GPA, TYPE_NONE},
	{SK_LOADER_BIOS_GPA, SK_LOADER_HIGH_GPA, SK_LOADER_MEMORY_RESERVED},
};

/* A handful: qsort() would ask the kernel for the machine's memory first. */
static void sort(gpa_t *cuts, size_t nr_cuts)
{
	for (size_t i = 1; i < nr_cuts; i++) {
		const gpa_t cut = cuts[i];
		size_t at = i;

		for (; at && cuts[at - 1] > cut; at--)
			cuts[at] = cuts[at - 1];
		cuts[at] = cut;
	}
}

static size_t collect(const struct sk_gmem *gm, const struct sk_loader_config *config,
		      struct layer *layers)
{
	size_t n = 0, i;

	for (i = 0; i < config->nr_reserved; i++) {
		const struct sk_loader_reserved *r = &config->reserved[i];

		layers[n++] = (struct layer){r->gpa, r->gpa + r->len_bytes, (int)r->type};
	}
	for (i = 0; i < SK_ARRAY_SIZE(platform); i++)
		layers[n++] = platform[i];
	for (i = 0; i < sk_gmem_nr_regions(gm); i++) {
		const struct sk_gmem_region *r = sk_gmem_region_at(gm, i);

		layers[n++] = (struct layer){r->gpa, r->gpa + r->size_bytes, SK_LOADER_MEMORY_RAM};
	}
	return n;
}

static int type_at(const struct layer *layers, size_t nr_layers, gpa_t gpa)
{
	size_t i;

	for (i = 0; i < nr_layers; i++) {
		if (gpa >= layers[i].gpa && gpa < layers[i].end)
			return layers[i].type;
	}
	return TYPE_NONE;
}

static bool append(struct memory_map *map, gpa_t gpa, gpa_t end, enum sk_loader_memory type)
{
	if (map->nr_entries) {
		const size_t last = map->nr_entries - 1;

		if (map->entries[last].type == type &&
		    map->entries[last].gpa + map->entries[last].len_bytes == gpa) {
			map->entries[last].len_bytes += end - gpa;
			return true;
		}
	}
	if (map->nr_entries == SK_ARRAY_SIZE(map->entries))
		return false;
	map->entries[map->nr_entries].gpa = gpa;
	map->entries[map->nr_entries].len_bytes = end - gpa;
	map->entries[map->nr_entries++].type = type;
	return true;
}

int sk_loader_memory_map(const struct sk_gmem *gm, const struct sk_loader_config *config,
			 struct memory_map *map, struct sk_error *err)
{
	struct layer layers[MAX_LAYERS];
	gpa_t cuts[2 * MAX_LAYERS];
	size_t nr_layers = collect(gm, config, layers), i;
	int type;

	for (i = 0; i < nr_layers; i++) {
		cuts[2 * i] = layers[i].gpa;
		cuts[2 * i + 1] = layers[i].end;
	}
	sort(cuts, 2 * nr_layers);

	map->nr_entries = 0;
	for (i = 0; i + 1 < 2 * nr_layers; i++) {
		type = type_at(layers, nr_layers, cuts[i]);
		if (cuts[i] == cuts[i + 1] || type == TYPE_NONE)
			continue;
		if (!append(map, cuts[i], cuts[i + 1], (enum sk_loader_memory)type))
			return sk_error_set(err, -EINVAL,
					    "the guest's memory map has more than %d entries: use "
					    "fewer memory regions",
					    LOADER_MAX_MAP_ENTRIES);
	}
	return 0;
}
