/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random accesses to the registers, at any width, with turns of the loop, guest memory and saved
 * states in between. Four bytes an operation: what, where, and a value that is spread out.
 */
#include <skete/virtio/mmio.h>

#include <virtio_fuzz.h>
#include <virtio_sink.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t values[] = {
	0,    1,    2,	    3,	    4,	    8,	     11,	 15,
	0x20, 0x40, 0x1000, 0x2000, 0xffff, 0x10000, UINT32_MAX, 0x80000000,
};

static void access_register(struct sk_virtio_mmio *m, uint8_t how, uint8_t where, uint8_t byte)
{
	const unsigned size_bytes = 1u << (how >> 3 & 3);
	/* Mostly registers where they are; sometimes anywhere, and the configuration space. */
	uint64_t offset = how & 0x40 ? where : where & 0xfc;

	if (how & 0x20)
		offset += 0x100 - (offset & 0x80);
	if (offset + size_bytes > SK_VIRTIO_MMIO_BYTES)
		return;
	if (how & 0x80)
		(void)sk_virtio_mmio_ops.read(m, offset, size_bytes);
	else
		sk_virtio_mmio_ops.write(m, offset, size_bytes, values[byte % 16] + (byte >> 4));
}

static void restore_patched(struct sk_virtio_mmio *m, uint8_t at, uint8_t byte)
{
	uint8_t raw[64], again[64];
	struct sk_writer w;
	struct sk_reader r;

	sk_writer_init(&w, raw, sizeof(raw));
	sk_virtio_mmio_save(m, &w);
	BUG_ON(!sk_writer_ok(&w));
	raw[at % w.len_bytes] ^= byte;
	sk_reader_init(&r, raw, w.len_bytes);
	if (sk_virtio_mmio_restore(m, &r, NULL))
		return;
	sk_writer_init(&w, again, sizeof(again));
	sk_virtio_mmio_save(m, &w);
	BUG_ON(memcmp(raw, again, w.len_bytes) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sk_gmem *gm = virtio_fuzz_memory();
	struct sk_virtio_mmio_config config = {.gpa = 0xfeb00000, .irq_fd = sk_eventfd_create()};
	struct sk_virtio_mmio *m;
	struct virtio_sink sink;

	BUG_ON(config.irq_fd < 0 || sk_gmem_fill(gm, 0, 0, VIRTIO_FUZZ_RAM_BYTES));
	virtio_sink_init(&sink, gm, virtio_fuzz_loop());
	config.virtio = sink.virtio;
	BUG_ON(sk_virtio_mmio_create(&m, &config, NULL));
	for (; size >= 4; data += 4, size -= 4) {
		switch (data[0] & 7) {
		case 0:
			BUG_ON(sk_loop_turn(virtio_fuzz_loop(), 0) < 0);
			break;
		case 1:
			BUG_ON(sk_gmem_write(gm, 0x1000 + data[1] * 2u, data + 2, 2));
			break;
		case 2:
			restore_patched(m, data[1], data[2]);
			break;
		default:
			access_register(m, data[0], data[1], data[2]);
			break;
		}
	}
	sk_virtio_halt(sink.virtio);
	sk_virtio_mmio_destroy(m);
	virtio_sink_fini(&sink);
	sk_close(&config.irq_fd);
	return 0;
}
