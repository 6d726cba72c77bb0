/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/console.h>

#include <fcntl.h>
#include <linux/virtio_console.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <virtio_driver.h>

#define F_SIZE	    SK_VIRTIO_FEATURE(VIRTIO_CONSOLE_F_SIZE)
#define F_MULTIPORT SK_VIRTIO_FEATURE(VIRTIO_CONSOLE_F_MULTIPORT)
#define CONTROL_IN  2
#define CONTROL_OUT 3

/* One port on a socket pair; or three with names, on nothing. */
struct rig {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct sk_console *console;
	struct virtio_driver d;
	int host, device; /* the two ends of the socket */
	gpa_t gpa;	  /* 16 KiB */
};

static void make_console(struct rig *rig, bool is_multiport)
{
	const struct sk_console_port ports[] = {
		{.is_console = true, .in_fd = rig->device, .out_fd = rig->device},
		{.name = "org.skete.agent", .in_fd = -1, .out_fd = -1},
		{.name = "log", .in_fd = -1, .out_fd = rig->device},
	};
	const struct sk_console_config config = {
		.gm = rig->gm,
		.loop = rig->loop,
		.ports = ports,
		.nr_ports = is_multiport ? 3 : 1,
		.columns = 80,
		.rows = 25,
	};

	assert_int_equal(sk_console_create(&rig->console, &config, NULL), 0);
	virtio_driver_init(&rig->d, sk_console_virtio(rig->console));
	rig->gpa = virtio_driver_alloc(&rig->d, 16384);
}

static void destroy_console(struct rig *rig)
{
	virtio_driver_fini(&rig->d);
	sk_console_destroy(rig->console);
	rig->console = NULL;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int fds[2];

	rig->gm = virtio_driver_memory(64 * SK_MIB);
	assert_int_equal(sk_loop_create(&rig->loop, &(struct sk_loop_config){0}, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	rig->host = fds[0];
	rig->device = fds[1];
	assert_int_equal(fcntl(rig->host, F_SETFL, O_NONBLOCK), 0);
	make_console(rig, false);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	if (rig->console)
		destroy_console(rig);
	sk_loop_destroy(rig->loop);
	sk_gmem_destroy(rig->gm);
	sk_close(&rig->host);
	sk_close(&rig->device);
	free(rig);
	return 0;
}

static int set_up_multiport(void **state)
{
	struct rig *rig;

	set_up(state);
	rig = *state;
	destroy_console(rig);
	make_console(rig, true);
	return 0;
}

static void send_text(struct rig *rig, uint32_t queue, const char *text)
{
	const struct guest_buf buf = {rig->gpa, (uint32_t)strlen(text), false};

	virtio_driver_write(&rig->d, rig->gpa, text, strlen(text));
	assert_true(virtio_driver_send(&rig->d, queue, &buf, 1, 0));
	assert_true(virtio_driver_wait(&rig->d, queue, NULL, NULL));
}

/* What has arrived at the host by now. */
static size_t host_read(struct rig *rig, char *buf, size_t size)
{
	ssize_t n;

	virtio_driver_settle(&rig->d);
	n = read(rig->host, buf, size - 1);
	n = n < 0 ? 0 : n;
	buf[n] = '\0';
	return (size_t)n;
}

static void give_buffer(struct rig *rig, uint32_t queue, gpa_t gpa, uint32_t len, uint64_t token)
{
	const struct guest_buf buf = {gpa, len, true};

	assert_true(virtio_driver_send(&rig->d, queue, &buf, 1, token));
}

static void bytes_go_both_ways(void **state)
{
	struct rig *rig = *state;
	struct sk_console_stats stats;
	char text[64];
	uint32_t written;

	assert_int_equal(sk_virtio_device_features(rig->d.virtio, 0) & 7,
			 1u << VIRTIO_CONSOLE_F_SIZE | 1u << VIRTIO_CONSOLE_F_EMERG_WRITE);
	assert_true(virtio_driver_start(&rig->d, F_SIZE, 0));
	send_text(rig, 1, "login: ");
	host_read(rig, text, sizeof(text));
	assert_string_equal(text, "login: ");
	/* Input waits for a buffer, and is cut as the buffers are. */
	assert_int_equal(write(rig->host, "root\npassword\n", 14), 14);
	virtio_driver_settle(&rig->d);
	give_buffer(rig, 0, rig->gpa, 5, 1);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 5);
	give_buffer(rig, 0, rig->gpa + 5, 100, 2);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 9);
	virtio_driver_read(&rig->d, rig->gpa, text, 14);
	assert_memory_equal(text, "root\npassword\n", 14);
	/* And a buffer waits for input. */
	give_buffer(rig, 0, rig->gpa, 100, 3);
	virtio_driver_settle(&rig->d);
	assert_false(virtio_driver_poll(&rig->d, 0, NULL, NULL));
	assert_int_equal(write(rig->host, "x", 1), 1);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 1);
	sk_console_get_stats(rig->console, &stats);
	assert_int_equal(stats.in_bytes, 15);
	assert_int_equal(stats.out_bytes, 7);
	assert_int_equal(stats.lost_bytes, 0);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 256);
}

