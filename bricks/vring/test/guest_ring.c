/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Both formats from the driver's side: virtio 1.2, 2.7.13, 2.7.14, 2.8.21, 2.8.22. */
#include "guest_ring.h"

#define DESC_BYTES 16
#define F_AVAIL	   (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED	   (1u << VRING_PACKED_DESC_F_USED)
#define WRAP_BIT   (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define PAGE	   UINT64_C(4096)

struct guest_ring_slot {
	uint64_t token;
	uint16_t nr;	    /* descriptors of the ring that the chain takes */
	uint32_t max_bytes; /* that the device may write */
	uint16_t next;	    /* split: the id of the next descriptor, also of those in between */
	bool is_busy;
};

static uint64_t pages(uint64_t len_bytes)
{
	return (len_bytes + PAGE - 1) & ~(PAGE - 1);
}

static uint64_t driver_bytes(const struct guest_ring_config *c)
{
	return pages(c->is_packed ? 4 : 6 + 2 * (uint64_t)c->size);
}

static uint64_t device_bytes(const struct guest_ring_config *c)
{
	return pages(c->is_packed ? 4 : 6 + 8 * (uint64_t)c->size);
}

uint64_t guest_ring_bytes(const struct guest_ring_config *c)
{
	return pages((uint64_t)c->size * DESC_BYTES) + driver_bytes(c) + device_bytes(c) +
	       pages((uint64_t)c->size * c->max_indirect * DESC_BYTES);
}

static uint8_t *at(const struct guest_ring *g, gpa_t gpa, uint64_t len_bytes)
{
	uint8_t *hva = sk_gmem_slice(g->config.gm, gpa, len_bytes);

	BUG_ON(!hva);
	return hva;
}

static void *allocate(size_t nr, size_t size_bytes)
{
	void *p = calloc(nr, size_bytes);

	BUG_ON(!p);
	return p;
}

void guest_ring_init(struct guest_ring *g, const struct guest_ring_config *c)
{
	*g = (struct guest_ring){.config = *c, .desc_gpa = c->gpa};
	BUG_ON(sk_gmem_fill(c->gm, c->gpa, 0, guest_ring_bytes(c)));
	g->driver_gpa = g->desc_gpa + pages((uint64_t)c->size * DESC_BYTES);
	g->device_gpa = g->driver_gpa + driver_bytes(c);
	g->tables_gpa = g->device_gpa + device_bytes(c);
	g->desc = at(g, g->desc_gpa, (uint64_t)c->size * DESC_BYTES);
	g->driver = at(g, g->driver_gpa, c->is_packed ? 4 : 6 + 2 * (uint64_t)c->size);
	g->device = at(g, g->device_gpa, c->is_packed ? 4 : 6 + 8 * (uint64_t)c->size);
	g->free_ids = allocate(c->size, sizeof(*g->free_ids));
	g->order = allocate(c->size, sizeof(*g->order));
	g->slots = allocate(c->size, sizeof(*g->slots));
	for (uint32_t i = 0; i < c->size; i++)
		g->free_ids[i] = (uint16_t)i;
	g->nr_free = g->nr_free_ids = c->size;
	g->avail_wrap = g->used_wrap = true;
}

void guest_ring_fini(struct guest_ring *g)
{
	free(g->free_ids);
	free(g->order);
	free(g->slots);
	*g = (struct guest_ring){0};
}

struct sk_vring_config guest_ring_vring_config(const struct guest_ring *g)
{
	return (struct sk_vring_config){
		.gm = g->config.gm,
		.size = g->config.size,
		.is_packed = g->config.is_packed,
		.has_event_idx = g->config.has_event_idx,
		.has_indirect = g->config.max_indirect > 0,
		.is_in_order = g->config.is_in_order,
		.desc_gpa = g->desc_gpa,
		.driver_gpa = g->driver_gpa,
		.device_gpa = g->device_gpa,
	};
}

static uint16_t load_16(const uint8_t *p)
{
	return SK_LE16(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_SEQ_CST));
}

static void store_16(uint8_t *p, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)p, SK_LE16(value), __ATOMIC_SEQ_CST);
}

static uint32_t load_32(const uint8_t *p)
{
	return SK_LE32(__atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_SEQ_CST));
}

static void store_32(uint8_t *p, uint32_t value)
{
	__atomic_store_n((uint32_t *)(void *)p, SK_LE32(value), __ATOMIC_SEQ_CST);
}

/* Everything but the flags of a packed descriptor, which make it available. */
static void put_desc(uint8_t *p, uint64_t addr, uint32_t len, uint16_t third)
{
	sk_store_le64(p, addr);
	sk_store_le32(p + 8, len);
	sk_store_le16(p + 12, third);
}

static uint16_t take_id(struct guest_ring *g)
{
	uint16_t id = g->free_ids[g->free_head];

	BUG_ON(!g->nr_free_ids);
	g->free_head = (g->free_head + 1) % g->config.size;
	g->nr_free_ids--;
	return id;
}

static void give_id(struct guest_ring *g, uint16_t id)
{
	g->free_ids[(g->free_head + g->nr_free_ids) % g->config.size] = id;
	g->nr_free_ids++;
}

