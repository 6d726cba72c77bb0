/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Measures the loop beside its rivals, all in one run, and writes what came out as JSON. */
#include "loop_bench.h"

#include <stdarg.h>

#define RESULTS_MAX 512

static struct result results[RESULTS_MAX];
static size_t nr_results;

static const struct {
	const char *name, *what;
	void (*run)(void);
} benches[] = {
	{"echo", "TCP echo: round trips a second, and the server's time for each", bench_echo},
	{"file", "random reads of 4 KiB: reads a second", bench_file},
	{"post", "from a post in another thread to its callback", bench_post},
	{"timer", "what a timer costs", bench_timer},
	{"idle", "memory for a connection on which nothing happens", bench_idle},
};

void bench_add(const char *bench, const char *what, const char *unit, double value,
	       const char *parameters_fmt, ...)
{
	struct result *r = &results[nr_results];
	va_list args;

	if (nr_results == RESULTS_MAX)
		bench_die("more than %d results", RESULTS_MAX);
	nr_results++;
	r->bench = bench;
	r->what = what;
	r->unit = unit;
	r->value = value;
	va_start(args, parameters_fmt);
	vsnprintf(r->parameters, sizeof(r->parameters), parameters_fmt, args);
	va_end(args);
}

void bench_die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "loop_bench: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *v, size_t nr)
{
	qsort(v, nr, sizeof(*v), compare);
	return v[nr / 2];
}

double bench_quantile(const double *v, size_t nr, double part)
{
	return v[SK_MIN((size_t)((double)nr * part), nr - 1)];
}

struct sk_loop *bench_loop(enum sk_loop_driver driver, uint64_t busy_poll_ns)
{
	struct sk_loop_config config = {.driver = driver, .busy_poll_ns = busy_poll_ns};
	struct sk_loop *loop;
	struct sk_error err;

	if (sk_loop_create(&loop, &config, &err))
		bench_die("%s", err.message);
	return loop;
}

bool bench_has_uring(void)
{
	struct sk_loop_config config = {.driver = SK_LOOP_IO_URING};
	struct sk_loop *loop;

	if (sk_loop_create(&loop, &config, NULL))
		return false;
	sk_loop_destroy(loop);
	return true;
}

static void write_json(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		bench_die("cannot write %s: %s", path, strerror(errno));
	fprintf(f, "{\n  \"benchmark\": \"loop\",\n  \"results\": [\n");
	for (size_t i = 0; i < nr_results; i++)
		fprintf(f,
			"    {\"measure\": \"%s\", \"what\": \"%s\", \"parameters\": \"%s\", "
			"\"value\": %.4g, \"unit\": \"%s\"}%s\n",
			results[i].bench, results[i].what, results[i].parameters, results[i].value,
			results[i].unit, i + 1 < nr_results ? "," : "");
	fprintf(f, "  ]\n}\n");
	if (fclose(f))
		bench_die("cannot write %s: %s", path, strerror(errno));
}

static int usage(FILE *to)
{
	fprintf(to, "usage: loop_bench [--json FILE] [MEASURE...]\n");
	for (size_t i = 0; i < SK_ARRAY_SIZE(benches); i++)
		fprintf(to, "  %-6s %s\n", benches[i].name, benches[i].what);
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	bool is_wanted[SK_ARRAY_SIZE(benches)] = {false}, is_any = false, is_known;
	const char *json = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help"))
			return usage(stdout);
		if (!strcmp(argv[i], "--json") && i + 1 < argc) {
			json = argv[++i];
			continue;
		}
		is_known = false;
		for (size_t k = 0; k < SK_ARRAY_SIZE(benches); k++)
			if (!strcmp(argv[i], benches[k].name))
				is_wanted[k] = is_known = is_any = true;
		if (!is_known)
			return usage(stderr);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!bench_has_uring())
		printf("io_uring is refused here: only what works without it is measured\n");
	for (size_t k = 0; k < SK_ARRAY_SIZE(benches); k++) {
		if (is_any && !is_wanted[k])
			continue;
		printf("\n%s: %s\n", benches[k].name, benches[k].what);
		benches[k].run();
	}
	if (json)
		write_json(json);
	return 0;
}
