/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A guest's memory and one call of the loader, for the tests of this brick. */
#ifndef SKETE_LOADER_TEST_WORLD_H
#define SKETE_LOADER_TEST_WORLD_H

#include <skete/loader.h>

#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_images.h"

#define KERNEL_PATH "/boot/a kernel"
#define INITRD_PATH "/boot/initrd.img"
#define STALE	    0xa5 /* what is left of an earlier guest */

struct world {
	struct sk_gmem *gm;
	struct sk_loader_config config;
	struct sk_loader_entry entry;
	struct sk_error err;
};

static inline int file_of(const void *bytes, size_t len_bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd > 0);
	assert_int_equal(write(fd, bytes, len_bytes), len_bytes);
	return fd;
}

/* RAM as a first guest left it. */
static inline void world_open(struct world *w, uint64_t ram_bytes, uint64_t stale_bytes)
{
	struct sk_gmem_region_config regions[2];
	struct sk_gmem_config config = {.regions = regions};
	int n = sk_gmem_layout_x86(ram_bytes, NULL, regions);

	assert_true(n > 0);
	config.nr_regions = (size_t)n;
	*w = (struct world){.config = {.kernel_path = KERNEL_PATH}};
	assert_int_equal(sk_gmem_create(&w->gm, &config, &w->err), 0);
	assert_int_equal(sk_gmem_fill(w->gm, 0, STALE, SK_MIN(ram_bytes, stale_bytes)), 0);
}

static inline void world_close(struct world *w)
{
	if (w->config.kernel_fd)
		sk_close(&w->config.kernel_fd);
	if (w->config.initrd_fd)
		sk_close(&w->config.initrd_fd);
	sk_gmem_destroy(w->gm);
}

static inline void world_set_initrd(struct world *w, const void *bytes, size_t len_bytes)
{
	if (w->config.initrd_fd)
		sk_close(&w->config.initrd_fd);
	w->config.initrd_path = INITRD_PATH;
	w->config.initrd_fd = file_of(bytes, len_bytes);
}

/* Loads @kernel with what is in w->config; the kernel's descriptor is new each time. */
static inline int world_load(struct world *w, const struct blob *kernel)
{
	if (w->config.kernel_fd)
		sk_close(&w->config.kernel_fd);
	w->config.kernel_fd = file_of(kernel->bytes, kernel->len_bytes);
	w->err = (struct sk_error){0};
	return sk_loader_load(&w->entry, w->gm, &w->config, &w->err);
}

static inline void world_load_ok(struct world *w, const struct blob *kernel)
{
	int rc = world_load(w, kernel);

	if (rc)
		fail_msg("%s", w->err.message);
}

/* The load must fail with @code and a sentence that names the kernel and has @text in it. */
static inline void world_load_fails(struct world *w, const struct blob *kernel, int code,
				    const char *text)
{
	int rc = world_load(w, kernel);

	if (rc != code || w->err.code != code || !strstr(w->err.message, text))
		fail_msg("wanted %d \"%s\", got %d \"%s\"", code, text, rc, w->err.message);
	if (!strstr(w->err.message, KERNEL_PATH))
		fail_msg("does not name the file: %s", w->err.message);
}

static inline const uint8_t *guest(const struct world *w, gpa_t gpa, size_t len_bytes)
{
	const uint8_t *p = sk_gmem_slice(w->gm, gpa, len_bytes);

	assert_non_null(p);
	return p;
}

static inline void assert_guest_zero(const struct world *w, gpa_t gpa, size_t len_bytes)
{
	const uint8_t *p = guest(w, gpa, len_bytes);
	size_t i;

	for (i = 0; i < len_bytes; i++)
		if (p[i])
			fail_msg("0x%zx is not zero", (size_t)gpa + i);
}

/* A change to a good image, and the sentence that it must lead to. */
struct damage {
	size_t at;
	unsigned int width; /* bytes; 0: cut the file off at @at */
	uint64_t value;
	int code;
	const char *text;
};

static inline void try_damages(struct world *w, const struct blob *good, const struct damage *d,
			       size_t n)
{
	static struct blob bad;
	size_t i, j;

	for (i = 0; i < n; i++) {
		bad = *good;
		if (!d[i].width)
			bad.len_bytes = d[i].at;
		for (j = 0; j < d[i].width; j++)
			bad.bytes[d[i].at + j] = (uint8_t)(d[i].value >> 8 * j);
		world_load_fails(w, &bad, d[i].code, d[i].text);
	}
}

/* Every length of the file: loads or fails with a sentence, and nothing else. */
static inline void try_truncations(struct world *w, const struct blob *good)
{
	static struct blob bad;
	size_t len;

	bad = *good;
	for (len = 1; len < good->len_bytes; len += len < 0x500 ? 1 : 251) {
		bad.len_bytes = len;
		if (world_load(w, &bad) && !strstr(w->err.message, KERNEL_PATH))
			fail_msg("length %zu: no sentence: \"%s\"", len, w->err.message);
	}
}

#endif
