/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Small frames between a ring and a TAP device, without a guest: how many a second the network
 * device moves, beside a loop of writev() or readv() on the same TAP device. usage: net_bench NAME
 * ring|raw out|in SECONDS; prints JSON
 */
#include <stdio.h>
#include <time.h>

#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <skete/dev/net.h>
#include <virtio_driver.h>

#define FRAME_BYTES 64
#define BATCH	    64

static const uint8_t own_mac[] = {2, 0, 0, 0, 0, 1};

struct sender {
	const char *name;
	atomic_bool wants_end;
};

/* Floods the interface with frames for the other side of the TAP device. */
static void *send_frames(void *arg)
{
	struct sender *s = arg;
	uint8_t frame[FRAME_BYTES] = {0};
	struct iovec iov = {frame, sizeof(frame)};
	struct mmsghdr messages[BATCH] = {0};
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex(s->name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	BUG_ON(fd < 0);
	memcpy(frame, own_mac, sizeof(own_mac));
	frame[12] = 0x88, frame[13] = 0xb5; /* for experiments */
	for (unsigned i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_name = &to,
						      .msg_namelen = sizeof(to),
						      .msg_iov = &iov,
						      .msg_iovlen = 1};
	while (!atomic_load(&s->wants_end)) {
		/* What the TAP device has no room for is lost. */
		(void)!sendmmsg(fd, messages, BATCH, 0);
	}
	sk_close(&fd);
	return NULL;
}

static uint64_t by_syscalls(const char *name, bool is_out, uint64_t end_ns)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	uint8_t header[SK_NETIF_HDR_BYTES] = {0}, frame[2048] = {0};
	struct iovec iov[] = {{header, sizeof(header)}, {frame, sizeof(frame)}};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int hdr_bytes = SK_NETIF_HDR_BYTES;
	uint64_t nr = 0;

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	BUG_ON(fd < 0 || ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes));
	frame[12] = 0x88, frame[13] = 0xb5;
	iov[1].iov_len = is_out ? FRAME_BYTES : sizeof(frame);
	while (sk_now_ns() < end_ns) {
		ssize_t len = is_out ? writev(fd, iov, 2) : readv(fd, iov, 2);

		if (len >= 0)
			nr++;
		else
			(void)!poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10);
	}
	sk_close(&fd);
	return nr;
}

static uint64_t by_ring(const char *name, bool is_out, uint64_t end_ns)
{
	const struct sk_netif_tap_config tap = {.name = name, .nr_pairs = 1};
	struct sk_net_config config = {.gm = virtio_driver_memory(16 * SK_MIB)};
	struct virtio_driver driver;
	struct sk_net_stats stats;
	struct sk_netif *netif;
	struct guest_buf buf = {.len_bytes = SK_NETIF_HDR_BYTES + FRAME_BYTES};
	struct sk_error err = {0};
	struct sk_net *net;
	uint32_t queue = is_out;

	BUG_ON(sk_loop_create(&config.loop, NULL, NULL));
	if (sk_netif_tap_create(&netif, &tap, &err)) {
		fprintf(stderr, "net_bench: %s\n", err.message);
		exit(1);
	}
	config.netif = netif;
	memcpy(config.mac, own_mac, sizeof(own_mac));
	BUG_ON(sk_net_create(&net, &config, NULL));
	virtio_driver_init(&driver, sk_net_virtio(net));
	BUG_ON(!virtio_driver_start(&driver, SK_VIRTIO_FEATURE(VIRTIO_NET_F_MRG_RXBUF), 0));
	buf.gpa = virtio_driver_alloc(&driver, 4096);
	virtio_driver_write(&driver, buf.gpa + SK_NETIF_HDR_BYTES + 12, "\x88\xb5", 2);
	if (!is_out) {
		buf.len_bytes = 2048;
		buf.is_writable = true;
	}
	while (sk_now_ns() < end_ns) {
		while (virtio_driver_poll(&driver, queue, NULL, NULL))
			;
		while (virtio_driver_send(&driver, queue, &buf, 1, 0))
			;
		BUG_ON(sk_loop_turn(config.loop, 10000000) < 0);
	}
	sk_net_get_stats(net, &stats);
	virtio_driver_fini(&driver);
	sk_loop_destroy(config.loop);
	sk_net_destroy(net);
	sk_netif_destroy(netif);
	sk_gmem_destroy(config.gm);
	return is_out ? stats.tx_frames : stats.rx_frames;
}

/* Of this thread, which moves the frames. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	double seconds = argc == 5 ? strtod(argv[4], NULL) : 0;
	bool is_out, is_ring;
	uint64_t start_ns, nr;
	struct sender sender;
	pthread_t thread;

	if (seconds <= 0)
		return 2;
	is_ring = !strcmp(argv[2], "ring");
	is_out = !strcmp(argv[3], "out");
	sender = (struct sender){.name = argv[1]};
	if (!is_out)
		BUG_ON(pthread_create(&thread, NULL, send_frames, &sender));
	start_ns = sk_now_ns();
	nr = (is_ring ? by_ring : by_syscalls)(argv[1], is_out,
					       start_ns + (uint64_t)(seconds * 1e9));
	printf("{\"per_s\": %.0f, \"cpu_ns\": %.0f}\n",
	       (double)nr * 1e9 / (double)(sk_now_ns() - start_ns), (double)cpu_ns() / (double)nr);
	if (!is_out) {
		atomic_store(&sender.wants_end, true);
		pthread_join(thread, NULL);
	}
	return 0;
}
