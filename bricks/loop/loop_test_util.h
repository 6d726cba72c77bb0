/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What the test programs of this brick share: a loop, or the reason why there is none. */
#ifndef SKETE_LOOP_TEST_UTIL_H
#define SKETE_LOOP_TEST_UTIL_H

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include <skete/loop.h>

/* A loop of @config (NULL: the defaults); the test fails without one. */
static inline struct sk_loop *make_with(const struct sk_loop_config *config)
{
	struct sk_loop *loop = NULL;
	struct sk_error err;

	if (sk_loop_create(&loop, config, &err))
		fail_msg("%s", err.message);
	return loop;
}

/*
 * A machine that refuses the driver of @config skips the whole program. Called before the tests:
 * cmocka prints a skipped point as "not ok", which Meson takes for a failure.
 */
static inline bool has_driver(const struct sk_loop_config *config)
{
	struct sk_loop *loop = NULL;
	struct sk_error err;

	if (sk_loop_create(&loop, config, &err)) {
		printf("1..0 # SKIP %s\n", err.message);
		return false;
	}
	sk_loop_destroy(loop);
	return true;
}

#endif
