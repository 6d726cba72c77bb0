/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The object: the function with its capabilities (virtio 1.2, 4.1.4), interrupts, doorbells. */
#include "virtio_pci_internal.h"

#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ids.h>

#define STATE_VERSION	1
#define VENDOR_ID	0x1af4
#define FIRST_DEVICE_ID 0x1040 /* 4.1.2: and the number of the device's type */
#define REVISION	1      /* 4.1.2.1: not transitional */
#define CLASS_OTHER	0x00ff00

/* ---- Interrupts: the loop's thread, and others for the configuration ---- */

/* The eventfd behind a vector of the driver's choice; -1: it has chosen none, or has no MSI-X. */
static int vector_fd(const struct sk_virtio_pci *vp, const _Atomic uint16_t *vector)
{
	uint16_t v = atomic_load_explicit(vector, memory_order_relaxed);

	return sk_pci_fn_is_msix_enabled(vp->fn) ? sk_pci_fn_vector_fd(vp->fn, v) : -1;
}

static void note(struct sk_virtio_pci *vp, uint8_t bit)
{
	/* Release: what the bit is about. The driver reads and clears the register. */
	atomic_fetch_or_explicit(&vp->isr, bit, memory_order_release);
}

/* 4.1.4.5.1: with MSI-X the ISR status says nothing of queues. */
static void interrupt_queue(void *transport, uint32_t index)
{
	struct sk_virtio_pci *vp = transport;
	int fd = vector_fd(vp, &vp->queue_vectors[index]);

	if (fd >= 0)
		sk_eventfd_signal(fd);
	else if (!sk_pci_fn_is_msix_enabled(vp->fn))
		note(vp, ISR_QUEUE);
}

static void interrupt_config(void *transport)
{
	struct sk_virtio_pci *vp = transport;
	int fd = vector_fd(vp, &vp->config_vector);

	note(vp, ISR_CONFIG);
	if (fd >= 0)
		sk_eventfd_signal(fd);
}

static int interrupt_fd(void *transport, uint32_t index)
{
	struct sk_virtio_pci *vp = transport;

	return vector_fd(vp, &vp->queue_vectors[index]);
}

static const struct sk_virtio_transport_ops transport_ops = {
	.interrupt_queue = interrupt_queue,
	.interrupt_config = interrupt_config,
	.interrupt_fd = interrupt_fd,
};

void virtio_pci_forget(struct sk_virtio_pci *vp)
{
	vp->device_feature_select = vp->driver_feature_select = 0;
	vp->queue_select = 0;
	vp->config_vector = NO_VECTOR;
	for (uint32_t i = 0; i < SK_VIRTIO_MAX_QUEUES; i++)
		vp->queue_vectors[i] = NO_VECTOR;
	vp->isr = 0;
}

/* ---- Doorbells ---- */

static gpa_t doorbell_gpa(const struct sk_virtio_pci *vp, uint32_t queue)
{
	return vp->doorbells_gpa + queue * NOTIFY_MULTIPLIER;
}

static void detach_doorbells(struct sk_virtio_pci *vp)
{
	for (uint32_t i = 0; i < vp->nr_queues; i++) {
		if (!sk_bit_test(vp->doorbells, i))
			continue;
		vp->config.detach_doorbell(vp->config.ctx, doorbell_gpa(vp, i),
					   sk_virtio_doorbell_fd(vp->config.virtio, i));
		sk_bit_clear(vp->doorbells, i);
	}
}

static void attach_doorbells(struct sk_virtio_pci *vp)
{
	for (uint32_t i = 0; vp->config.attach_doorbell && i < vp->nr_queues; i++) {
		if (!vp->config.attach_doorbell(vp->config.ctx, doorbell_gpa(vp, i),
						sk_virtio_doorbell_fd(vp->config.virtio, i)))
			sk_bit_set(vp->doorbells, i);
	}
}

