/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The registers and the pins.
 *
 * The order of the changes is what keeps edges from being lost or sent to a stale place: a pin
 * that is unmasked gets its route before its eventfd is connected; one that is masked is first
 * disconnected (which delivers what came before) and keeps its route, so that KVM still reports
 * the EOI of a level interrupt that is in service.
 */
#include "ioapic_internal.h"

enum { OFFSET_SELECT = 0x00, OFFSET_WINDOW = 0x10, OFFSET_EOI = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRIES = 0x10 };

#define VERSION		    (0x20 | (SK_IOAPIC_NR_PINS - 1) << 16)
#define ID_SHIFT	    24

/* The message of an entry (Intel SDM, volume 3, section 11.11). */
#define MSI_ADDRESS	    UINT64_C(0xfee00000)
#define MSI_ADDRESS_LOGICAL UINT64_C(0x4)
#define MSI_DEST_SHIFT	    12
#define MSI_DATA_ASSERT	    0x4000 /* means something for level-triggered messages only */
#define MSI_DATA_LEVEL	    0x8000

static struct sk_ioapic_msi message_of(uint64_t entry)
{
	struct sk_ioapic_msi msi = {
		.address = MSI_ADDRESS | entry >> ENTRY_DEST_SHIFT << MSI_DEST_SHIFT,
		.data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY)),
	};

	if (entry & ENTRY_LOGICAL)
		msi.address |= MSI_ADDRESS_LOGICAL;
	if (entry & ENTRY_LEVEL)
		msi.data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
	return msi;
}

/* A pin that nothing can signal needs no route: a guest that programs all 24 costs nothing. */
static int update_route_locked(struct sk_ioapic *io, unsigned int n)
{
	struct pin *p = &io->pins[n];
	struct sk_ioapic_msi msi = message_of(p->entry);
	int ret;

	if (p->fd < 0 && !(p->entry & ENTRY_LEVEL))
		return 0;
	if (p->has_route && p->route.address == msi.address && p->route.data == msi.data)
		return 0;
	ret = io->config.route(io->config.ctx, n, &msi);
	/* After a failure nobody knows what KVM has: say it again next time. */
	p->has_route = !ret;
	p->route = msi;
	return ret;
}

static int update_connection_locked(struct sk_ioapic *io, unsigned int n, bool is_wanted)
{
	struct pin *p = &io->pins[n];
	int ret;

	if (p->fd < 0 || p->is_connected == is_wanted)
		return 0;
	if (is_wanted)
		ret = io->config.connect(io->config.ctx, n, p->fd);
	else
		ret = io->config.disconnect(io->config.ctx, n, p->fd);
	if (!ret)
		p->is_connected = is_wanted;
	return ret;
}

int sk_ioapic_update_locked(struct sk_ioapic *io, unsigned int n)
{
	struct pin *p = &io->pins[n];
	bool is_open = !(p->entry & ENTRY_MASKED);
	int ret = is_open ? update_route_locked(io, n) : 0;

	/* Without a route the signals would be dropped: let them wait in the eventfd. */
	if (ret)
		(void)update_connection_locked(io, n, false);
	else
		ret = update_connection_locked(io, n, is_open);
	if (ret && !p->is_failing)
		sk_logf(io->config.log, SK_LOG_ERROR,
			"interrupt pin %u cannot be %s: %s (its interrupts may stay out)", n,
			is_open ? "routed" : "masked", strerror(-ret));
	p->is_failing = ret != 0;
	return ret;
}

void sk_ioapic_service_locked(struct sk_ioapic *io, unsigned int n)
{
	struct pin *p = &io->pins[n];
	struct sk_ioapic_msi msi = message_of(p->entry);

	if (p->entry & ENTRY_MASKED)
		return;
	if (!(p->entry & ENTRY_LEVEL)) {
		/* Like a bus cycle: if nobody takes it, it is gone. */
		if (p->is_latched)
			(void)!io->config.send(io->config.ctx, &msi);
	} else if (p->is_high && !(p->entry & ENTRY_REMOTE_IRR)) {
		/* What nobody took will see no EOI either: then the line may try again. */
		if (io->config.send(io->config.ctx, &msi) == 0)
			p->entry |= ENTRY_REMOTE_IRR;
	}
	p->is_latched = false;
}

static void eoi_locked(struct sk_ioapic *io, uint8_t vector)
{
	for (unsigned int n = 0; n < SK_IOAPIC_NR_PINS; n++) {
		struct pin *p = &io->pins[n];

		if (!(p->entry & ENTRY_LEVEL) || (p->entry & ENTRY_VECTOR) != vector)
			continue;
		p->entry &= ~ENTRY_REMOTE_IRR;
		if (p->resample_fd >= 0)
			sk_eventfd_signal(p->resample_fd);
		sk_ioapic_service_locked(io, n);
	}
}

static uint32_t read_window_locked(const struct sk_ioapic *io)
{
	unsigned int n = (io->select - (unsigned int)REG_ENTRIES) / 2;

	switch (io->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (uint32_t)io->id << ID_SHIFT;
	case REG_VERSION:
		return VERSION;
	}
	if (io->select < REG_ENTRIES || n >= SK_IOAPIC_NR_PINS)
		return 0;
	return (uint32_t)(io->pins[n].entry >> (io->select & 1 ? 32 : 0));
}

