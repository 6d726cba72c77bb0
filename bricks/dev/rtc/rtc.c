/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The clock itself: registers, flags, interrupts. Every access first brings the device up to the
 * present (catch_up): the flags that became due since the last look, and the time registers.
 */
#include "rtc_internal.h"

#include <pthread.h>
#include <time.h>

#define STATE_VERSION	1
#define UPDATE_AHEAD_NS 244000 /* UIP rises this long before the registers change */
#define SECONDS_LIMIT	INT64_C(100000000000000) /* of saved times: 3 million years */

/* What is to be told once the lock is released. */
#define TELL_IRQ	0x01
#define TELL_TIMER	0x02

struct state {
	uint8_t index;
	uint8_t ram[RAM_BYTES]; /* C and D are not kept here */
	uint8_t flags;		/* of register C, without C_IRQ */
	struct moment offset;	/* the guest's time is the host's plus this */
	struct moment seen;	/* the guest's time up to which the flags are computed */
};

struct sk_rtc {
	struct sk_rtc_config config; /* immutable */
	pthread_mutex_t lock;	     /* protects everything below */
	struct state st;
	bool is_irq_high;
	unsigned tell;
};

static int64_t host_now_ns(const struct sk_rtc *rtc)
{
	struct timespec ts;

	if (rtc->config.now_ns)
		return rtc->config.now_ns(rtc->config.ctx);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static struct moment moment_add(int64_t ns, struct moment offset)
{
	struct moment t = {
		.sec = floor_div(ns, NS_PER_SECOND) + offset.sec,
		.nsec = (int32_t)floor_mod(ns, NS_PER_SECOND) + offset.nsec,
	};

	if (t.nsec >= NS_PER_SECOND) {
		t.nsec -= NS_PER_SECOND;
		t.sec++;
	}
	return t;
}

static bool is_before(struct moment a, struct moment b)
{
	return a.sec != b.sec ? a.sec < b.sec : a.nsec < b.nsec;
}

/* The divider chain: without it there is not even a periodic interrupt. */
static bool is_ticking(const struct state *st)
{
	return (st->ram[REG_A] & A_DIVIDER_RESET) != A_DIVIDER_RESET;
}

/* The time registers follow the clock. Otherwise they are bytes that the guest fills in. */
static bool is_running(const struct state *st)
{
	return is_ticking(st) && !(st->ram[REG_B] & B_SET);
}

static void update_irq(struct sk_rtc *rtc)
{
	bool is_high = rtc->st.flags & rtc->st.ram[REG_B] & B_INTERRUPTS;

	if (is_high && !rtc->is_irq_high)
		rtc->tell |= TELL_IRQ;
	rtc->is_irq_high = is_high;
}

/* How many periods there were up to @t. */
static int64_t ticks(struct moment t, int64_t hz)
{
	return t.sec * hz + t.nsec * hz / NS_PER_SECOND;
}

/* Returns the present as the guest has it. */
static struct moment catch_up(struct sk_rtc *rtc)
{
	struct state *st = &rtc->st;
	struct moment now = moment_add(host_now_ns(rtc), st->offset);
	int64_t hz = sk_rtc_rate_hz(st->ram[REG_A]);

	if (is_before(st->seen, now)) { /* else the host's clock was set back: nothing was due */
		if (hz && is_ticking(st) && ticks(now, hz) != ticks(st->seen, hz))
			st->flags |= B_PERIODIC;
		if (is_running(st) && now.sec != st->seen.sec) {
			st->flags |= B_UPDATE;
			if (sk_rtc_next_alarm(st->ram, st->seen.sec) <= now.sec)
				st->flags |= B_ALARM;
		}
	}
	st->seen = now;
	if (is_running(st))
		sk_rtc_encode(st->ram, now.sec);
	update_irq(rtc);
	return now;
}

/* From now on it is @t for the guest. */
static void set_time(struct sk_rtc *rtc, struct moment now, struct moment t)
{
	struct moment *offset = &rtc->st.offset;

	offset->sec += t.sec - now.sec;
	offset->nsec += t.nsec - now.nsec;
	if (offset->nsec < 0) {
		offset->nsec += NS_PER_SECOND;
		offset->sec--;
	} else if (offset->nsec >= NS_PER_SECOND) {
		offset->nsec -= NS_PER_SECOND;
		offset->sec++;
	}
	rtc->st.seen = t;
}

static void write_a(struct sk_rtc *rtc, struct moment now, uint8_t value)
{
	struct state *st = &rtc->st;
	bool was_ticking = is_ticking(st);

	st->ram[REG_A] = value & ~A_UPDATING;
	if (was_ticking || !is_ticking(st))
		return;
	/* Out of reset the first update comes after half a second; drivers count on it. */
	set_time(rtc, now,
		 (struct moment){.sec = is_running(st) ? sk_rtc_decode(st->ram) : now.sec,
				 .nsec = NS_PER_SECOND / 2});
}

static void write_b(struct sk_rtc *rtc, struct moment now, uint8_t value)
{
	struct state *st = &rtc->st;
	bool was_running = is_running(st);

	if (value & B_SET)
		value &= (uint8_t)~B_UPDATE;
	if ((value ^ st->ram[REG_B]) & B_INTERRUPTS)
		rtc->tell |= TELL_TIMER;
	st->ram[REG_B] = value;
	if (!was_running && is_running(st))
		set_time(rtc, now,
			 (struct moment){.sec = sk_rtc_decode(st->ram), .nsec = now.nsec});
	update_irq(rtc);
}

static bool is_time_reg(uint8_t index)
{
	return index == REG_CENTURY || (index <= REG_YEAR && index != REG_SECONDS_ALM &&
					index != REG_MINUTES_ALM && index != REG_HOURS_ALM);
}

static void write_data(struct sk_rtc *rtc, uint8_t value)
{
	struct moment now = catch_up(rtc);
	struct state *st = &rtc->st;

	switch (st->index) {
	case REG_A:
		write_a(rtc, now, value);
		break;
	case REG_B:
		write_b(rtc, now, value);
		break;
	case REG_C:
	case REG_D:
		return; /* read-only */
	default:
		st->ram[st->index] = value;
		if (is_time_reg(st->index) && st->index != REG_WEEKDAY && is_running(st))
			set_time(rtc, now,
				 (struct moment){.sec = sk_rtc_decode(st->ram), .nsec = now.nsec});
	}
	if ((st->ram[REG_B] & B_INTERRUPTS) && (st->index <= REG_B || st->index == REG_CENTURY))
		rtc->tell |= TELL_TIMER;
}

static uint8_t read_c(struct sk_rtc *rtc)
{
	uint8_t value = rtc->st.flags | (rtc->is_irq_high ? C_IRQ : 0);

	rtc->st.flags = 0;
	update_irq(rtc);
	if (value & C_IRQ)
		rtc->tell |= TELL_TIMER;
	return value;
}

static uint8_t read_data(struct sk_rtc *rtc)
{
	struct moment now = catch_up(rtc);
	struct state *st = &rtc->st;

	switch (st->index) {
	case REG_A:
		if (is_running(st) && now.nsec >= NS_PER_SECOND - UPDATE_AHEAD_NS)
			return st->ram[REG_A] | A_UPDATING;
		return st->ram[REG_A];
	case REG_C:
		return read_c(rtc);
	case REG_D:
		return D_VALID;
	}
	return st->ram[st->index];
}

static void unlock_and_tell(struct sk_rtc *rtc)
{
	unsigned tell = rtc->tell;

	rtc->tell = 0;
	pthread_mutex_unlock(&rtc->lock);
	if ((tell & TELL_IRQ) && rtc->config.irq_fd >= 0)
		sk_eventfd_signal(rtc->config.irq_fd);
	if ((tell & TELL_TIMER) && rtc->config.timer_changed)
		rtc->config.timer_changed(rtc->config.ctx);
}

/* Port 0 is the index, which cannot be read back, port 1 the data, the rest is nobody's. */
static uint64_t rtc_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct sk_rtc *rtc = dev;
	uint64_t value = UINT64_MAX;

	if (offset > 1 || offset + size_bytes <= 1)
		return value;
	pthread_mutex_lock(&rtc->lock);
	value = read_data(rtc);
	unlock_and_tell(rtc);
	return offset == 1 ? value : value << 8 | 0xff;
}

