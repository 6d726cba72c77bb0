/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The registers in the BAR (virtio 1.2, 4.1.4.3 to 4.1.4.6) and the window to them in the
 * configuration space (4.1.4.9).
 *
 * 4.1.3.1: a field is accessed with its own width, one of 64 bits as two halves of 32. So a
 * register is its offset and its width; whatever is something else reads as zero and writes
 * nothing. What a queue is set up with goes to the core, which refuses it from DRIVER_OK to reset.
 */
#include "virtio_pci_internal.h"

#define REGISTER(offset, size) ((uint32_t)(offset) << 4 | (size))
#define LOW_HALF	       UINT64_C(0xffffffff)
#define HIGH_HALF	       (LOW_HALF << 32)

/* Within struct virtio_pci_cap */
#define CAP_BAR		       4
#define CAP_OFFSET	       8
#define CAP_LENGTH	       12
#define CAP_DATA	       16
#define DATA_BYTES	       4

static uint16_t selected_queue(struct sk_virtio_pci *vp)
{
	return atomic_load_explicit(&vp->queue_select, memory_order_relaxed);
}

/* The vector of the selected queue, or NULL if there is no such queue. */
static _Atomic uint16_t *selected_vector(struct sk_virtio_pci *vp)
{
	uint16_t queue = selected_queue(vp);

	return queue < vp->nr_queues ? &vp->queue_vectors[queue] : NULL;
}

/* Of the selected queue: half of the address of an area. */
static uint32_t area_half(struct sk_virtio_pci *vp, enum sk_virtio_area area, bool is_high)
{
	gpa_t gpa = sk_virtio_queue_area(vp->config.virtio, selected_queue(vp), area);

	return (uint32_t)(is_high ? gpa >> 32 : gpa);
}

static void set_area_half(struct sk_virtio_pci *vp, enum sk_virtio_area area, bool is_high,
			  uint64_t value)
{
	sk_virtio_queue_set_area(vp->config.virtio, selected_queue(vp), area,
				 is_high ? value << 32 : value, is_high ? HIGH_HALF : LOW_HALF);
}

static uint64_t read_common(struct sk_virtio_pci *vp, uint64_t offset, unsigned size_bytes)
{
	struct sk_virtio *v = vp->config.virtio;
	_Atomic uint16_t *vector = selected_vector(vp);

	switch (REGISTER(offset, size_bytes)) {
	case REGISTER(VIRTIO_PCI_COMMON_DFSELECT, 4):
		return vp->device_feature_select;
	case REGISTER(VIRTIO_PCI_COMMON_DF, 4):
		return sk_virtio_device_features(v, vp->device_feature_select);
	case REGISTER(VIRTIO_PCI_COMMON_GFSELECT, 4):
		return vp->driver_feature_select;
	case REGISTER(VIRTIO_PCI_COMMON_GF, 4):
		return sk_virtio_driver_features(v, vp->driver_feature_select);
	case REGISTER(VIRTIO_PCI_COMMON_MSIX, 2):
		return vp->config_vector;
	case REGISTER(VIRTIO_PCI_COMMON_NUMQ, 2):
		return vp->nr_queues;
	case REGISTER(VIRTIO_PCI_COMMON_STATUS, 1):
		return sk_virtio_status(v);
	case REGISTER(VIRTIO_PCI_COMMON_CFGGENERATION, 1):
		return sk_virtio_config_generation(v) & 0xff;
	case REGISTER(VIRTIO_PCI_COMMON_Q_SELECT, 2):
		return selected_queue(vp);
	case REGISTER(VIRTIO_PCI_COMMON_Q_SIZE, 2):
		return sk_virtio_queue_size(v, selected_queue(vp));
	case REGISTER(VIRTIO_PCI_COMMON_Q_MSIX, 2):
		return vector ? *vector : NO_VECTOR;
	case REGISTER(VIRTIO_PCI_COMMON_Q_ENABLE, 2):
		return sk_virtio_queue_is_enabled(v, selected_queue(vp));
	case REGISTER(VIRTIO_PCI_COMMON_Q_NOFF, 2):
		return vector ? selected_queue(vp) : 0;
	case REGISTER(VIRTIO_PCI_COMMON_Q_DESCLO, 4):
	case REGISTER(VIRTIO_PCI_COMMON_Q_DESCHI, 4):
		return area_half(vp, SK_VIRTIO_AREA_DESC, offset == VIRTIO_PCI_COMMON_Q_DESCHI);
	case REGISTER(VIRTIO_PCI_COMMON_Q_AVAILLO, 4):
	case REGISTER(VIRTIO_PCI_COMMON_Q_AVAILHI, 4):
		return area_half(vp, SK_VIRTIO_AREA_DRIVER, offset == VIRTIO_PCI_COMMON_Q_AVAILHI);
	case REGISTER(VIRTIO_PCI_COMMON_Q_USEDLO, 4):
	case REGISTER(VIRTIO_PCI_COMMON_Q_USEDHI, 4):
		return area_half(vp, SK_VIRTIO_AREA_DEVICE, offset == VIRTIO_PCI_COMMON_Q_USEDHI);
	default:
		count_bad(vp);
		return 0;
	}
}

