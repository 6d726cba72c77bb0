/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random programs of guest and host against the clock's invariants: four bytes an operation, or a
 * saved state from the input.
 */
#include <skete/dev/rtc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t fuzz_clock(void *ctx)
{
	return *(int64_t *)ctx;
}

static void check(struct sk_rtc *rtc, int irq_fd, int64_t *now_ns)
{
	int64_t deadline = sk_rtc_deadline_ns(rtc);
	uint8_t first[256], second[256];
	struct sk_writer a, b;
	struct sk_reader r;

	/* The deadline lies ahead, within two days. If the host obeys it, there is an interrupt. */
	if (deadline != SK_RTC_NO_DEADLINE) {
		BUG_ON(deadline <= *now_ns);
		BUG_ON(deadline - *now_ns > INT64_C(2) * 86400 * 1000000000);
		sk_rtc_run(rtc);
		(void)sk_eventfd_drain(irq_fd);
		if (sk_rtc_deadline_ns(rtc) != SK_RTC_NO_DEADLINE) {
			*now_ns = deadline;
			sk_rtc_run(rtc);
			BUG_ON(sk_eventfd_drain(irq_fd) != 1);
			BUG_ON(sk_rtc_deadline_ns(rtc) != SK_RTC_NO_DEADLINE);
		}
	}
	sk_writer_init(&a, first, sizeof(first));
	sk_rtc_save(rtc, &a);
	sk_reader_init(&r, first, a.len_bytes);
	BUG_ON(!sk_writer_ok(&a) || sk_rtc_restore(rtc, &r, NULL));
	sk_writer_init(&b, second, sizeof(second));
	sk_rtc_save(rtc, &b);
	BUG_ON(a.len_bytes != b.len_bytes || memcmp(first, second, a.len_bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t now_ns = INT64_C(1700000000) * 1000000000;
	struct sk_rtc_config config = {
		.irq_fd = sk_eventfd_create(),
		.now_ns = fuzz_clock,
		.ctx = &now_ns,
	};
	struct sk_reader in;
	struct sk_rtc *rtc;

	BUG_ON(sk_rtc_create(&rtc, &config, NULL));
	sk_reader_init(&in, data, size);
	while (sk_reader_ok(&in) && in.pos_bytes < size) {
		uint8_t op = sk_get_u8(&in), index = sk_get_u8(&in);
		uint16_t value = sk_get_u16(&in);

		switch (op % 6) {
		case 0:
		case 1:
			sk_rtc_ops.write(rtc, 0, 1, index);
			sk_rtc_ops.write(rtc, 1, 1, value);
			break;
		case 2:
			sk_rtc_ops.write(rtc, 0, 1, index);
			(void)sk_rtc_ops.read(rtc, value & 1, value & 1 ? 1 : 2);
			break;
		case 3:
			now_ns += (int64_t)value << (index % 32);
			break;
		case 4:
			check(rtc, config.irq_fd, &now_ns);
			break;
		default:
			(void)!sk_rtc_restore(rtc, &in, NULL);
		}
	}
	check(rtc, config.irq_fd, &now_ns);
	sk_rtc_destroy(rtc);
	sk_close(&config.irq_fd);
	return 0;
}