static void write_window_locked(struct sk_ioapic *io, uint32_t value)
{
	unsigned int n = (io->select - (unsigned int)REG_ENTRIES) / 2;
	unsigned int shift = io->select & 1 ? 32 : 0;
	uint64_t writable = ENTRY_WRITABLE & UINT64_C(0xffffffff) << shift;
	struct pin *p;

	if (io->select == REG_ID)
		io->id = value >> ID_SHIFT & ID_MAX;
	if (io->select < REG_ENTRIES || n >= SK_IOAPIC_NR_PINS)
		return;
	p = &io->pins[n];
	p->entry = (p->entry & ~writable) | ((uint64_t)value << shift & writable);
	/* Going through edge mode is how a driver without the EOI register ends an interrupt. */
	if (!(p->entry & ENTRY_LEVEL))
		p->entry &= ~ENTRY_REMOTE_IRR;
	/* A failure was logged; the guest, whose registers are right, cannot be told. */
	(void)!sk_ioapic_update_locked(io, n);
	sk_ioapic_service_locked(io, n);
}

static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned int size_bytes)
{
	struct sk_ioapic *io = dev;
	uint32_t value = 0;

	pthread_mutex_lock(&io->lock);
	if (offset == OFFSET_SELECT)
		value = io->select;
	else if (offset == OFFSET_WINDOW && size_bytes == 4)
		value = read_window_locked(io);
	pthread_mutex_unlock(&io->lock);
	return value;
}

static void ioapic_write(void *dev, uint64_t offset, unsigned int size_bytes, uint64_t value)
{
	struct sk_ioapic *io = dev;

	pthread_mutex_lock(&io->lock);
	if (offset == OFFSET_SELECT)
		io->select = (uint8_t)value;
	else if (offset == OFFSET_WINDOW && size_bytes == 4)
		write_window_locked(io, (uint32_t)value);
	else if (offset == OFFSET_EOI && size_bytes == 4)
		eoi_locked(io, (uint8_t)value);
	pthread_mutex_unlock(&io->lock);
}

const struct sk_bus_ops sk_ioapic_ops = {.read = ioapic_read, .write = ioapic_write};

void sk_ioapic_eoi(struct sk_ioapic *io, uint8_t vector)
{
	pthread_mutex_lock(&io->lock);
	eoi_locked(io, vector);
	pthread_mutex_unlock(&io->lock);
}

void sk_ioapic_set_level(struct sk_ioapic *io, unsigned int pin, bool is_high)
{
	struct pin *p;

	if (pin >= SK_IOAPIC_NR_PINS)
		return;
	pthread_mutex_lock(&io->lock);
	p = &io->pins[pin];
	if (is_high && !p->is_high && !(p->entry & ENTRY_LEVEL))
		p->is_latched = true;
	p->is_high = is_high;
	sk_ioapic_service_locked(io, pin);
	pthread_mutex_unlock(&io->lock);
}

int sk_ioapic_attach(struct sk_ioapic *io, unsigned int pin, int fd, int resample_fd,
		     struct sk_error *err)
{
	struct pin *p;
	int ret;

	if (pin >= SK_IOAPIC_NR_PINS || fd < 0)
		return sk_error_set(err, -EINVAL,
				    "interrupt pin %u with descriptor %d: there are pins 0 to %d",
				    pin, fd, SK_IOAPIC_NR_PINS - 1);
	pthread_mutex_lock(&io->lock);
	p = &io->pins[pin];
	if (p->fd >= 0) {
		ret = sk_error_set(err, -EBUSY, "interrupt pin %u belongs to another device", pin);
		goto out;
	}
	p->fd = fd;
	p->resample_fd = resample_fd;
	ret = sk_ioapic_update_locked(io, pin);
	if (ret) {
		p->fd = p->resample_fd = -1;
		sk_error_set(err, ret, "interrupt pin %u cannot be connected: %s", pin,
			     strerror(-ret));
	}
out:
	pthread_mutex_unlock(&io->lock);
	return ret;
}

int sk_ioapic_detach(struct sk_ioapic *io, unsigned int pin)
{
	struct pin *p;
	int ret = -ENOENT;

	if (pin >= SK_IOAPIC_NR_PINS)
		return ret;
	pthread_mutex_lock(&io->lock);
	p = &io->pins[pin];
	if (p->fd >= 0)
		ret = update_connection_locked(io, pin, false);
	if (!ret)
		p->fd = p->resample_fd = -1;
	pthread_mutex_unlock(&io->lock);
	return ret;
}

int sk_ioapic_create(struct sk_ioapic **out, const struct sk_ioapic_config *config,
		     struct sk_error *err)
{
	struct sk_ioapic *io;

	if (!config->route || !config->connect || !config->disconnect || !config->send)
		return sk_error_set(err, -EINVAL, "IOAPIC: a callback is missing");
	io = calloc(1, sizeof(*io));
	if (!io)
		return sk_error_set(err, -ENOMEM, "IOAPIC: out of memory");
	io->config = *config;
	for (unsigned int n = 0; n < SK_IOAPIC_NR_PINS; n++)
		io->pins[n] = (struct pin){.entry = ENTRY_MASKED, .fd = -1, .resample_fd = -1};
	pthread_mutex_init(&io->lock, NULL);
	*out = io;
	return 0;
}

void sk_ioapic_destroy(struct sk_ioapic *io)
{
	if (!io)
		return;
	pthread_mutex_destroy(&io->lock);
	free(io);
}
