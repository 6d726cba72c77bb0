/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The registers of virtio 1.2, 4.2.2. */
#include <skete/virtio/mmio.h>

#include <linux/virtio_mmio.h>
#include <stdatomic.h>

#define STATE_VERSION  1
#define MAGIC	       0x74726976u /* "virt" */
#define VERSION	       2
#define VENDOR	       0x45544b53u /* "SKTE" */
#define CONFIG_BASE    0x100u
#define SHM_SELECT     0x0acu
#define SHM_FIRST      0x0b0u
#define SHM_LAST       0x0bcu
#define QUEUE_RESET    0x0c0u
#define INTERRUPT_BITS (VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)
#define LOW_HALF       UINT64_C(0xffffffff)
#define HIGH_HALF      (LOW_HALF << 32)

struct sk_virtio_mmio {
	struct sk_virtio_mmio_config config;	       /* immutable */
	uint64_t doorbells[SK_VIRTIO_MAX_QUEUES / 64]; /* attached; immutable after create */

	/* A driver that selects on two CPUs at once gets what it deserves: relaxed. */
	_Atomic uint32_t device_features_sel, driver_features_sel, queue_sel;
	/* Set by the loop's thread before it signals, cleared by the driver's acknowledgement. */
	_Atomic uint32_t interrupt_status;
	_Atomic uint64_t bad_accesses;
};

static uint32_t get(const _Atomic uint32_t *selector)
{
	return atomic_load_explicit(selector, memory_order_relaxed);
}

static void set(_Atomic uint32_t *selector, uint32_t value)
{
	atomic_store_explicit(selector, value, memory_order_relaxed);
}

/* ---- Interrupts ---- */

static void interrupt(struct sk_virtio_mmio *m, uint32_t bit)
{
	/* Release: what the interrupt is about. The driver's handler reads the register. */
	atomic_fetch_or_explicit(&m->interrupt_status, bit, memory_order_release);
	sk_eventfd_signal(m->config.irq_fd);
}

static void interrupt_queue(void *transport, uint32_t index)
{
	(void)index;
	interrupt(transport, VIRTIO_MMIO_INT_VRING);
}

static void interrupt_config(void *transport)
{
	interrupt(transport, VIRTIO_MMIO_INT_CONFIG);
}

static const struct sk_virtio_transport_ops transport_ops = {
	.interrupt_queue = interrupt_queue,
	.interrupt_config = interrupt_config,
};

/* ---- Registers ---- */

static void count_bad(struct sk_virtio_mmio *m)
{
	atomic_fetch_add_explicit(&m->bad_accesses, 1, memory_order_relaxed);
}

static uint32_t read_register(struct sk_virtio_mmio *m, uint32_t offset)
{
	struct sk_virtio *v = m->config.virtio;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return sk_virtio_device_id(v);
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return sk_virtio_device_features(v, get(&m->device_features_sel));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return sk_virtio_queue_max(v, get(&m->queue_sel));
	case VIRTIO_MMIO_QUEUE_READY:
		return sk_virtio_queue_is_enabled(v, get(&m->queue_sel));
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return atomic_load_explicit(&m->interrupt_status, memory_order_acquire);
	case VIRTIO_MMIO_STATUS:
		return sk_virtio_status(v);
	case SHM_FIRST ... SHM_LAST:
		return UINT32_MAX; /* 4.2.2.1: a region that does not exist */
	case QUEUE_RESET:
		return 0; /* not offered */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return sk_virtio_config_generation(v);
	default:
		count_bad(m);
		return 0;
	}
}

/* Half of the address of an area of the selected queue. */
static void write_area(struct sk_virtio_mmio *m, enum sk_virtio_area area, bool is_high,
		       uint32_t value)
{
	sk_virtio_queue_set_area(m->config.virtio, get(&m->queue_sel), area,
				 is_high ? (uint64_t)value << 32 : value,
				 is_high ? HIGH_HALF : LOW_HALF);
}

static void write_status(struct sk_virtio_mmio *m, uint32_t value)
{
	if (value > UINT8_MAX) {
		count_bad(m);
		return;
	}
	sk_virtio_set_status(m->config.virtio, (uint8_t)value);
	if (!value)
		atomic_store_explicit(&m->interrupt_status, 0, memory_order_relaxed);
}

static void write_queue_size(struct sk_virtio_mmio *m, uint32_t value)
{
	if (value > UINT16_MAX)
		value = 0; /* a size that no ring has */
	sk_virtio_queue_set_size(m->config.virtio, get(&m->queue_sel), (uint16_t)value);
}