static void nothing_is_lost_when_nobody_reads(void **state)
{
	struct rig *rig = *state;
	enum { TOTAL = 4 * 1024 * 1024, CHUNK = 512 * 1024 };
	uint8_t *data = malloc(TOTAL);
	size_t seen = 0;
	gpa_t gpa;

	assert_true(virtio_driver_start(&rig->d, 0, 0));
	gpa = virtio_driver_alloc(&rig->d, TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		data[i] = pattern(i);
	virtio_driver_write(&rig->d, gpa, data, TOTAL);
	/* Chains longer than all the room there is. */
	for (size_t at = 0; at < TOTAL; at += CHUNK) {
		const struct guest_buf bufs[] = {{gpa + at, 1, false},
						 {gpa + at + 1, CHUNK - 1, false}};

		assert_true(virtio_driver_send(&rig->d, 1, bufs, 2, at));
	}
	virtio_driver_settle(&rig->d);
	assert_false(virtio_driver_poll(&rig->d, 1, NULL, NULL));
	/* A pause in the middle of a chain, too. */
	sk_virtio_pause(rig->d.virtio);
	sk_virtio_resume(rig->d.virtio);
	while (seen < TOTAL) {
		ssize_t n = read(rig->host, data, 100000);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			assert_true(sk_loop_turn(rig->loop, SK_LOOP_INFINITE) >= 0);
			continue;
		}
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(data[i], pattern(seen + (size_t)i));
		seen += (size_t)n;
	}
	virtio_driver_settle(&rig->d);
	for (size_t at = 0; at < TOTAL; at += CHUNK)
		assert_true(virtio_driver_poll(&rig->d, 1, NULL, NULL));
	free(data);
}

static void output_outlives_a_reset(void **state)
{
	struct rig *rig = *state;
	struct sk_console_stats stats;
	char text[64];

	assert_true(virtio_driver_start(&rig->d, 0, 0));
	send_text(rig, 1, "last words");
	destroy_console(rig);
	assert_int_equal(read(rig->host, text, sizeof(text)), 10);
	assert_memory_equal(text, "last words", 10);
	/* Nobody can read it any more: lost, counted, and no reason to stop. */
	make_console(rig, false);
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	sk_close(&rig->host);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		send_text(rig, 1, "into the void");
		virtio_driver_settle(&rig->d);
	}
	sk_console_get_stats(rig->console, &stats);
	assert_int_equal(stats.out_bytes, 39);
	assert_int_equal(stats.lost_bytes, 39);
}

static void emergency_bytes_need_no_driver(void **state)
{
	struct rig *rig = *state;
	char text[64];

	sk_virtio_config_write(rig->d.virtio, 8, 4, 'H');
	sk_virtio_config_write(rig->d.virtio, 8, 1, 'i');
	sk_virtio_config_write(rig->d.virtio, 0, 4, 'x'); /* not that register */
	host_read(rig, text, sizeof(text));
	assert_string_equal(text, "Hi");
	assert_int_equal(sk_virtio_config_read(rig->d.virtio, 0, 4), 25 << 16 | 80);
}