static uint16_t buf_flags(const struct guest_buf *buf, bool has_next)
{
	return (uint16_t)((buf->is_writable ? VRING_DESC_F_WRITE : 0) |
			  (has_next ? VRING_DESC_F_NEXT : 0));
}

/* The table of chain @id; returns where it is. */
static gpa_t write_table(struct guest_ring *g, uint16_t id, const struct guest_buf *bufs,
			 uint32_t nr)
{
	gpa_t table = g->tables_gpa + (gpa_t)id * g->config.max_indirect * DESC_BYTES;

	BUG_ON(nr > g->config.max_indirect);
	for (uint32_t i = 0; i < nr; i++) {
		bool has_next = !g->config.is_packed && i + 1 < nr;

		guest_ring_write_desc(g, table, i, bufs[i].gpa, bufs[i].len_bytes,
				      buf_flags(&bufs[i], has_next), (uint16_t)(i + 1));
	}
	return table;
}

static void split_add(struct guest_ring *g, uint16_t head, const struct guest_buf *bufs,
		      uint32_t nr)
{
	uint16_t id = head;

	for (uint32_t i = 0; i < nr; i++) {
		bool has_next = i + 1 < nr;
		uint16_t next = has_next ? take_id(g) : 0;
		uint8_t *p = g->desc + (size_t)id * DESC_BYTES;

		put_desc(p, bufs[i].gpa, bufs[i].len_bytes, buf_flags(&bufs[i], has_next));
		sk_store_le16(p + 14, next);
		g->slots[id].next = next;
		id = next;
	}
}

static void split_add_indirect(struct guest_ring *g, uint16_t head, gpa_t table, uint32_t nr)
{
	uint8_t *p = g->desc + (size_t)head * DESC_BYTES;

	put_desc(p, table, nr * DESC_BYTES, VRING_DESC_F_INDIRECT);
	sk_store_le16(p + 14, 0);
}

static void packed_put(struct guest_ring *g, uint64_t addr, uint32_t len, uint16_t flags,
		       uint16_t id, bool is_first)
{
	uint8_t *p = g->desc + (size_t)g->next_avail * DESC_BYTES;

	put_desc(p, addr, len, id);
	flags |= g->avail_wrap ? F_AVAIL : F_USED;
	if (is_first) {
		g->first_slot = g->next_avail;
		g->first_flags = flags;
	} else {
		store_16(p + 14, flags);
	}
	if (++g->next_avail == g->config.size) {
		g->next_avail = 0;
		g->avail_wrap = !g->avail_wrap;
	}
}

/*
 * The flags of the first descriptor since the last publish are kept back; the device goes through
 * the ring in order, so the others are not available before it either.
 */
static void packed_add(struct guest_ring *g, uint16_t id, const struct guest_buf *bufs, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		packed_put(g, bufs[i].gpa, bufs[i].len_bytes, buf_flags(&bufs[i], i + 1 < nr), id,
			   i == 0 && !g->nr_added);
}

bool guest_ring_add(struct guest_ring *g, const struct guest_buf *bufs, uint32_t nr,
		    bool is_indirect, uint64_t token)
{
	uint32_t slots = is_indirect ? 1 : nr;
	uint32_t max_bytes = 0;
	uint16_t id;

	BUG_ON(!nr);
	if (slots > g->nr_free)
		return false;
	for (uint32_t i = 0; i < nr; i++)
		max_bytes += bufs[i].is_writable ? bufs[i].len_bytes : 0;
	id = take_id(g);
	g->slots[id] = (struct guest_ring_slot){
		.token = token, .nr = (uint16_t)slots, .max_bytes = max_bytes, .is_busy = true};
	g->nr_free -= slots;
	if (g->config.is_packed && is_indirect)
		packed_put(g, write_table(g, id, bufs, nr), nr * DESC_BYTES, VRING_DESC_F_INDIRECT,
			   id, !g->nr_added);
	else if (g->config.is_packed)
		packed_add(g, id, bufs, nr);
	else if (is_indirect)
		split_add_indirect(g, id, write_table(g, id, bufs, nr), nr);
	else
		split_add(g, id, bufs, nr);
	if (!g->config.is_packed)
		guest_ring_set_avail(g, (uint16_t)(g->next_avail + g->nr_added), id);
	g->order[g->order_tail] = id;
	g->order_tail = (g->order_tail + 1) % g->config.size;
	g->nr_added = (uint16_t)(g->nr_added + (g->config.is_packed ? slots : 1));
	return true;
}