static void bar_moved(void *dev, unsigned bar, uint64_t gpa)
{
	struct sk_virtio_pci *vp = dev;

	(void)bar;
	detach_doorbells(vp);
	vp->doorbells_gpa = gpa == SK_PCI_UNMAPPED ? SK_PCI_UNMAPPED : gpa + NOTIFY_OFFSET;
	if (gpa != SK_PCI_UNMAPPED)
		attach_doorbells(vp);
}

static const struct sk_pci_fn_ops fn_ops = {
	.bar_read = virtio_pci_bar_read,
	.bar_write = virtio_pci_bar_write,
	.bar_moved = bar_moved,
	.before_config_read = virtio_pci_before_config_read,
	.after_config_write = virtio_pci_after_config_write,
};

/* ---- The function ---- */

static uint32_t class_code(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* Ethernet controller */
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_FS:
	case VIRTIO_ID_PMEM:
		return 0x018000; /* storage, other */
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
		return 0x078000; /* communication, other */
	case VIRTIO_ID_GPU:
		return 0x038000; /* display, other */
	case VIRTIO_ID_INPUT:
		return 0x098000; /* input, other */
	default:
		return CLASS_OTHER;
	}
}

/* A capability of @extra_bytes more than struct virtio_pci_cap, which @tail holds. */
static int add_cap(struct sk_virtio_pci *vp, uint8_t type, uint32_t offset, uint32_t length,
		   const uint8_t *tail)
{
	const size_t tail_bytes = tail ? 4 : 0;
	struct virtio_pci_cap cap = {
		.cap_len = (uint8_t)(sizeof(cap) + tail_bytes),
		.cfg_type = type,
		.bar = BAR,
		.offset = SK_LE32(offset),
		.length = SK_LE32(length),
	};
	uint8_t body[sizeof(cap) + 4], writable[sizeof(cap) + 4] = {0};

	memcpy(body, &cap, sizeof(cap));
	if (tail)
		memcpy(body + sizeof(cap), tail, tail_bytes);
	if (type == VIRTIO_PCI_CAP_PCI_CFG) {
		memset(writable + offsetof(struct virtio_pci_cap, bar), 0xff, 1);
		memset(writable + offsetof(struct virtio_pci_cap, offset), 0xff, 12);
	}
	/* The bus itself fills in the first two bytes. */
	return sk_pci_fn_add_capability(vp->fn, PCI_CAP_ID_VNDR, body + 2,
					sizeof(cap) + tail_bytes - 2, writable + 2);
}

static int add_caps(struct sk_virtio_pci *vp, struct sk_error *err)
{
	const uint8_t multiplier[4] = {NOTIFY_MULTIPLIER}, nothing[4] = {0};
	int ret = add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFFSET, COMMON_BYTES, NULL);

	if (ret >= 0)
		ret = add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFFSET, 1, NULL);
	if (ret >= 0)
		ret = add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFFSET, REGION_BYTES, NULL);
	if (ret >= 0)
		ret = add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFFSET,
			      vp->nr_queues * NOTIFY_MULTIPLIER, multiplier);
	if (ret >= 0)
		ret = add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, nothing);
	if (ret < 0)
		return sk_error_set(err, ret, "virtio-pci: no room for the capabilities of %s",
				    vp->config.name);
	vp->window_cap = (unsigned)ret;
	return 0;
}

static int create_function(struct sk_virtio_pci *vp, struct sk_error *err)
{
	const uint32_t id = sk_virtio_device_id(vp->config.virtio);
	const struct sk_pci_fn_config config = {
		.vendor_id = VENDOR_ID,
		.device_id = (uint16_t)(FIRST_DEVICE_ID + id),
		.subsystem_vendor_id = VENDOR_ID,
		.subsystem_id = (uint16_t)(FIRST_DEVICE_ID + id),
		.class_code = class_code(id),
		.revision = REVISION,
		.name = vp->config.name,
		.ops = &fn_ops,
		.dev = vp,
	};
	const struct sk_pci_msix_config msix = {
		.bar = BAR,
		.table_offset = TABLE_OFFSET,
		.pba_offset = PBA_OFFSET,
		.nr_vectors = vp->nr_vectors,
	};
	int ret = sk_pci_fn_create(&vp->fn, vp->config.pci, &config, err);

	if (ret)
		return ret;
	ret = sk_pci_fn_add_bar(vp->fn, BAR, SK_PCI_BAR_64, BAR_BYTES, err);
	if (ret)
		return ret;
	ret = sk_pci_fn_add_msix(vp->fn, &msix, err);
	return ret ? ret : add_caps(vp, err);
}

