/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A bus is one pointer to an immutable table. Changing it means building another table from it,
 * publishing that with a release store, and keeping the old one on a list until quiesce.
 */
#include <skete/bus.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#define CACHE_LINE_BYTES 64

/* One cache line: what a dispatch reads after the search. */
struct range {
	uint64_t base;
	uint64_t last; /* inclusive */
	const struct sk_bus_ops *ops;
	void *dev;
	char name[SK_BUS_NAME_MAX];
};

_Static_assert(sizeof(struct range) == CACHE_LINE_BYTES, "a range is a cache line");

/*
 * One allocation: the header, the ranges, and behind them their bases once more, packed for the
 * search (100 devices are 13 cache lines). Never changes once published, but for next_retired,
 * which dispatch does not look at.
 */
struct table {
	_Alignas(CACHE_LINE_BYTES) struct table *next_retired;
	const uint64_t *bases;
	size_t nr;
	_Alignas(CACHE_LINE_BYTES) struct range ranges[];
};

struct sk_bus {
	_Atomic(struct table *) table; /* release in publish, acquire in find */
	_Atomic uint64_t unclaimed;    /* a statistic: relaxed */
	uint64_t last_address;
	pthread_mutex_t lock; /* serialises add, remove, quiesce; protects retired */
	struct table *retired;
};

static struct table *table_alloc(size_t nr)
{
	size_t size = sizeof(struct table) + nr * (sizeof(struct range) + sizeof(uint64_t));
	struct table *table;

	size = (size + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1);
	table = aligned_alloc(CACHE_LINE_BYTES, size);
	if (!table)
		return NULL;
	memset(table, 0, size);
	table->nr = nr;
	table->bases = (const uint64_t *)(const void *)&table->ranges[nr];
	return table;
}

/* The ranges are complete: copies their bases and makes the table the one that dispatch sees. */
static void publish_locked(struct sk_bus *bus, struct table *table)
{
	uint64_t *bases = (uint64_t *)(void *)&table->ranges[table->nr];
	struct table *old = atomic_load_explicit(&bus->table, memory_order_relaxed);

	for (size_t i = 0; i < table->nr; i++)
		bases[i] = table->ranges[i].base;
	/* Partner: the acquire in find(). */
	atomic_store_explicit(&bus->table, table, memory_order_release);
	old->next_retired = bus->retired;
	bus->retired = old;
}

int sk_bus_create(struct sk_bus **out, uint64_t last_address, struct sk_error *err)
{
	struct sk_bus *bus = calloc(1, sizeof(*bus));
	struct table *table = table_alloc(0);

	if (!bus || !table) {
		free(bus);
		free(table);
		return sk_error_set(err, -ENOMEM, "bus: out of memory");
	}
	atomic_init(&bus->table, table);
	bus->last_address = last_address;
	pthread_mutex_init(&bus->lock, NULL);
	*out = bus;
	return 0;
}

static void free_retired_locked(struct sk_bus *bus)
{
	while (bus->retired) {
		struct table *next = bus->retired->next_retired;

		free(bus->retired);
		bus->retired = next;
	}
}