static bool split_publish(struct guest_ring *g)
{
	uint16_t old = g->next_avail;

	g->next_avail = (uint16_t)(old + g->nr_added);
	guest_ring_set_avail_index(g, g->next_avail);
	if (!g->config.has_event_idx)
		return !(load_16(g->device) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(load_16(g->device + 4 + 8 * (size_t)g->config.size), g->next_avail,
				old);
}

static bool packed_publish(struct guest_ring *g)
{
	uint16_t old = (uint16_t)(g->next_avail - g->nr_added), offset;
	uint32_t event;

	store_16(g->desc + (size_t)g->first_slot * DESC_BYTES + 14, g->first_flags);
	event = load_32(g->device);
	if (event >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return event >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	offset = event & (WRAP_BIT - 1);
	if (!!(event & WRAP_BIT) != g->avail_wrap)
		offset = (uint16_t)(offset - g->config.size);
	return vring_need_event(offset, g->next_avail, old);
}

bool guest_ring_publish(struct guest_ring *g)
{
	bool wants_doorbell;

	if (!g->nr_added)
		return false;
	wants_doorbell = g->config.is_packed ? packed_publish(g) : split_publish(g);
	g->nr_added = 0;
	return wants_doorbell;
}

static bool has_used(const struct guest_ring *g)
{
	uint16_t flags;

	if (!g->config.is_packed)
		return load_16(g->device + 2) != g->next_used;
	flags = load_16(g->desc + (size_t)g->next_used * DESC_BYTES + 14);
	return !!(flags & F_AVAIL) == g->used_wrap && !!(flags & F_USED) == g->used_wrap;
}

static void free_chain(struct guest_ring *g, uint16_t id)
{
	struct guest_ring_slot *slot = &g->slots[id];

	g->nr_free += slot->nr;
	slot->is_busy = false;
	if (g->config.is_packed) {
		give_id(g, id);
		return;
	}
	for (uint32_t i = 0; i < slot->nr; i++) {
		uint16_t next = g->slots[id].next;

		give_id(g, id);
		id = next;
	}
}

/* The id and length of the next used entry; false: it is none of what is outstanding. */
static bool next_used(struct guest_ring *g, uint32_t *id, uint32_t *written_bytes)
{
	const uint8_t *entry;

	if (g->config.is_packed) {
		entry = g->desc + (size_t)g->next_used * DESC_BYTES;
		*id = sk_load_le16(entry + 12);
		*written_bytes = sk_load_le32(entry + 8);
	} else {
		entry = g->device + 4 + 8 * (size_t)(g->next_used & (g->config.size - 1));
		*id = sk_load_le32(entry);
		*written_bytes = sk_load_le32(entry + 4);
	}
	if (*id >= g->config.size || !g->slots[*id].is_busy)
		return false;
	if (g->config.is_in_order && *id != g->order[g->order_head])
		g->nr_errors++;
	if (*written_bytes > g->slots[*id].max_bytes)
		g->nr_errors++;
	return true;
}

bool guest_ring_reap(struct guest_ring *g, uint64_t *token, uint32_t *written_bytes)
{
	uint32_t id, written, nr = 1;

	if (!has_used(g))
		return false;
	if (next_used(g, &id, &written)) {
		nr = g->slots[id].nr;
		if (token)
			*token = g->slots[id].token;
		if (written_bytes)
			*written_bytes = written;
		free_chain(g, (uint16_t)id);
		g->order_head = (g->order_head + 1) % g->config.size;
	} else {
		g->nr_errors++;
	}
	if (!g->config.is_packed) {
		g->next_used++;
		return true;
	}
	g->next_used = (uint16_t)(g->next_used + nr);
	if (g->next_used >= g->config.size) {
		g->next_used = (uint16_t)(g->next_used - g->config.size);
		g->used_wrap = !g->used_wrap;
	}
	return true;
}

bool guest_ring_enable_interrupts(struct guest_ring *g)
{
	uint32_t wrap = g->used_wrap ? WRAP_BIT : 0;

	if (!g->config.is_packed && g->config.has_event_idx)
		store_16(g->driver + 4 + 2 * (size_t)g->config.size, g->next_used);
	else if (!g->config.is_packed)
		store_16(g->driver, 0);
	else if (g->config.has_event_idx)
		store_32(g->driver, g->next_used | wrap | VRING_PACKED_EVENT_FLAG_DESC << 16);
	else
		store_32(g->driver, VRING_PACKED_EVENT_FLAG_ENABLE << 16);
	return has_used(g);
}

void guest_ring_disable_interrupts(struct guest_ring *g)
{
	if (g->config.is_packed)
		store_32(g->driver, VRING_PACKED_EVENT_FLAG_DISABLE << 16);
	else if (!g->config.has_event_idx)
		store_16(g->driver, VRING_AVAIL_F_NO_INTERRUPT);
	/* With the event index nothing is to be done: it is not moved. */
}

void guest_ring_write_desc(struct guest_ring *g, gpa_t table_gpa, uint32_t index, uint64_t addr,
			   uint32_t len, uint16_t flags, uint16_t link)
{
	uint8_t *p = at(g, table_gpa + (gpa_t)index * DESC_BYTES, DESC_BYTES);

	put_desc(p, addr, len, g->config.is_packed ? link : flags);
	store_16(p + 14, g->config.is_packed ? flags : link);
}

void guest_ring_set_avail(struct guest_ring *g, uint32_t slot, uint16_t head)
{
	store_16(g->driver + 4 + 2 * (size_t)(slot & (g->config.size - 1u)), head);
}

void guest_ring_set_avail_index(struct guest_ring *g, uint16_t index)
{
	store_16(g->driver + 2, index);
}
