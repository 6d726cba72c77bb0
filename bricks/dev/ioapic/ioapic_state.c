/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The saved form: version, ID, IOREGSEL, then an entry and its flags for each pin. */
#include "ioapic_internal.h"

#define STATE_VERSION 1

enum { FLAG_HIGH = 1, FLAG_PENDING = 2 };

/* An edge that waits: in the latch, or in the eventfd that nobody listens to. */
static bool is_pending(const struct pin *p)
{
	if (p->is_latched)
		return true;
	if (p->fd < 0 || p->is_connected || sk_eventfd_drain(p->fd) == 0)
		return false;
	sk_eventfd_signal(p->fd); /* put back: saving changes nothing */
	return true;
}

void sk_ioapic_save(struct sk_ioapic *io, struct sk_writer *w)
{
	pthread_mutex_lock(&io->lock);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u8(w, io->id);
	sk_put_u8(w, io->select);
	for (unsigned int n = 0; n < SK_IOAPIC_NR_PINS; n++) {
		const struct pin *p = &io->pins[n];

		sk_put_u64(w, p->entry);
		sk_put_u8(w, (uint8_t)((p->is_high ? FLAG_HIGH : 0) |
				       (is_pending(p) ? FLAG_PENDING : 0)));
	}
	pthread_mutex_unlock(&io->lock);
}

struct saved_pin {
	uint64_t entry;
	uint8_t flags;
};

static bool is_possible(const struct saved_pin *s)
{
	if (s->entry & ~(ENTRY_WRITABLE | ENTRY_REMOTE_IRR) ||
	    s->flags & ~(FLAG_HIGH | FLAG_PENDING))
		return false;
	return (s->entry & ENTRY_LEVEL) || !(s->entry & ENTRY_REMOTE_IRR);
}

static int restore_pin_locked(struct sk_ioapic *io, unsigned int n, const struct saved_pin *s)
{
	struct pin *p = &io->pins[n];
	int ret;

	p->entry = s->entry;
	p->is_high = s->flags & FLAG_HIGH;
	p->is_latched = false;
	if (s->flags & FLAG_PENDING) {
		if (p->fd >= 0)
			sk_eventfd_signal(p->fd);
		else
			p->is_latched = true;
	}
	ret = sk_ioapic_update_locked(io, n);
	if (!ret)
		sk_ioapic_service_locked(io, n);
	return ret;
}

int sk_ioapic_restore(struct sk_ioapic *io, struct sk_reader *r, struct sk_error *err)
{
	struct saved_pin saved[SK_IOAPIC_NR_PINS];
	uint32_t version = sk_get_u32(r);
	uint8_t id = sk_get_u8(r), select = sk_get_u8(r);
	bool is_good = id <= ID_MAX;
	int ret = 0;

	if (sk_reader_ok(r) && version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "IOAPIC: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	for (unsigned int n = 0; n < SK_IOAPIC_NR_PINS; n++) {
		saved[n].entry = sk_get_u64(r);
		saved[n].flags = sk_get_u8(r);
		is_good = is_good && is_possible(&saved[n]);
	}
	if (!sk_reader_ok(r) || !is_good)
		return sk_error_set(err, -EINVAL,
				    "IOAPIC: the saved state is truncated or impossible");
	pthread_mutex_lock(&io->lock);
	io->id = id;
	io->select = select;
	for (unsigned int n = 0; !ret && n < SK_IOAPIC_NR_PINS; n++) {
		ret = restore_pin_locked(io, n, &saved[n]);
		if (ret)
			sk_error_set(err, ret, "IOAPIC: pin %u cannot be restored: %s", n,
				     strerror(-ret));
	}
	pthread_mutex_unlock(&io->lock);
	return ret;
}
