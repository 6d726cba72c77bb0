/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "stats.h"

#include <stdio.h>

struct text {
	char *at;
	size_t left;
};

static void add(struct text *t, const char *what, double value, bool is_time)
{
	int n = snprintf(t->at, t->left, is_time ? ", %s after %.2f ms" : ", %s %.0f", what, value);

	if (n < 0 || (size_t)n >= t->left)
		return; /* STATS_BYTES is enough; it would end here */
	t->at += n;
	t->left -= (size_t)n;
}

static void add_time(struct text *t, const char *what, uint64_t at_ns, uint64_t start_ns)
{
	if (at_ns)
		add(t, what, (double)(at_ns - start_ns) / 1e6, true);
}

void stats_format(char *text, const struct sk_vm_stats *stats, uint64_t start_ns)
{
	struct text t = {text, STATS_BYTES};

	t.at += snprintf(t.at, t.left, "time: start at 0");
	t.left = STATS_BYTES - (size_t)(t.at - text);
	add_time(&t, "guest entered", stats->first_run_ns, start_ns);
	add_time(&t, "main()", stats->main_ns, start_ns);
	add_time(&t, "end", stats->ended_ns, start_ns);
	t.at += snprintf(t.at, t.left, "\nexits: %llu", (unsigned long long)stats->exits);
	t.left = STATS_BYTES - (size_t)(t.at - text);
	for (uint32_t kind = 0; kind < SK_VM_EXIT_KINDS; kind++)
		if (stats->exits_by_kind[kind])
			add(&t, sk_vm_exit_name(kind), (double)stats->exits_by_kind[kind], false);
}
