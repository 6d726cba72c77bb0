/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <virtio_driver.h>

struct rig {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct sk_rng *rng;
	struct virtio_driver d;
	char path[64];
	FILE *fifo; /* the other end of the source */
};

static int open_rig(struct rig *rig, const char *path)
{
	const struct sk_rng_config config = {.gm = rig->gm, .loop = rig->loop, .path = path};
	struct sk_error err;
	int ret = sk_rng_create(&rig->rng, &config, &err);

	if (!ret)
		virtio_driver_init(&rig->d, sk_rng_virtio(rig->rng));
	return ret;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->gm = virtio_driver_memory(16 * SK_MIB);
	assert_int_equal(sk_loop_create(&rig->loop, &(struct sk_loop_config){0}, NULL), 0);
	*state = rig;
	return 0;
}

static int set_up_host(void **state)
{
	set_up(state);
	return open_rig(*state, NULL);
}

static int set_up_fifo(void **state)
{
	struct rig *rig;

	set_up(state);
	rig = *state;
	snprintf(rig->path, sizeof(rig->path), "/tmp/skete-rng-%d", (int)getpid());
	unlink(rig->path);
	assert_int_equal(mkfifo(rig->path, 0600), 0);
	assert_int_equal(open_rig(rig, rig->path), 0);
	rig->fifo = fopen(rig->path, "w");
	assert_non_null(rig->fifo);
	setvbuf(rig->fifo, NULL, _IONBF, 0);
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	if (rig->rng)
		virtio_driver_fini(&rig->d);
	sk_rng_destroy(rig->rng);
	sk_loop_destroy(rig->loop);
	sk_gmem_destroy(rig->gm);
	if (rig->fifo)
		fclose(rig->fifo);
	if (rig->path[0])
		unlink(rig->path);
	free(rig);
	return 0;
}

/* How often the most frequent byte is there. */
static unsigned most_frequent(const uint8_t *data, size_t len)
{
	unsigned count[256] = {0}, most = 0;

	for (size_t i = 0; i < len; i++)
		count[data[i]]++;
	for (int i = 0; i < 256; i++)
		most = SK_MAX(most, count[i]);
	return most;
}

static void the_hosts_numbers_are_random(void **state)
{
	struct rig *rig = *state;
	struct sk_rng_stats stats;
	uint8_t data[2][8192] = {{0}};
	uint32_t written;
	gpa_t gpa;

	assert_true(virtio_driver_start(&rig->d, 0, 0));
	gpa = virtio_driver_alloc(&rig->d, 8192);
	for (int i = 0; i < 2; i++) {
		const struct guest_buf bufs[] = {{gpa, 100, true}, {gpa + 100, 8000, true}};

		assert_true(virtio_driver_send(&rig->d, 0, bufs, 2, 0));
		assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
		assert_int_equal(written, SK_RNG_MAX_BYTES);
		virtio_driver_read(&rig->d, gpa, data[i], sizeof(data[i]));
		/* A chance of 1 in 10^40 that this is an honest source. */
		assert_true(most_frequent(data[i], written) < 100);
		assert_int_equal(data[i][8191], 0);
	}
	assert_memory_not_equal(data[0], data[1], 4096);
	sk_rng_get_stats(rig->rng, &stats);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.bytes, 2 * SK_RNG_MAX_BYTES);
}

static void many_requests_are_served(void **state)
{
	struct rig *rig = *state;
	struct guest_buf buf = {.len_bytes = 64, .is_writable = true};
	uint32_t written;

	assert_true(virtio_driver_start(&rig->d, SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED), 64));
	buf.gpa = virtio_driver_alloc(&rig->d, 4096);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 64; i++)
			assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
		assert_false(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
		for (int i = 0; i < 64; i++) {
			assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
			assert_int_equal(written, 64);
		}
	}
	assert_int_equal(rig->d.rings[0].nr_errors, 0);
}