static void rtc_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct sk_rtc *rtc = dev;

	pthread_mutex_lock(&rtc->lock);
	for (unsigned i = 0; i < size_bytes; i++, offset++, value >>= 8) {
		if (offset == 0)
			rtc->st.index = value & 0x7f;
		else if (offset == 1)
			write_data(rtc, (uint8_t)value);
	}
	unlock_and_tell(rtc);
}

const struct sk_bus_ops sk_rtc_ops = {.read = rtc_read, .write = rtc_write};

int64_t sk_rtc_deadline_ns(struct sk_rtc *rtc)
{
	struct state *st = &rtc->st;
	int64_t deadline = SK_RTC_NO_DEADLINE, host_now, to_second, hz;
	struct moment now;
	uint8_t enabled;

	pthread_mutex_lock(&rtc->lock);
	host_now = host_now_ns(rtc);
	now = moment_add(host_now, st->offset);
	to_second = NS_PER_SECOND - now.nsec;
	enabled = rtc->is_irq_high ? 0 : st->ram[REG_B] & B_INTERRUPTS;
	hz = sk_rtc_rate_hz(st->ram[REG_A]);
	if ((enabled & B_PERIODIC) && hz && is_ticking(st)) {
		int64_t next = now.nsec * hz / NS_PER_SECOND + 1;

		deadline = host_now + (next * NS_PER_SECOND + hz - 1) / hz - now.nsec;
	}
	if ((enabled & B_UPDATE) && is_running(st))
		deadline = SK_MIN(deadline, host_now + to_second);
	if ((enabled & B_ALARM) && is_running(st)) {
		int64_t alarm = sk_rtc_next_alarm(st->ram, now.sec);

		if (alarm != NEVER)
			deadline = SK_MIN(deadline, host_now + to_second +
							    (alarm - now.sec - 1) * NS_PER_SECOND);
	}
	pthread_mutex_unlock(&rtc->lock);
	return deadline;
}