/* 4.1.5.1.2.1: a vector that does not exist becomes none, and the driver reads that back. */
static void set_vector(struct sk_virtio_pci *vp, _Atomic uint16_t *vector, uint64_t value)
{
	if (vector)
		*vector = value < vp->nr_vectors ? (uint16_t)value : NO_VECTOR;
	else
		count_bad(vp);
}

static void set_status(struct sk_virtio_pci *vp, uint64_t value)
{
	sk_virtio_set_status(vp->config.virtio, (uint8_t)value);
	if (value == 0)
		virtio_pci_forget(vp);
}

/* 4.1.4.3.2: the driver writes no zero; only a reset disables a queue. */
static void enable_queue(struct sk_virtio_pci *vp, uint64_t value)
{
	if (value == 1)
		sk_virtio_queue_enable(vp->config.virtio, selected_queue(vp), true);
	else
		count_bad(vp);
}

static void write_common(struct sk_virtio_pci *vp, uint64_t offset, unsigned size_bytes,
			 uint64_t value)
{
	struct sk_virtio *v = vp->config.virtio;

	switch (REGISTER(offset, size_bytes)) {
	case REGISTER(VIRTIO_PCI_COMMON_DFSELECT, 4):
		vp->device_feature_select = (uint32_t)value;
		break;
	case REGISTER(VIRTIO_PCI_COMMON_GFSELECT, 4):
		vp->driver_feature_select = (uint32_t)value;
		break;
	case REGISTER(VIRTIO_PCI_COMMON_GF, 4):
		sk_virtio_set_driver_features(v, vp->driver_feature_select, (uint32_t)value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_MSIX, 2):
		set_vector(vp, &vp->config_vector, value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_STATUS, 1):
		set_status(vp, value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_SELECT, 2):
		vp->queue_select = (uint16_t)value;
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_SIZE, 2):
		sk_virtio_queue_set_size(v, selected_queue(vp), (uint16_t)value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_MSIX, 2):
		set_vector(vp, selected_vector(vp), value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_ENABLE, 2):
		enable_queue(vp, value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_DESCLO, 4):
	case REGISTER(VIRTIO_PCI_COMMON_Q_DESCHI, 4):
		set_area_half(vp, SK_VIRTIO_AREA_DESC, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_AVAILLO, 4):
	case REGISTER(VIRTIO_PCI_COMMON_Q_AVAILHI, 4):
		set_area_half(vp, SK_VIRTIO_AREA_DRIVER, offset == VIRTIO_PCI_COMMON_Q_AVAILHI,
			      value);
		break;
	case REGISTER(VIRTIO_PCI_COMMON_Q_USEDLO, 4):
	case REGISTER(VIRTIO_PCI_COMMON_Q_USEDHI, 4):
		set_area_half(vp, SK_VIRTIO_AREA_DEVICE, offset == VIRTIO_PCI_COMMON_Q_USEDHI,
			      value);
		break;
	default:
		count_bad(vp);
	}
}