static void write_register(struct sk_virtio_mmio *m, uint32_t offset, uint32_t value)
{
	struct sk_virtio *v = m->config.virtio;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		set(&m->device_features_sel, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		set(&m->driver_features_sel, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		sk_virtio_set_driver_features(v, get(&m->driver_features_sel), value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		set(&m->queue_sel, value);
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		write_queue_size(m, value);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		sk_virtio_queue_enable(v, get(&m->queue_sel), value & 1);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		sk_virtio_ring_doorbell(v, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and_explicit(&m->interrupt_status, ~value, memory_order_acq_rel);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(m, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		write_area(m, SK_VIRTIO_AREA_DESC, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		write_area(m, SK_VIRTIO_AREA_DRIVER, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		write_area(m, SK_VIRTIO_AREA_DEVICE, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	case SHM_SELECT:
		break;
	default:
		count_bad(m);
		break;
	}
}

/* 4.2.2.2: 32 bits wide and aligned, but for the configuration space. */
static bool is_register_access(struct sk_virtio_mmio *m, uint64_t offset, unsigned size_bytes)
{
	if (size_bytes == 4 && sk_is_aligned(offset, 4))
		return true;
	count_bad(m);
	return false;
}

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct sk_virtio_mmio *m = dev;

	if (offset >= CONFIG_BASE)
		return sk_virtio_config_read(m->config.virtio, offset - CONFIG_BASE, size_bytes);
	return is_register_access(m, offset, size_bytes) ? read_register(m, (uint32_t)offset) : 0;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct sk_virtio_mmio *m = dev;

	if (offset >= CONFIG_BASE)
		sk_virtio_config_write(m->config.virtio, offset - CONFIG_BASE, size_bytes, value);
	else if (is_register_access(m, offset, size_bytes))
		write_register(m, (uint32_t)offset, (uint32_t)value);
}

const struct sk_bus_ops sk_virtio_mmio_ops = {.read = mmio_read, .write = mmio_write};

/* ---- The object ---- */

int sk_virtio_mmio_create(struct sk_virtio_mmio **out, const struct sk_virtio_mmio_config *config,
			  struct sk_error *err)
{
	struct sk_virtio_mmio *m = calloc(1, sizeof(*m));
	uint32_t nr_queues = sk_virtio_nr_queues(config->virtio);

	if (!m)
		return sk_error_set(err, -ENOMEM, "no memory for a virtio-mmio device");
	m->config = *config;
	for (uint32_t i = 0; config->attach_doorbell && i < nr_queues; i++)
		if (!config->attach_doorbell(config->ctx, config->gpa + VIRTIO_MMIO_QUEUE_NOTIFY, i,
					     sk_virtio_doorbell_fd(config->virtio, i)))
			sk_bit_set(m->doorbells, i);
	sk_virtio_attach(config->virtio, &transport_ops, m);
	*out = m;
	return 0;
}

void sk_virtio_mmio_destroy(struct sk_virtio_mmio *m)
{
	if (!m)
		return;
	sk_virtio_attach(m->config.virtio, NULL, NULL);
	for (uint32_t i = 0; i < SK_VIRTIO_MAX_QUEUES; i++)
		if (sk_bit_test(m->doorbells, i))
			m->config.detach_doorbell(m->config.ctx,
						  m->config.gpa + VIRTIO_MMIO_QUEUE_NOTIFY, i,
						  sk_virtio_doorbell_fd(m->config.virtio, i));
	free(m);
}

void sk_virtio_mmio_save(const struct sk_virtio_mmio *m, struct sk_writer *w)
{
	sk_put_u32(w, STATE_VERSION);
	sk_put_u32(w, get(&m->device_features_sel));
	sk_put_u32(w, get(&m->driver_features_sel));
	sk_put_u32(w, get(&m->queue_sel));
	sk_put_u32(w, get(&m->interrupt_status));
}

int sk_virtio_mmio_restore(struct sk_virtio_mmio *m, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r), device = sk_get_u32(r), driver = sk_get_u32(r),
		 queue = sk_get_u32(r), status = sk_get_u32(r);

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "virtio-mmio: the saved state has version %u, this one reads "
				    "%u",
				    version, STATE_VERSION);
	if (status & ~INTERRUPT_BITS)
		return sk_error_set(err, -EINVAL, "virtio-mmio: the saved state is impossible");
	set(&m->device_features_sel, device);
	set(&m->driver_features_sel, driver);
	set(&m->queue_sel, queue);
	atomic_store_explicit(&m->interrupt_status, status, memory_order_release);
	return 0;
}

uint64_t sk_virtio_mmio_bad_accesses(const struct sk_virtio_mmio *m)
{
	return atomic_load_explicit(&m->bad_accesses, memory_order_relaxed);
}
