/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * How well the limits of the network device hold: a driver that sends all it can, and a back end
 * that has as many frames as the device takes, for SECONDS with each limit, which is changed while
 * both go on. usage: net_limit_bench SECONDS JSON
 */
#include "fake_netif.h"

#include <stdio.h>

#include <skete/dev/net.h>
#include <virtio_driver.h>

#define FRAME	  1500
#define BUFFERS	  64
#define IN_FRAMES 256

struct bench {
	struct sk_gmem *gm;
	struct sk_loop *loop;
	struct fake_netif *fake;
	struct sk_net *net;
	struct virtio_driver driver;
	gpa_t gpa;
};

static void setup(struct bench *b)
{
	struct sk_net_config config = {.mac = {2, 0, 0, 0, 0, 1}};

	b->gm = virtio_driver_memory(16 * SK_MIB);
	BUG_ON(sk_loop_create(&b->loop, NULL, NULL));
	b->fake = fake_create(1, 0);
	config.gm = b->gm;
	config.loop = b->loop;
	config.netif = &b->fake->nif;
	BUG_ON(sk_net_create(&b->net, &config, NULL));
	virtio_driver_init(&b->driver, sk_net_virtio(b->net));
	BUG_ON(!virtio_driver_start(&b->driver, 0, BUFFERS));
	b->gpa = virtio_driver_alloc(&b->driver, 8192);
	for (unsigned i = 0; i < IN_FRAMES; i++)
		fake_push(b->fake, (const uint8_t[]){2, 0, 0, 0, 0, 1}, FRAME);
}

/* Both directions busy until @deadline_ns. */
static void run_until(struct bench *b, uint64_t deadline_ns)
{
	while (sk_now_ns() < deadline_ns) {
		const struct guest_buf tx = {b->gpa, SK_NETIF_HDR_BYTES + FRAME, false};
		const struct guest_buf rx = {b->gpa + 4096, 2048, true};

		while (virtio_driver_poll(&b->driver, 0, NULL, NULL) ||
		       virtio_driver_poll(&b->driver, 1, NULL, NULL))
			;
		while (virtio_driver_send(&b->driver, 1, &tx, 1, 0))
			;
		while (virtio_driver_send(&b->driver, 0, &rx, 1, 0))
			;
		/* The same frames again and again. */
		if (b->fake->next_in > IN_FRAMES / 2)
			b->fake->next_in = 0;
		BUG_ON(sk_loop_turn(b->loop, 10000000) < 0);
	}
}

static double deviation(double got, double limit)
{
	return 100 * (got - limit) / limit;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct sk_limiter_config limit;
	} steps[] = {
		{"10 MB/s", {.bytes_per_s = 10000000}},
		{"40 MB/s", {.bytes_per_s = 40000000}},
		{"2000 frames/s", {.ops_per_s = 2000}},
		{"8000 frames/s", {.ops_per_s = 8000}},
	};
	double seconds = argc == 3 ? strtod(argv[1], NULL) : 0, worst = 0;
	struct bench b;
	FILE *json = seconds > 0 ? fopen(argv[2], "w") : NULL;

	if (!json)
		return 2;
	setup(&b);
	fprintf(json, "{\"seconds\": %g, \"steps\": [", seconds);
	printf("%-14s %14s %14s\n", "limit", "to the guest", "from it");
	for (size_t i = 0; i < SK_ARRAY_SIZE(steps); i++) {
		bool is_bytes = steps[i].limit.bytes_per_s;
		double limit =
			(double)(is_bytes ? steps[i].limit.bytes_per_s : steps[i].limit.ops_per_s);
		struct sk_net_stats before, after;
		uint64_t start_ns;
		double passed, rx, tx;

		BUG_ON(sk_net_set_limits(b.net, &steps[i].limit, &steps[i].limit));
		/* What the bucket holds at first, 100 ms, is no part of the rate. */
		run_until(&b, sk_now_ns() + 300000000);
		sk_net_get_stats(b.net, &before);
		start_ns = sk_now_ns();
		run_until(&b, start_ns + (uint64_t)(seconds * 1e9));
		sk_net_get_stats(b.net, &after);
		passed = (double)(sk_now_ns() - start_ns) / 1e9;
		rx = (double)(is_bytes ? after.rx_bytes - before.rx_bytes
				       : after.rx_frames - before.rx_frames) /
		     passed;
		tx = (double)(is_bytes ? after.tx_bytes - before.tx_bytes
				       : after.tx_frames - before.tx_frames) /
		     passed;
		worst = SK_MAX(worst, SK_MAX(deviation(rx, limit), -deviation(rx, limit)));
		worst = SK_MAX(worst, SK_MAX(deviation(tx, limit), -deviation(tx, limit)));
		printf("%-14s %+13.2f%% %+13.2f%%\n", steps[i].name, deviation(rx, limit),
		       deviation(tx, limit));
		fprintf(json, "%s{\"limit\": \"%s\", \"rx_percent\": %.3f, \"tx_percent\": %.3f}",
			i ? ", " : "", steps[i].name, deviation(rx, limit), deviation(tx, limit));
	}
	fprintf(json, "], \"worst_percent\": %.3f}\n", worst);
	fclose(json);
	printf("worst: %.2f%% (aim: 5%%)%s\n", worst, worst > 5 ? ": MISSED" : "");
	virtio_driver_fini(&b.driver);
	sk_loop_destroy(b.loop);
	sk_net_destroy(b.net);
	sk_netif_destroy(&b.fake->nif);
	sk_gmem_destroy(b.gm);
	return 0;
}
