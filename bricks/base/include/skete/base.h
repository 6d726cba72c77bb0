/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What every brick stands on: errors for humans, the logging hook, checked arithmetic, byte
 * order, bit sets, and the reader and writer of device state.
 *
 * Threading class: everything here is a pure function of its arguments or touches only the object
 * it is handed; the caller owns that object. Nothing blocks, prints, exits or sets errno.
 */
#ifndef SKETE_BASE_H
#define SKETE_BASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SK_MUST_CHECK		 __attribute__((warn_unused_result))
#define SK_PRINTF(f, a)		 __attribute__((format(printf, f, a)))
/* Seldom called: the compiler moves the way there out of the way of what is called. */
#define SK_COLD			 __attribute__((cold))
#define SK_API			 __attribute__((visibility("default")))

#define SK_ARRAY_SIZE(a)	 (sizeof(a) / sizeof((a)[0]))
/* What they return is evaluated twice: pass nothing that may change meanwhile, like a clock. */
#define SK_MIN(a, b)		 ((a) < (b) ? (a) : (b))
#define SK_MAX(a, b)		 ((a) > (b) ? (a) : (b))
#define SK_CONTAINER_OF(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))

#define SK_KIB			 (UINT64_C(1) << 10)
#define SK_MIB			 (UINT64_C(1) << 20)
#define SK_GIB			 (UINT64_C(1) << 30)

/* Our own bug: always compiled in, aborts. The condition must have no side effects. */
#define BUG_ON(cond)                               \
	do {                                       \
		if (__builtin_expect(!!(cond), 0)) \
			abort();                   \
	} while (0)

/*
 * Errors of the host and of the configuration. Functions return 0 or a negative errno value; the
 * set-up paths also take a caller-owned struct sk_error as their last parameter (NULL is allowed)
 * and leave there one sentence for a human: what failed, on what, what to do about it.
 */
#define SK_ERROR_MAX 512

struct sk_error {
	int code; /* the negative errno value that the failing function returned */
	char message[SK_ERROR_MAX];
};

/* Fills @err (unless NULL) with @code, a negative errno value, and the sentence; returns @code. */
int sk_error_set(struct sk_error *err, int code, const char *fmt, ...) SK_PRINTF(3, 4) SK_COLD;

/* Puts "TEXT: " in front of the sentence that a callee left in @err (unless NULL). */
void sk_error_prefix(struct sk_error *err, const char *fmt, ...) SK_PRINTF(2, 3) SK_COLD;

/* A function of a library. */
struct sk_symbol {
	const char *name;
	void *fn; /* the address of the function pointer to set */
};

/*
 * Loads the shared library @soname and finds @nr_symbols functions in it; for libraries that few
 * monitors need: linked in, each costs every one of them its start and some hundred KiB. May be
 * repeated; the library stays to the end of the process. -ENOENT, with a sentence that names
 * @package (Debian's), if it is not installed or lacks a function. Takes milliseconds and the
 * dynamic linker's lock.
 */
int sk_library_load(const char *soname, const char *package, const struct sk_symbol *symbols,
		    size_t nr_symbols, struct sk_error *err) SK_MUST_CHECK;

/*
 * The logging hook. A brick that has something to say takes a `const struct sk_log *` in its
 * configuration; NULL means silence. @emit is called on whichever thread has something to say,
 * must be thread-safe and must not block; @message has no newline and lives only for the call.
 */
enum sk_log_level { SK_LOG_ERROR, SK_LOG_WARN, SK_LOG_INFO, SK_LOG_DEBUG };

struct sk_log {
	void (*emit)(void *ctx, enum sk_log_level level, const char *message);
	void *ctx;
	enum sk_log_level max_level; /* messages above it are dropped before they are formatted */
};

void sk_logf(const struct sk_log *log, enum sk_log_level level, const char *fmt, ...)
	SK_PRINTF(3, 4) SK_COLD;

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t sk_now_ns(void);

/*
 * Event descriptors (eventfd(2), non-blocking, close-on-exec). create returns a descriptor or
 * -errno. signal never blocks: a counter that is full already says what the signal would say.
 * drain resets the counter and returns what it held.
 */
int sk_eventfd_create(void) SK_MUST_CHECK;
void sk_eventfd_signal(int fd);
uint64_t sk_eventfd_drain(int fd);