static void a_terminal_changes_its_size(void **state)
{
	struct rig *rig = *state;

	assert_true(virtio_driver_start(&rig->d, F_SIZE, 0));
	sk_console_resize(rig->console, 132, 50);
	virtio_driver_settle(&rig->d);
	assert_int_equal(rig->d.config_interrupts, 1);
	assert_int_equal(sk_virtio_config_read(rig->d.virtio, 0, 2), 132);
	assert_int_equal(sk_virtio_config_read(rig->d.virtio, 2, 2), 50);
}

static void say(struct rig *rig, uint32_t id, uint16_t event, uint16_t value)
{
	uint8_t message[8];
	const struct guest_buf buf = {rig->gpa, 8, false};

	sk_store_le32(message, id);
	sk_store_le16(message + 4, event);
	sk_store_le16(message + 6, value);
	virtio_driver_write(&rig->d, rig->gpa, message, 8);
	assert_true(virtio_driver_send(&rig->d, CONTROL_OUT, &buf, 1, 0));
	assert_true(virtio_driver_wait(&rig->d, CONTROL_OUT, NULL, NULL));
}

/* The next control message of the device is this one, with @more behind it. */
static void hear(struct rig *rig, uint32_t id, uint16_t event, const char *more, size_t more_len)
{
	uint8_t message[128];
	uint64_t token;
	uint32_t written;

	assert_true(virtio_driver_poll(&rig->d, CONTROL_IN, &token, &written));
	virtio_driver_read(&rig->d, rig->gpa + 256 * (1 + token), message, sizeof(message));
	assert_int_equal(sk_load_le32(message), id);
	assert_int_equal(sk_load_le16(message + 4), event);
	assert_int_equal(sk_load_le16(message + 6), 1);
	assert_int_equal(written, 8 + more_len);
	assert_memory_equal(message + 8, more, more_len);
	give_buffer(rig, CONTROL_IN, rig->gpa + 256 * (1 + token), 256, token);
}

static void begin_multiport(struct rig *rig)
{
	assert_true(virtio_driver_start(&rig->d, F_MULTIPORT, 0));
	for (uint64_t i = 0; i < 16; i++)
		give_buffer(rig, CONTROL_IN, rig->gpa + 256 * (1 + i), 256, i);
	say(rig, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t i = 0; i < 3; i++)
		hear(rig, i, VIRTIO_CONSOLE_PORT_ADD, "", 0);
	assert_false(virtio_driver_poll(&rig->d, CONTROL_IN, NULL, NULL));
}