static uint64_t read_isr(struct sk_virtio_pci *vp, uint64_t offset, unsigned size_bytes)
{
	if (offset != 0 || size_bytes != 1) {
		count_bad(vp);
		return 0;
	}
	/* Acquire: pairs with the release of who set the bit. */
	return atomic_exchange_explicit(&vp->isr, 0, memory_order_acq_rel);
}

/* The value, which repeats the number of the queue, says nothing that the address does not. */
static void notify(struct sk_virtio_pci *vp, uint64_t offset)
{
	uint64_t queue = offset / NOTIFY_MULTIPLIER;

	if (offset % NOTIFY_MULTIPLIER == 0 && queue < vp->nr_queues)
		sk_virtio_ring_doorbell(vp->config.virtio, (uint32_t)queue);
	else
		count_bad(vp);
}

uint64_t virtio_pci_bar_read(void *dev, unsigned bar, uint64_t offset, unsigned size_bytes)
{
	struct sk_virtio_pci *vp = dev;
	uint64_t at = offset % REGION_BYTES;

	(void)bar; /* there is one */
	switch (offset - at) {
	case COMMON_OFFSET:
		return read_common(vp, at, size_bytes);
	case ISR_OFFSET:
		return read_isr(vp, at, size_bytes);
	case DEVICE_OFFSET:
		return sk_virtio_config_read(vp->config.virtio, at, size_bytes);
	default:
		count_bad(vp);
		return 0;
	}
}

void virtio_pci_bar_write(void *dev, unsigned bar, uint64_t offset, unsigned size_bytes,
			  uint64_t value)
{
	struct sk_virtio_pci *vp = dev;
	uint64_t at = offset % REGION_BYTES;

	(void)bar;
	switch (offset - at) {
	case COMMON_OFFSET:
		write_common(vp, at, size_bytes, value);
		break;
	case DEVICE_OFFSET:
		sk_virtio_config_write(vp->config.virtio, at, size_bytes, value);
		break;
	case NOTIFY_OFFSET:
		notify(vp, at);
		break;
	default:
		count_bad(vp);
	}
}

/* ---- The window in the configuration space ---- */

struct window {
	uint8_t bar;
	uint32_t offset, length;
	uint8_t data[DATA_BYTES];
};

/* What the window shows, if the access touches its data and the driver has kept to the rules. */
static bool look_at_window(struct sk_virtio_pci *vp, unsigned offset, unsigned size_bytes,
			   struct window *w)
{
	uint8_t raw[CAP_DATA + DATA_BYTES];

	if (!sk_ranges_overlap(offset, size_bytes, vp->window_cap + CAP_DATA, DATA_BYTES))
		return false;
	sk_pci_fn_get_config(vp->fn, vp->window_cap, raw, sizeof(raw));
	w->bar = raw[CAP_BAR];
	w->offset = sk_load_le32(raw + CAP_OFFSET);
	w->length = sk_load_le32(raw + CAP_LENGTH);
	memcpy(w->data, raw + CAP_DATA, DATA_BYTES);
	if ((w->length == 1 || w->length == 2 || w->length == 4) &&
	    sk_is_aligned(w->offset, w->length))
		return true;
	count_bad(vp);
	return false;
}

void virtio_pci_before_config_read(void *dev, unsigned offset, unsigned size_bytes)
{
	struct sk_virtio_pci *vp = dev;
	struct window w;

	if (!look_at_window(vp, offset, size_bytes, &w))
		return;
	sk_store_le32(w.data, (uint32_t)sk_pci_fn_window_read(vp->fn, w.bar, w.offset, w.length));
	sk_pci_fn_set_config(vp->fn, vp->window_cap + CAP_DATA, w.data, w.length);
}

void virtio_pci_after_config_write(void *dev, unsigned offset, unsigned size_bytes)
{
	struct sk_virtio_pci *vp = dev;
	uint64_t value;
	struct window w;

	if (!look_at_window(vp, offset, size_bytes, &w))
		return;
	value = sk_load_le32(w.data) & (UINT32_MAX >> (32 - 8 * w.length));
	sk_pci_fn_window_write(vp->fn, w.bar, w.offset, w.length, value);
}
