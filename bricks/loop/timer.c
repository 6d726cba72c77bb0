/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Timers: a hierarchical wheel. Level 0 has a slot per tick, each level above one per 64 slots of
 * the one below. A timer lives on the level of the highest group of 6 bits in which its tick
 * differs from the wheel's, so every slot of a level lies ahead of the wheel's own position there
 * and the lowest occupied level holds the next timer: no slot wraps round. When the wheel reaches
 * a slot of a higher level, its timers move down.
 */
#include "loop_internal.h"

#define TICK_SHIFT 10 /* 1,024 ns */
/* How many timers of the next slot are looked at to save a wake-up that would only move them. */
#define PEEK_MAX   16

static struct sk_loop_timer *timer_of(struct sk_loop_link *link)
{
	return SK_CONTAINER_OF(link, struct sk_loop_timer, link);
}

static unsigned level_of(uint64_t tick, uint64_t now)
{
	return (63u - (unsigned)__builtin_clzll((tick ^ now) | 1)) / TIMER_LEVEL_BITS;
}

static void wheel_add(struct timer_wheel *wheel, struct sk_loop_timer *timer)
{
	unsigned level = level_of(timer->tick, wheel->tick);
	unsigned slot = (timer->tick >> (level * TIMER_LEVEL_BITS)) % TIMER_SLOTS;

	timer->slot = (uint16_t)(1 + level * TIMER_SLOTS + slot);
	sk_bit_set(&wheel->occupied[level], slot);
	link_append(&wheel->slots[level * TIMER_SLOTS + slot], &timer->link);
}

/* The lowest occupied level and its first slot; false if there is no timer. */
static bool wheel_first(const struct timer_wheel *wheel, unsigned *level, unsigned *slot)
{
	for (unsigned i = 0; i < TIMER_LEVELS; i++) {
		if (!wheel->occupied[i])
			continue;
		*level = i;
		*slot = (unsigned)__builtin_ctzll(wheel->occupied[i]);
		return true;
	}
	return false;
}

static uint64_t slot_tick(const struct timer_wheel *wheel, unsigned level, unsigned slot)
{
	unsigned shift = level * TIMER_LEVEL_BITS;
	uint64_t above = wheel->tick >> shift >> TIMER_LEVEL_BITS;

	return (above << TIMER_LEVEL_BITS | slot) << shift;
}

/* Moves the wheel to @now; what is due goes to the expired list, in order. */
static void wheel_advance(struct timer_wheel *wheel, uint64_t now)
{
	struct sk_loop_link moved;
	unsigned level, slot;

	while (wheel_first(wheel, &level, &slot)) {
		uint64_t tick = slot_tick(wheel, level, slot);

		if (tick > now)
			break;
		wheel->tick = tick;
		sk_bit_clear(&wheel->occupied[level], slot);
		link_init(&moved);
		link_splice(&moved, &wheel->slots[level * TIMER_SLOTS + slot]);
		while (!link_is_empty(&moved)) {
			struct sk_loop_timer *timer = timer_of(moved.next);

			link_remove(&timer->link);
			if (level) {
				wheel_add(wheel, timer);
				continue;
			}
			timer->slot = UINT16_MAX;
			link_append(&wheel->expired, &timer->link);
		}
	}
	if (now > wheel->tick)
		wheel->tick = now;
}

void sk_loop_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
	for (size_t i = 0; i < SK_ARRAY_SIZE(wheel->slots); i++)
		link_init(&wheel->slots[i]);
	link_init(&wheel->expired);
	wheel->tick = now_ns >> TICK_SHIFT;
}

uint64_t sk_loop_wheel_next_ns(const struct timer_wheel *wheel)
{
	uint64_t first = UINT64_MAX >> TICK_SHIFT;
	const struct sk_loop_link *head, *link;
	unsigned level, slot, n = 0;

	if (!link_is_empty(&wheel->expired))
		return 0;
	if (!wheel_first(wheel, &level, &slot))
		return UINT64_MAX;
	head = &wheel->slots[level * TIMER_SLOTS + slot];
	for (link = head->next; link != head; link = link->next) {
		const struct sk_loop_timer *timer =
			(const void *)((const char *)link - offsetof(struct sk_loop_timer, link));

		if (++n > PEEK_MAX) {
			first = slot_tick(wheel, level, slot);
			break;
		}
		first = SK_MIN(first, timer->tick);
	}
	return first << TICK_SHIFT;
}

void sk_loop_timer_set(struct sk_loop *loop, struct sk_loop_timer *timer, uint64_t deadline_ns)
{
	struct timer_wheel *wheel = &loop->wheel;

	if (timer->slot)
		sk_loop_timer_clear(loop, timer);
	/* Rounded up: never early. The slot of the wheel's own tick has been emptied already. */
	timer->tick = deadline_ns >> TICK_SHIFT;
	if (deadline_ns % (1u << TICK_SHIFT))
		timer->tick++;
	timer->tick = SK_MAX(timer->tick, wheel->tick + 1);
	timer->tick = SK_MIN(timer->tick, UINT64_MAX >> TICK_SHIFT);
	wheel_add(wheel, timer);
}

void sk_loop_timer_clear(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	unsigned index = timer->slot - 1u;

	if (!timer->slot)
		return;
	link_remove(&timer->link);
	if (timer->slot != UINT16_MAX && link_is_empty(&loop->wheel.slots[index]))
		sk_bit_clear(&loop->wheel.occupied[index / TIMER_SLOTS], index % TIMER_SLOTS);
	timer->slot = 0;
}

bool sk_loop_timer_is_set(const struct sk_loop_timer *timer)
{
	return timer->slot != 0;
}

unsigned sk_loop_run_timers(struct sk_loop *loop)
{
	struct timer_wheel *wheel = &loop->wheel;
	unsigned level, slot, n = 0;

	if (wheel_first(wheel, &level, &slot))
		wheel_advance(wheel, sk_loop_now_ns(loop) >> TICK_SHIFT);
	while (n < loop->config.max_callbacks && !link_is_empty(&wheel->expired)) {
		struct sk_loop_timer *timer = timer_of(wheel->expired.next);

		link_remove(&timer->link);
		timer->slot = 0;
		n++;
		timer->fire(loop, timer);
	}
	return n;
}