static void strange_buffers_do_no_harm(void **state)
{
	struct rig *rig = *state;
	uint8_t untouched[64];
	struct guest_buf bufs[2];
	uint32_t written = 1;
	gpa_t gpa;

	assert_true(virtio_driver_start(&rig->d, 0, 0));
	gpa = virtio_driver_alloc(&rig->d, 4096);
	/* Nothing to write into. */
	bufs[0] = (struct guest_buf){gpa, 64, false};
	assert_true(virtio_driver_send(&rig->d, 0, bufs, 1, 0));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 0);
	/* What is readable stays as it is. */
	bufs[1] = (struct guest_buf){gpa + 64, 64, true};
	assert_true(virtio_driver_send(&rig->d, 0, bufs, 2, 0));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 64);
	virtio_driver_read(&rig->d, gpa, untouched, sizeof(untouched));
	assert_int_equal(most_frequent(untouched, 64), 64);
	/* Outside of memory: NEEDS_RESET, and after the reset all is well. */
	bufs[0] = (struct guest_buf){UINT64_C(1) << 40, 64, true};
	assert_true(virtio_driver_send(&rig->d, 0, bufs, 1, 0));
	virtio_driver_settle(&rig->d);
	assert_true(sk_virtio_status(rig->d.virtio) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	assert_true(virtio_driver_send(&rig->d, 0, bufs + 1, 1, 0));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 64);
}

static void a_file_gives_what_it_has(void **state)
{
	struct rig *rig = *state;
	struct guest_buf buf = {.len_bytes = 64, .is_writable = true};
	char data[8] = "";
	uint32_t written;

	assert_true(virtio_driver_start(&rig->d, 0, 0));
	buf.gpa = virtio_driver_alloc(&rig->d, 4096);
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	virtio_driver_settle(&rig->d);
	assert_false(virtio_driver_poll(&rig->d, 0, NULL, NULL));
	fputs("random", rig->fifo);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 6);
	virtio_driver_read(&rig->d, buf.gpa, data, 6);
	assert_string_equal(data, "random");
	/* Pause and reset do not wait for the file. */
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	virtio_driver_settle(&rig->d);
	sk_virtio_pause(rig->d.virtio);
	assert_false(virtio_driver_poll(&rig->d, 0, NULL, NULL));
	sk_virtio_resume(rig->d.virtio);
	fputs("more", rig->fifo);
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 4);
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	virtio_driver_settle(&rig->d);
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	/* The end of the file is the end of the device, not of the monitor. */
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	fclose(rig->fifo);
	rig->fifo = NULL;
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 0);
	assert_true(sk_virtio_status(rig->d.virtio) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void a_limit_holds(void **state)
{
	const struct sk_rng_config config = {
		.gm = ((struct rig *)*state)->gm,
		.loop = ((struct rig *)*state)->loop,
		.limit = {.bytes_per_s = 10000, .burst_bytes = 1000},
	};
	struct rig *rig = *state;
	struct guest_buf buf = {.len_bytes = 1000, .is_writable = true};
	uint64_t start_ns = sk_now_ns();
	uint32_t written;

	assert_int_equal(sk_rng_create(&rig->rng, &config, NULL), 0);
	virtio_driver_init(&rig->d, sk_rng_virtio(rig->rng));
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	buf.gpa = virtio_driver_alloc(&rig->d, 4096);
	for (int i = 0; i < 3; i++)
		assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	for (int i = 0; i < 3; i++) {
		assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
		assert_int_equal(written, 1000);
	}
	/* The burst at once, the two others after a tenth of a second each. */
	assert_true(sk_now_ns() - start_ns >= 200000000);
	/* Nothing of it is left after a reset. */
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	virtio_driver_settle(&rig->d);
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 0));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 1000);
}

static void sources_that_are_none_are_refused(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(open_rig(rig, "/nonexistent"), -ENOENT);
	assert_int_equal(open_rig(rig, "/tmp"), -EINVAL);
}

static void a_saved_device_is_restored(void **state)
{
	struct rig *rig = *state;
	uint8_t saved[256];
	struct sk_writer w;
	struct sk_reader r;

	sk_writer_init(&w, saved, sizeof(saved));
	sk_virtio_save(rig->d.virtio, &w);
	sk_reader_init(&r, saved, w.len_bytes);
	assert_int_equal(sk_virtio_restore(rig->d.virtio, &r, NULL), 0);
	saved[w.len_bytes - 4] = 9;
	sk_reader_init(&r, saved, w.len_bytes);
	assert_int_equal(sk_virtio_restore(rig->d.virtio, &r, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_hosts_numbers_are_random, set_up_host,
						tear_down),
		cmocka_unit_test_setup_teardown(many_requests_are_served, set_up_host, tear_down),
		cmocka_unit_test_setup_teardown(strange_buffers_do_no_harm, set_up_host, tear_down),
		cmocka_unit_test_setup_teardown(a_file_gives_what_it_has, set_up_fifo, tear_down),
		cmocka_unit_test_setup_teardown(a_limit_holds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sources_that_are_none_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_saved_device_is_restored, set_up_host, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
