/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The bus: from an address of the guest to the device that answers there. A virtual machine has
 * one for port I/O (last address 0xffff) and one for MMIO (last address 2^64 - 1).
 *
 * Threading class: internally synchronised. Dispatch (read, write) runs on any number of threads
 * without a lock and without an allocation: it searches a sorted table that never changes and is
 * replaced as a whole by add and remove (which serialise among themselves with a mutex). A table
 * that was replaced, and the devices that only it names, may still be in use by a dispatch that
 * began earlier; sk_bus_quiesce() says when that is over. Devices belong to the caller.
 *
 * What nobody claims reads as all ones and swallows writes, as on a PC, and is counted. That is
 * also the answer to an access that begins in one range and ends outside it, and to widths other
 * than 1, 2, 4 and 8 bytes: both are the guest's doing (KVM cuts an access that crosses a page
 * into pieces of any length), so they are no bug of the caller.
 */
#ifndef SKETE_BUS_H
#define SKETE_BUS_H

#include <skete/base.h>

#define SK_BUS_PIO_LAST	 UINT64_C(0xffff)
#define SK_BUS_MMIO_LAST UINT64_MAX
#define SK_BUS_NAME_MAX	 32 /* longer names are cut */

struct sk_bus;

/*
 * What a device supplies. @offset is relative to the start of its range and the whole access lies
 * in the range; @size_bytes is 1, 2, 4 or 8. Calls come from any vCPU thread, several at once, and
 * must not block for long. Bits of a read's result above the width are ignored.
 */
struct sk_bus_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned size_bytes);
	void (*write)(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value);
	/*
	 * Optional (NULL: read or write is called @count times): string I/O, @count elements of
	 * @size_bytes each at the same @offset, packed little-endian in @data, which has no
	 * particular alignment.
	 */
	void (*read_string)(void *dev, uint64_t offset, unsigned size_bytes, void *data,
			    size_t count);
	void (*write_string)(void *dev, uint64_t offset, unsigned size_bytes, const void *data,
			     size_t count);
};

/*
 * An empty bus of the addresses 0 to @last_address inclusive. Errors: -ENOMEM. destroy frees every
 * table; no dispatch may be running. The devices are not touched.
 */
int sk_bus_create(struct sk_bus **out, uint64_t last_address, struct sk_error *err) SK_MUST_CHECK;
void sk_bus_destroy(struct sk_bus *bus);

/*
 * Lets @dev answer at [@base, @base + @len_bytes). @ops is borrowed, @name copied. A dispatch that
 * begins after the return finds the device. Errors: -EINVAL (empty, beyond the last address, no
 * read or no write in @ops), -EEXIST (overlap; the sentence names both devices), -ENOMEM.
 */
int sk_bus_add(struct sk_bus *bus, uint64_t base, uint64_t len_bytes, const struct sk_bus_ops *ops,
	       void *dev, const char *name, struct sk_error *err) SK_MUST_CHECK;

/*
 * Removes the range that begins at @base. A dispatch that began earlier may still call the device:
 * it, its ops and its state must live until a quiesce. Errors: -ENOENT, -ENOMEM.
 */
int sk_bus_remove(struct sk_bus *bus, uint64_t base) SK_MUST_CHECK;

/*
 * Frees the tables that add and remove replaced. The caller guarantees that no dispatch is running
 * now that began before the last add or remove (all vCPUs are stopped, or have each been out of
 * the bus once since).
 */
void sk_bus_quiesce(struct sk_bus *bus);

/*
 * Dispatches @count accesses of @size_bytes at @addr; @data holds them packed, little-endian
 * (count * size_bytes bytes, which must not overflow). count is 1 but for string I/O. 0, or -ENXIO
 * if nobody claims the access: then a read fills @data with ones. Does not allocate or lock; takes
 * what the device's callback takes.
 */
int sk_bus_read(struct sk_bus *bus, uint64_t addr, void *data, unsigned size_bytes, size_t count);
int sk_bus_write(struct sk_bus *bus, uint64_t addr, const void *data, unsigned size_bytes,
		 size_t count);

/* How many dispatches nobody claimed so far; a string access counts once. */
uint64_t sk_bus_unclaimed(const struct sk_bus *bus);

/* How many ranges there are. */
size_t sk_bus_nr_ranges(struct sk_bus *bus);

#endif
