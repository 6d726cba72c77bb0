/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * How long a machine takes to exist: from the start of the process `skete run` to the first byte
 * that its guest prints (process creation, set-up, the first instructions and the way of the byte
 * to our pipe included), and to the end of the process. The monitor's own account of the time to
 * its first KVM_RUN (-v) stands beside it.
 *
 *   setup_bench SKETE ACTOR [--runs N] [--memory SIZE] [--json FILE]
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_RUNS 10000

struct sample {
	double first_run_ms; /* by the monitor's own account */
	double first_byte_ms;
	double end_ms;
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void fail(const char *what)
{
	fprintf(stderr, "setup_bench: %s\n", what);
	exit(1);
}

/* Reads @fd to its end into @buf; *@first_ms is when the first byte came. */
static void read_all(int fd, char *buf, size_t size, double *first_ms)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buf + have, size - 1 - have)) > 0) {
		if (have == 0 && first_ms)
			*first_ms = now_ms();
		have += (size_t)n;
	}
	buf[have] = '\0';
	close(fd);
}

static struct sample measure(char *const argv[])
{
	extern char **environ;
	char out[256], err[4096];
	double start_ms, first_ms = 0;
	posix_spawn_file_actions_t actions;
	int out_pipe[2], err_pipe[2], status;
	struct sample sample = {0};
	const char *set_up;
	pid_t pid;

	if (pipe2(out_pipe, O_CLOEXEC) || pipe2(err_pipe, O_CLOEXEC))
		fail("cannot create a pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out_pipe[1], 1);
	posix_spawn_file_actions_adddup2(&actions, err_pipe[1], 2);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	start_ms = now_ms();
	if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ))
		fail("cannot start skete");
	close(out_pipe[1]);
	close(err_pipe[1]);
	read_all(out_pipe[0], out, sizeof(out), &first_ms);
	read_all(err_pipe[0], err, sizeof(err), NULL);
	waitpid(pid, &status, 0);
	sample.end_ms = now_ms() - start_ms;
	sample.first_byte_ms = first_ms - start_ms;
	posix_spawn_file_actions_destroy(&actions);
	set_up = strstr(err, "set up in ");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 42 || !set_up) {
		fprintf(stderr, "%s", err);
		fail("the guest did not end with status 42");
	}
	sample.first_run_ms = strtod(set_up + strlen("set up in "), NULL);
	return sample;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct row {
	const char *name;
	double p50, p99;
};

static struct row summarize(const char *name, const struct sample *samples, int runs, size_t offset)
{
	static double values[MAX_RUNS];

	for (int i = 0; i < runs; i++)
		memcpy(&values[i], (const char *)&samples[i] + offset, sizeof(double));
	qsort(values, (size_t)runs, sizeof(double), compare);
	return (struct row){name, values[runs / 2], values[(runs * 99) / 100]};
}

static void write_json(const char *path, const struct row rows[3], int runs, const char *memory)
{
	FILE *file = fopen(path, "w");

	if (!file)
		fail("cannot write the JSON file");
	fprintf(file, "{\"bench\": \"setup\", \"unit\": \"ms\", \"runs\": %d, \"memory\": \"%s\"",
		runs, memory);
	for (int i = 0; i < 3; i++)
		fprintf(file, ", \"%s\": {\"p50\": %.3f, \"p99\": %.3f}", rows[i].name, rows[i].p50,
			rows[i].p99);
	fprintf(file, "}\n");
	if (fclose(file))
		fail("cannot write the JSON file");
}

int main(int argc, char **argv)
{
	static struct sample samples[MAX_RUNS];
	const char *json = NULL;
	char *memory = (char[]){"128M"};
	struct row rows[3];
	int runs = 100;

	if (argc < 3)
		fail("usage: setup_bench SKETE ACTOR [--runs N] [--memory SIZE] [--json FILE]");
	for (int i = 3; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--runs"))
			runs = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--memory"))
			memory = argv[i + 1];
		else if (!strcmp(argv[i], "--json"))
			json = argv[i + 1];
		else
			fail("unknown option");
	}
	if (runs < 1 || runs > MAX_RUNS)
		fail("--runs takes 1 to 10000");

	for (int i = -3; i < runs; i++) { /* three to warm up */
		char *const command[] = {
			argv[1], (char[]){"run"},	(char[]){"-v"}, (char[]){"--memory"},
			memory,	 (char[]){"--cmdline"}, (char[]){"PX"}, argv[2],
			NULL};
		struct sample sample = measure(command);

		if (i >= 0)
			samples[i] = sample;
	}
	rows[0] = summarize("first_run", samples, runs, offsetof(struct sample, first_run_ms));
	rows[1] = summarize("first_byte", samples, runs, offsetof(struct sample, first_byte_ms));
	rows[2] = summarize("end", samples, runs, offsetof(struct sample, end_ms));
	printf("set-up of a machine with %s of memory, %d runs, ms since the process started\n",
	       memory, runs);
	printf("%-34s %8s %8s\n", "", "p50", "p99");
	printf("%-34s %8.2f %8.2f\n", "main() to first KVM_RUN (its own)", rows[0].p50,
	       rows[0].p99);
	printf("%-34s %8.2f %8.2f\n", "spawn to the guest's first byte", rows[1].p50, rows[1].p99);
	printf("%-34s %8.2f %8.2f\n", "spawn to the end of the process", rows[2].p50, rows[2].p99);
	if (json)
		write_json(json, rows, runs, memory);
	return 0;
}