static void ports_are_introduced(void **state)
{
	struct rig *rig = *state;
	uint32_t written;
	char text[64];

	begin_multiport(rig);
	assert_int_equal(sk_virtio_config_read(rig->d.virtio, 4, 4), 3);
	say(rig, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	hear(rig, 0, VIRTIO_CONSOLE_CONSOLE_PORT, "", 0);
	hear(rig, 0, VIRTIO_CONSOLE_RESIZE, "\x50\0\x19\0", 4);
	hear(rig, 0, VIRTIO_CONSOLE_PORT_OPEN, "", 0);
	say(rig, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	hear(rig, 1, VIRTIO_CONSOLE_PORT_NAME, "org.skete.agent", 15);
	hear(rig, 1, VIRTIO_CONSOLE_PORT_OPEN, "", 0);
	sk_console_resize(rig->console, 100, 30);
	virtio_driver_settle(&rig->d);
	hear(rig, 0, VIRTIO_CONSOLE_RESIZE, "\x64\0\x1e\0", 4);
	/* Input is for those who have opened the port. */
	assert_int_equal(write(rig->host, "abc", 3), 3);
	give_buffer(rig, 0, rig->gpa + 8192, 64, 0);
	virtio_driver_settle(&rig->d);
	assert_false(virtio_driver_poll(&rig->d, 0, NULL, NULL));
	say(rig, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 3);
	/* Port 2 has queues 6 and 7. */
	send_text(rig, 7, "a line of the log");
	host_read(rig, text, sizeof(text));
	assert_string_equal(text, "a line of the log");
	send_text(rig, 5, "to nowhere");
}

static void nonsense_is_ignored(void **state)
{
	struct rig *rig = *state;
	const struct guest_buf shorter = {rig->gpa, 7, false}, tiny = {rig->gpa, 1, true};

	begin_multiport(rig);
	say(rig, 3, VIRTIO_CONSOLE_PORT_READY, 1);
	say(rig, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
	say(rig, 0, 0xffff, 1);
	say(rig, 1, VIRTIO_CONSOLE_PORT_READY, 0);
	assert_true(virtio_driver_send(&rig->d, CONTROL_OUT, &shorter, 1, 0));
	assert_true(virtio_driver_wait(&rig->d, CONTROL_OUT, NULL, NULL));
	/* For ever the same: there is one message of a kind. */
	for (int i = 0; i < 100; i++)
		say(rig, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_true(virtio_driver_send(&rig->d, CONTROL_IN, &tiny, 1, 99));
	virtio_driver_settle(&rig->d);
	assert_int_equal(sk_virtio_status(rig->d.virtio), 15);
	/* A driver that knows no ports has one. */
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	send_text(rig, 1, "x");
}

static void a_saved_console_goes_on(void **state)
{
	static uint8_t saved[2 * SK_CONSOLE_OUT_BYTES];
	struct rig *rig = *state;
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;
	uint32_t written;
	char text[64];

	begin_multiport(rig);
	assert_int_equal(write(rig->host, "typed ahead", 11), 11);
	virtio_driver_settle(&rig->d);
	sk_virtio_pause(rig->d.virtio);
	sk_writer_init(&w, saved, sizeof(saved));
	sk_virtio_save(rig->d.virtio, &w);
	assert_true(sk_writer_ok(&w));
	destroy_console(rig);
	make_console(rig, true);
	for (size_t cut = 0; cut < w.len_bytes; cut += 1 + cut / 8) {
		destroy_console(rig);
		make_console(rig, true);
		sk_reader_init(&r, saved, cut);
		assert_int_equal(sk_virtio_restore(rig->d.virtio, &r, &err), -EINVAL);
	}
	destroy_console(rig);
	make_console(rig, true);
	sk_reader_init(&r, saved, w.len_bytes);
	assert_int_equal(sk_virtio_restore(rig->d.virtio, &r, &err), 0);
	sk_virtio_resume(rig->d.virtio);
	/* A driver that begins again gets what was typed. */
	begin_multiport(rig);
	give_buffer(rig, 0, rig->gpa + 8192, 64, 0);
	say(rig, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 11);
	virtio_driver_read(&rig->d, rig->gpa + 8192, text, 11);
	assert_memory_equal(text, "typed ahead", 11);
}

static void what_cannot_be_is_refused(void **state)
{
	char name[SK_CONSOLE_NAME_MAX + 1];
	const struct sk_console_port port = {.name = name, .in_fd = -1, .out_fd = -1};
	struct rig *rig = *state;
	struct sk_console_config config = {.gm = rig->gm, .loop = rig->loop, .ports = &port};
	struct sk_console *console;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(sk_console_create(&console, &config, NULL), -EINVAL);
	config.nr_ports = SK_CONSOLE_MAX_PORTS + 1;
	assert_int_equal(sk_console_create(&console, &config, NULL), -EINVAL);
	config.nr_ports = 1;
	assert_int_equal(sk_console_create(&console, &config, NULL), -EINVAL);
	sk_console_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_go_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_lost_when_nobody_reads, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(output_outlives_a_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(emergency_bytes_need_no_driver, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_terminal_changes_its_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ports_are_introduced, set_up_multiport, tear_down),
		cmocka_unit_test_setup_teardown(nonsense_is_ignored, set_up_multiport, tear_down),
		cmocka_unit_test_setup_teardown(a_saved_console_goes_on, set_up_multiport,
						tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