void sk_rtc_run(struct sk_rtc *rtc)
{
	pthread_mutex_lock(&rtc->lock);
	(void)catch_up(rtc);
	unlock_and_tell(rtc);
}

/* @nr_bytes of @value, lowest first, at @index; what does not fit becomes all ones. */
static void put_size(uint8_t *ram, unsigned index, unsigned nr_bytes, uint64_t value)
{
	value = SK_MIN(value, (UINT64_C(1) << (8 * nr_bytes)) - 1);
	for (unsigned i = 0; i < nr_bytes; i++)
		ram[index + i] = (uint8_t)(value >> (8 * i));
}

static void fill_sizes(uint8_t *ram, uint64_t below, uint64_t above)
{
	uint64_t beyond_1m = below > SK_MIB ? below - SK_MIB : 0;
	uint64_t beyond_16m = below > 16 * SK_MIB ? below - 16 * SK_MIB : 0;

	put_size(ram, 0x15, 2, SK_MIN(below / SK_KIB, 640));
	put_size(ram, 0x17, 2, beyond_1m / SK_KIB);
	put_size(ram, 0x30, 2, beyond_1m / SK_KIB);
	put_size(ram, 0x34, 2, beyond_16m / (64 * SK_KIB));
	put_size(ram, 0x5b, 3, above / (64 * SK_KIB));
}

int sk_rtc_create(struct sk_rtc **out, const struct sk_rtc_config *config, struct sk_error *err)
{
	struct sk_rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		return sk_error_set(err, -ENOMEM, "rtc: out of memory");
	rtc->config = *config;
	fill_sizes(rtc->st.ram, config->ram_below_4g_bytes, config->ram_above_4g_bytes);
	rtc->st.ram[REG_A] = 0x26; /* 32,768 Hz crystal, periodic rate 1,024 Hz */
	rtc->st.ram[REG_B] = B_24_HOURS;
	rtc->st.seen = moment_add(host_now_ns(rtc), rtc->st.offset);
	sk_rtc_encode(rtc->st.ram, rtc->st.seen.sec);
	pthread_mutex_init(&rtc->lock, NULL);
	*out = rtc;
	return 0;
}

void sk_rtc_destroy(struct sk_rtc *rtc)
{
	if (!rtc)
		return;
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

static void put_moment(struct sk_writer *w, struct moment t)
{
	sk_put_u64(w, (uint64_t)t.sec);
	sk_put_u32(w, (uint32_t)t.nsec);
}

void sk_rtc_save(struct sk_rtc *rtc, struct sk_writer *w)
{
	pthread_mutex_lock(&rtc->lock);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u8(w, rtc->st.index);
	sk_put_u8(w, rtc->st.flags);
	put_moment(w, rtc->st.offset);
	put_moment(w, rtc->st.seen);
	sk_put_bytes(w, rtc->st.ram, RAM_BYTES);
	pthread_mutex_unlock(&rtc->lock);
}

static bool get_moment(struct sk_reader *r, struct moment *t)
{
	uint64_t sec = sk_get_u64(r);
	uint32_t nsec = sk_get_u32(r);

	t->sec = (int64_t)sec;
	t->nsec = (int32_t)nsec;
	return nsec < NS_PER_SECOND && t->sec <= SECONDS_LIMIT && t->sec >= -SECONDS_LIMIT;
}

int sk_rtc_restore(struct sk_rtc *rtc, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r);
	struct state st = {0};
	bool is_valid;

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "rtc: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	st.index = sk_get_u8(r);
	st.flags = sk_get_u8(r);
	is_valid = get_moment(r, &st.offset);
	is_valid = get_moment(r, &st.seen) && is_valid;
	sk_get_bytes(r, st.ram, RAM_BYTES);
	if (!sk_reader_ok(r) || !is_valid || st.index >= RAM_BYTES || (st.flags & ~B_INTERRUPTS) ||
	    (st.ram[REG_A] & A_UPDATING) || st.ram[REG_C] || st.ram[REG_D] ||
	    ((st.ram[REG_B] & B_SET) && (st.ram[REG_B] & B_UPDATE)))
		return sk_error_set(err, -EINVAL,
				    "rtc: the saved state is truncated or impossible");
	pthread_mutex_lock(&rtc->lock);
	rtc->st = st;
	rtc->is_irq_high = false;
	rtc->tell |= TELL_TIMER;
	update_irq(rtc);
	unlock_and_tell(rtc);
	return 0;
}