/* Closes *@fd unless it is negative, and leaves -1 there. */
void sk_close(int *fd);

/* Checked arithmetic on addresses and lengths. */

/* True if [@start, @start + @len) does not wrap and ends at or below @limit. */
static inline bool sk_range_fits(uint64_t start, uint64_t len, uint64_t limit)
{
	uint64_t end;

	return !__builtin_add_overflow(start, len, &end) && end <= limit;
}

/* True if two ranges share a byte. Neither may wrap; an empty range overlaps nothing. */
static inline bool sk_ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len && b_len && a < b + b_len && b < a + a_len;
}

/* @align is a power of two. */
static inline uint64_t sk_align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

/* False if the result does not fit; then *@out is unchanged. @align is a power of two. */
static inline bool sk_align_up(uint64_t v, uint64_t align, uint64_t *out)
{
	uint64_t sum;

	if (__builtin_add_overflow(v, align - 1, &sum))
		return false;
	*out = sk_align_down(sum, align);
	return true;
}

static inline bool sk_is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}

/* Little-endian values at any alignment. */
#define SK_DEFINE_LE(bits)                                              \
	static inline uint##bits##_t sk_load_le##bits(const void *p)    \
	{                                                               \
		uint##bits##_t v;                                       \
		memcpy(&v, p, sizeof(v));                               \
		return SK_LE##bits(v);                                  \
	}                                                               \
	static inline void sk_store_le##bits(void *p, uint##bits##_t v) \
	{                                                               \
		v = SK_LE##bits(v);                                     \
		memcpy(p, &v, sizeof(v));                               \
	}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SK_LE16(v) (v)
#define SK_LE32(v) (v)
#define SK_LE64(v) (v)
#else
#define SK_LE16(v) __builtin_bswap16(v)
#define SK_LE32(v) __builtin_bswap32(v)
#define SK_LE64(v) __builtin_bswap64(v)
#endif

SK_DEFINE_LE(16)
SK_DEFINE_LE(32)
SK_DEFINE_LE(64)

/* Bit sets: arrays of 64-bit words, bit 0 the lowest of word 0. The caller checks the index. */
static inline size_t sk_bits_words(size_t nr_bits)
{
	return nr_bits / 64 + (nr_bits % 64 != 0);
}

static inline void sk_bit_set(uint64_t *map, size_t bit)
{
	map[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline void sk_bit_clear(uint64_t *map, size_t bit)
{
	map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static inline bool sk_bit_test(const uint64_t *map, size_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

/*
 * Device state, field by field, little-endian: what a save call writes and a restore call reads.
 * A writer that runs out of room keeps counting, so that a first pass with no buffer measures the
 * size. A reader that runs out of bytes returns zeroes from then on and remembers it, so that a
 * restore call can read everything first and check once with sk_reader_ok().
 */
struct sk_writer {
	uint8_t *buf;
	size_t cap_bytes;
	size_t len_bytes; /* bytes wanted so far; more than cap_bytes if they did not fit */
};

struct sk_reader {
	const uint8_t *buf;
	size_t len_bytes;
	size_t pos_bytes;
	bool is_short;
};

void sk_writer_init(struct sk_writer *w, void *buf, size_t cap_bytes);
bool sk_writer_ok(const struct sk_writer *w);
void sk_put_u8(struct sk_writer *w, uint8_t v);
void sk_put_u16(struct sk_writer *w, uint16_t v);
void sk_put_u32(struct sk_writer *w, uint32_t v);
void sk_put_u64(struct sk_writer *w, uint64_t v);
void sk_put_bytes(struct sk_writer *w, const void *data, size_t len_bytes);

void sk_reader_init(struct sk_reader *r, const void *buf, size_t len_bytes);
/* True if every read so far was satisfied. */
bool sk_reader_ok(const struct sk_reader *r);
uint8_t sk_get_u8(struct sk_reader *r);
uint16_t sk_get_u16(struct sk_reader *r);
uint32_t sk_get_u32(struct sk_reader *r);
uint64_t sk_get_u64(struct sk_reader *r);
void sk_get_bytes(struct sk_reader *r, void *data, size_t len_bytes);

#ifdef __cplusplus
}
#endif

#endif