int sk_virtio_pci_create(struct sk_virtio_pci **out, const struct sk_virtio_pci_config *config,
			 struct sk_error *err)
{
	struct sk_virtio_pci *vp = calloc(1, sizeof(*vp));
	int ret;

	if (!vp)
		return sk_error_set(err, -ENOMEM, "no memory for a virtio-pci device");
	vp->config = *config;
	vp->nr_queues = sk_virtio_nr_queues(config->virtio);
	vp->nr_vectors = (uint16_t)(vp->nr_queues + 1);
	vp->doorbells_gpa = SK_PCI_UNMAPPED;
	virtio_pci_forget(vp);
	ret = create_function(vp, err);
	vp->config.name = NULL; /* the caller's */
	if (ret) {
		sk_pci_fn_destroy(vp->fn);
		free(vp);
		return ret;
	}
	sk_virtio_attach(config->virtio, &transport_ops, vp);
	*out = vp;
	return 0;
}

void sk_virtio_pci_destroy(struct sk_virtio_pci *vp)
{
	if (!vp)
		return;
	sk_virtio_attach(vp->config.virtio, NULL, NULL);
	detach_doorbells(vp);
	sk_pci_fn_destroy(vp->fn);
	free(vp);
}

struct sk_pci_fn *sk_virtio_pci_fn(const struct sk_virtio_pci *vp)
{
	return vp->fn;
}

uint64_t sk_virtio_pci_bad_accesses(const struct sk_virtio_pci *vp)
{
	return atomic_load_explicit(&vp->bad_accesses, memory_order_relaxed);
}

/* ---- State ---- */

void sk_virtio_pci_save(const struct sk_virtio_pci *vp, struct sk_writer *w)
{
	sk_put_u32(w, STATE_VERSION);
	sk_put_u32(w, vp->device_feature_select);
	sk_put_u32(w, vp->driver_feature_select);
	sk_put_u16(w, vp->queue_select);
	sk_put_u8(w, vp->isr);
	sk_put_u16(w, vp->config_vector);
	sk_put_u16(w, (uint16_t)vp->nr_queues);
	for (uint32_t i = 0; i < vp->nr_queues; i++)
		sk_put_u16(w, vp->queue_vectors[i]);
}

static bool is_vector(const struct sk_virtio_pci *vp, uint16_t vector)
{
	return vector < vp->nr_vectors || vector == NO_VECTOR;
}

int sk_virtio_pci_restore(struct sk_virtio_pci *vp, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r), device = sk_get_u32(r), driver = sk_get_u32(r);
	uint16_t queue_select = sk_get_u16(r), vectors[SK_VIRTIO_MAX_QUEUES], config_vector;
	uint8_t isr = sk_get_u8(r);
	bool is_possible = !(isr & ~(ISR_QUEUE | ISR_CONFIG));

	if (sk_reader_ok(r) && version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "virtio-pci: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	config_vector = sk_get_u16(r);
	is_possible = is_possible && is_vector(vp, config_vector) && sk_get_u16(r) == vp->nr_queues;
	for (uint32_t i = 0; is_possible && i < vp->nr_queues; i++) {
		vectors[i] = sk_get_u16(r);
		is_possible = is_vector(vp, vectors[i]);
	}
	if (!is_possible || !sk_reader_ok(r))
		return sk_error_set(err, -EINVAL,
				    "virtio-pci: the saved state is truncated or impossible");
	vp->device_feature_select = device;
	vp->driver_feature_select = driver;
	vp->queue_select = queue_select;
	vp->isr = isr;
	vp->config_vector = config_vector;
	for (uint32_t i = 0; i < vp->nr_queues; i++)
		vp->queue_vectors[i] = vectors[i];
	return 0;
}