void sk_bus_destroy(struct sk_bus *bus)
{
	if (!bus)
		return;
	free_retired_locked(bus);
	free(atomic_load_explicit(&bus->table, memory_order_relaxed));
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

void sk_bus_quiesce(struct sk_bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	free_retired_locked(bus);
	pthread_mutex_unlock(&bus->lock);
}

static int add_locked(struct sk_bus *bus, const struct range *range, struct sk_error *err)
{
	const struct table *old = atomic_load_explicit(&bus->table, memory_order_relaxed);
	struct table *table;
	size_t at = 0;

	for (size_t i = 0; i < old->nr; i++) {
		const struct range *r = &old->ranges[i];

		if (range->base <= r->last && r->base <= range->last)
			return sk_error_set(
				err, -EEXIST,
				"bus: %s at 0x%" PRIx64 "-0x%" PRIx64 " overlaps %s at 0x%" PRIx64
				"-0x%" PRIx64 "; move one of them",
				range->name, range->base, range->last, r->name, r->base, r->last);
		if (r->base < range->base)
			at = i + 1;
	}
	table = table_alloc(old->nr + 1);
	if (!table)
		return sk_error_set(err, -ENOMEM, "bus: out of memory adding %s", range->name);
	memcpy(&table->ranges[0], &old->ranges[0], at * sizeof(*range));
	table->ranges[at] = *range;
	memcpy(&table->ranges[at + 1], &old->ranges[at], (old->nr - at) * sizeof(*range));
	publish_locked(bus, table);
	return 0;
}

int sk_bus_add(struct sk_bus *bus, uint64_t base, uint64_t len_bytes, const struct sk_bus_ops *ops,
	       void *dev, const char *name, struct sk_error *err)
{
	struct range range = {.base = base, .ops = ops, .dev = dev};
	int r;

	memcpy(range.name, name, strnlen(name, sizeof(range.name) - 1));
	if (!ops->read || !ops->write)
		return sk_error_set(err, -EINVAL, "bus: %s has no read or no write operation",
				    range.name);
	if (!len_bytes)
		return sk_error_set(err, -EINVAL, "bus: %s at 0x%" PRIx64 " has an empty range",
				    range.name, base);
	if (base > bus->last_address || len_bytes - 1 > bus->last_address - base)
		return sk_error_set(err, -EINVAL,
				    "bus: %s at 0x%" PRIx64 ", 0x%" PRIx64
				    " bytes long, reaches beyond the last address 0x%" PRIx64,
				    range.name, base, len_bytes, bus->last_address);
	range.last = base + (len_bytes - 1);
	pthread_mutex_lock(&bus->lock);
	r = add_locked(bus, &range, err);
	pthread_mutex_unlock(&bus->lock);
	return r;
}

static int remove_locked(struct sk_bus *bus, uint64_t base)
{
	const struct table *old = atomic_load_explicit(&bus->table, memory_order_relaxed);
	struct table *table;
	size_t at = 0;

	while (at < old->nr && old->ranges[at].base != base)
		at++;
	if (at == old->nr)
		return -ENOENT;
	table = table_alloc(old->nr - 1);
	if (!table)
		return -ENOMEM;
	memcpy(&table->ranges[0], &old->ranges[0], at * sizeof(struct range));
	memcpy(&table->ranges[at], &old->ranges[at + 1], (old->nr - at - 1) * sizeof(struct range));
	publish_locked(bus, table);
	return 0;
}

int sk_bus_remove(struct sk_bus *bus, uint64_t base)
{
	int r;

	pthread_mutex_lock(&bus->lock);
	r = remove_locked(bus, base);
	pthread_mutex_unlock(&bus->lock);
	return r;
}

/*
 * The range that holds the whole access, or NULL. The search has no branch that depends on the
 * address: its steps are conditional moves, so random addresses cost no mispredictions.
 */
static const struct range *find(struct sk_bus *bus, uint64_t addr, unsigned size_bytes)
{
	/* Partner: the release in publish_locked(). */
	const struct table *table = atomic_load_explicit(&bus->table, memory_order_acquire);
	const uint64_t *bases = table->bases;
	const struct range *range;
	size_t n = table->nr;

	if (n == 0)
		return NULL;
	while (n > 1) {
		size_t half = n / 2;

		bases += half & -(size_t)(bases[half] <= addr);
		n -= half;
	}
	range = &table->ranges[bases - table->bases];
	if (addr < range->base || addr > range->last || size_bytes - 1 > range->last - addr)
		return NULL;
	return range;
}

static bool is_width(unsigned size_bytes)
{
	return size_bytes && size_bytes <= 8 && !(size_bytes & (size_bytes - 1));
}

static int not_claimed(struct sk_bus *bus)
{
	atomic_fetch_add_explicit(&bus->unclaimed, 1, memory_order_relaxed);
	return -ENXIO;
}

static inline void store(void *data, unsigned size_bytes, uint64_t value)
{
	switch (size_bytes) {
	case 1:
		*(uint8_t *)data = (uint8_t)value;
		break;
	case 2:
		sk_store_le16(data, (uint16_t)value);
		break;
	case 4:
		sk_store_le32(data, (uint32_t)value);
		break;
	default:
		sk_store_le64(data, value);
	}
}

static inline uint64_t load(const void *data, unsigned size_bytes)
{
	switch (size_bytes) {
	case 1:
		return *(const uint8_t *)data;
	case 2:
		return sk_load_le16(data);
	case 4:
		return sk_load_le32(data);
	default:
		return sk_load_le64(data);
	}
}

int sk_bus_read(struct sk_bus *bus, uint64_t addr, void *data, unsigned size_bytes, size_t count)
{
	const struct range *range = is_width(size_bytes) ? find(bus, addr, size_bytes) : NULL;
	uint8_t *p = data;
	uint64_t offset;

	if (!range) {
		memset(data, 0xff, count * size_bytes);
		return not_claimed(bus);
	}
	offset = addr - range->base;
	if (count != 1 && range->ops->read_string) {
		range->ops->read_string(range->dev, offset, size_bytes, data, count);
		return 0;
	}
	for (; count; count--, p += size_bytes)
		store(p, size_bytes, range->ops->read(range->dev, offset, size_bytes));
	return 0;
}

int sk_bus_write(struct sk_bus *bus, uint64_t addr, const void *data, unsigned size_bytes,
		 size_t count)
{
	const struct range *range = is_width(size_bytes) ? find(bus, addr, size_bytes) : NULL;
	const uint8_t *p = data;
	uint64_t offset;

	if (!range)
		return not_claimed(bus);
	offset = addr - range->base;
	if (count != 1 && range->ops->write_string) {
		range->ops->write_string(range->dev, offset, size_bytes, data, count);
		return 0;
	}
	for (; count; count--, p += size_bytes)
		range->ops->write(range->dev, offset, size_bytes, load(p, size_bytes));
	return 0;
}

uint64_t sk_bus_unclaimed(const struct sk_bus *bus)
{
	return atomic_load_explicit(&bus->unclaimed, memory_order_relaxed);
}

size_t sk_bus_nr_ranges(struct sk_bus *bus)
{
	size_t nr;

	pthread_mutex_lock(&bus->lock);
	nr = atomic_load_explicit(&bus->table, memory_order_relaxed)->nr;
	pthread_mutex_unlock(&bus->lock);
	return nr;
}
