/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A whole ring as hostile bytes, split or packed: memory is filled with the input, again and again
 * changed by it, and the device's side goes on as long as there are bytes.
 */
#include <skete/vring.h>

#define RAM_BYTES  16384u
#define MAX_CHAINS 64
#define MAX_IOV	   32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	struct sk_gmem *gm;
	uint8_t *ram;
	struct sk_vring *ring;
	struct sk_vring_chain chains[MAX_CHAINS];
	struct iovec iov[MAX_CHAINS][MAX_IOV];
	uint32_t nr_chains;
	bool can_unpop;
};

/* Guest memory, for every input the same. */
static struct sk_gmem *memory(void)
{
	static struct sk_gmem *gm;
	const struct sk_gmem_region_config regions[] = {
		{.gpa = 0, .size_bytes = RAM_BYTES / 2},
		{.gpa = RAM_BYTES / 2, .size_bytes = RAM_BYTES / 2},
	};
	const struct sk_gmem_config config = {
		.regions = regions, .nr_regions = 2, .has_dirty_log = true};

	if (!gm)
		BUG_ON(sk_gmem_create(&gm, &config, NULL));
	return gm;
}

static void check_chain(const struct rig *rig, const struct sk_vring_chain *chain)
{
	uint64_t bytes = 0;

	BUG_ON(chain->nr_readable + chain->nr_writable > MAX_IOV);
	for (uint32_t i = 0; i < chain->nr_readable + chain->nr_writable; i++) {
		bool is_inside = false;

		for (size_t j = 0; j < sk_gmem_nr_regions(rig->gm); j++) {
			const struct sk_gmem_region *region = sk_gmem_region_at(rig->gm, j);
			uintptr_t offset =
				(uintptr_t)chain->iov[i].iov_base - (uintptr_t)region->hva;

			is_inside |=
				sk_range_fits(offset, chain->iov[i].iov_len, region->size_bytes);
		}
		BUG_ON(!is_inside || !chain->iov[i].iov_len);
		bytes += chain->iov[i].iov_len;
	}
	BUG_ON(bytes != (uint64_t)chain->readable_bytes + chain->writable_bytes);
}

static void pop(struct rig *rig, uint8_t max_iov)
{
	struct sk_vring_chain *chain = &rig->chains[rig->nr_chains];
	bool has_work;
	int ret;

	if (rig->nr_chains == MAX_CHAINS)
		return;
	has_work = sk_vring_has_work(rig->ring);
	ret = sk_vring_pop(rig->ring, chain, rig->iov[rig->nr_chains], 1 + max_iov % MAX_IOV);
	BUG_ON(has_work != (ret != 0) && !sk_vring_is_broken(rig->ring));
	BUG_ON((ret < 0) != sk_vring_is_broken(rig->ring));
	if (ret != 1)
		return;
	check_chain(rig, chain);
	rig->nr_chains++;
	rig->can_unpop = true;
	BUG_ON(sk_vring_in_flight(rig->ring) != rig->nr_chains);
	BUG_ON(sk_vring_in_flight(rig->ring) > sk_vring_size(rig->ring));
}

static void push(struct rig *rig, uint32_t which, uint32_t written)
{
	uint32_t i;

	if (!rig->nr_chains)
		return;
	i = which % rig->nr_chains;
	sk_vring_push(rig->ring, &rig->chains[i], written);
	rig->nr_chains--;
	memcpy(rig->iov[i], rig->iov[rig->nr_chains], sizeof(rig->iov[i]));
	rig->chains[i] = rig->chains[rig->nr_chains];
	rig->chains[i].iov = rig->iov[i];
	rig->can_unpop = false;
}

static void save_and_restore(struct rig *rig)
{
	uint8_t first[16], second[16];
	struct sk_writer a, b;
	struct sk_reader r;

	if (rig->nr_chains)
		return;
	(void)!sk_vring_flush(rig->ring);
	sk_writer_init(&a, first, sizeof(first));
	sk_vring_save(rig->ring, &a);
	sk_reader_init(&r, first, a.len_bytes);
	/* One that is broken may have lost chains: then it does not go on. */
	if (sk_vring_is_broken(rig->ring))
		return;
	BUG_ON(sk_vring_restore(rig->ring, &r));
	sk_writer_init(&b, second, sizeof(second));
	sk_vring_save(rig->ring, &b);
	BUG_ON(a.len_bytes != b.len_bytes || memcmp(first, second, a.len_bytes));
}

static void step(struct rig *rig, struct sk_reader *in)
{
	uint8_t op = sk_get_u8(in), arg = sk_get_u8(in);

	switch (op % 8) {
	case 0:
	case 1:
		pop(rig, arg);
		break;
	case 2:
		push(rig, arg, arg * 77u);
		break;
	case 3:
		(void)!sk_vring_flush(rig->ring);
		break;
	case 4:
		if (rig->can_unpop) {
			sk_vring_unpop(rig->ring, &rig->chains[--rig->nr_chains]);
			rig->can_unpop = false;
		}
		break;
	case 5:
		if (arg % 4 == 0)
			sk_vring_disable_doorbell(rig->ring);
		else if (arg % 4 == 1)
			(void)!sk_vring_enable_doorbell(rig->ring);
		else if (arg % 8 == 2)
			sk_vring_hold_doorbell(rig->ring);
		else if (arg % 8 == 6)
			(void)!sk_vring_release_doorbell(rig->ring);
		else
			save_and_restore(rig);
		break;
	default:
		/* The guest writes while the device works. */
		sk_get_bytes(in, rig->ram + sk_get_u16(in) % (RAM_BYTES / 2 - 255), arg);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig *rig;
	struct sk_vring_config config = {.gm = memory()};
	struct sk_reader in;
	uint8_t bits;

	sk_reader_init(&in, data, size);
	bits = sk_get_u8(&in);
	config.size = sk_get_u8(&in) % 64 + 1;
	config.is_packed = bits & 1;
	config.has_event_idx = bits & 2;
	config.has_indirect = bits & 4;
	config.is_in_order = bits & 8;
	while (!config.is_packed && (config.size & (config.size - 1)))
		config.size--;
	config.desc_gpa = 0;
	config.driver_gpa = 0x400;
	config.device_gpa = 0x500;
	rig = calloc(1, sizeof(*rig));
	BUG_ON(!rig);
	rig->gm = config.gm;
	rig->ram = sk_gmem_slice(rig->gm, 0, RAM_BYTES / 2);
	BUG_ON(!rig->ram || sk_gmem_fill(rig->gm, 0, 0, RAM_BYTES));
	sk_get_bytes(&in, rig->ram, SK_MIN(size / 2, RAM_BYTES / 2));
	BUG_ON(sk_vring_create(&rig->ring, &config));
	while (sk_reader_ok(&in) && in.pos_bytes < size)
		step(rig, &in);
	sk_vring_destroy(rig->ring);
	free(rig);
	return 0;
}
