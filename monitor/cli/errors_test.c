/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What a person reads who got something wrong, and the rules of the command line in the large. */
#include "cli_internal.h"

#include <setjmp.h>

#include <cmocka.h>

#define MAX_WORDS 12

struct mistake {
	const char *words[MAX_WORDS]; /* after "skete" */
	const char *says;
};

/* clang-format off */
static const struct mistake mistakes[] = {
	{{NULL}, "no command was given; 'skete run FILE' boots an image"},
	{{"rnu"}, "unknown command 'rnu'; did you mean 'run'?"},
	{{"docter"}, "did you mean 'doctor'?"},
	{{"frobnicate"}, "unknown command 'frobnicate'; 'skete help' lists the commands"},
	{{"./vmlinuz"}, "if it is an image, write 'skete run' before it"},
	{{""}, "unknown command ''"},
	{{"--cpus", "2"}, "option '--cpus' belongs to 'skete run'"},
	{{"doctor", "--memory=1G"}, "option '--memory=1G' belongs to 'skete run'"},
	{{"run"}, "the kernel is missing; name the image"},
	{{"run", ""}, "--kernel: the name of the file is empty"},
	{{"run", "k", "--memroy", "1G"}, "unknown option '--memroy'; did you mean '--memory'?"},
	{{"run", "k", "--mem=1G"}, "did you mean '--memory'?"},
	{{"run", "k", "--no-rebot"}, "did you mean '--no-reboot'?"},
	{{"run", "k", "--no-help"}, "unknown option '--no-help'"},
	{{"run", "k", "--no-cpus"}, "unknown option '--no-cpus'"},
	{{"run", "k", "--no-pit=off"}, "--no-pit takes no value"},
	{{"run", "k", "--frobnicate"}, "'skete run --help' lists the options"},
	{{"run", "k", "--=x"}, "unknown option '--=x'"},
	{{"run", "k", "-x"}, "unknown option '-x'"},
	{{"run", "k", "-vx"}, "unknown option '-vx'"},
	{{"run", "k", "-vvv"}, "--verbose: 3 is too much, the most is 2"},
	{{"run", "k", "-memory", "1G"}, "long options have two dashes; write --memory"},
	{{"run", "k", "--cpus", "0"}, "--cpus: 0 is too little, the least is 1; a machine has 1 to 64 CPUs"},
	{{"run", "k", "--cpus", "65"}, "--cpus: 65 is too much, the most is 64"},
	{{"run", "k", "--cpus", "-1"}, "--cpus: '-1' is negative; write a number from 1 to 64"},
	{{"run", "k", "--cpus", "two"}, "'two' is not a whole number; write a number from 1 to 64"},
	{{"run", "k", "--cpus"}, "--cpus needs a value, but is the last word; write --cpus N"},
	{{"run", "k", "-c"}, "--cpus needs a value"},
	{{"run", "k", "--initrd", "--cpus", "2"}, "'--cpus' looks like an option; write --initrd=FILE"},
	{{"run", "k", "--initrd", "--"}, "--initrd needs a value"},
	{{"run", "k", "-m", "512"}, "'512' has no unit; write 512M for MiB or 512B for bytes"},
	{{"run", "k", "-m", "1.5G"}, "write 1536M instead of 1.5G"},
	{{"run", "k", "-m", "12MB"}, "write B, K, M, G or T"},
	{{"run", "k", "-m", "0M"}, "--memory: 0B is too little, the least is 1M; write 512M or 6G"},
	{{"run", "k", "-m", "1025K"}, "1025K is not a multiple of 4K"},
	{{"run", "k", "-m", "18446744073709551615T"}, "is beyond every memory"},
	{{"run", "k", "--boot", "phv"}, "'phv' is none of auto, pvh, linux64 or multiboot; did you mean 'pvh'?"},
	{{"run", "k", "--serial="}, "it is stdio, none, pty or the name of a file"},
	{{"run", "k", "k2"}, "there is a second kernel, 'k2', beside 'k'; what is meant for the guest stands after '--'"},
	{{"run", "--kernel", "k", "k2"}, "there is a second kernel"},
	{{"run", "k", "--pit=maybe"}, "--pit: 'maybe' is neither on nor off"},
	{{"run", "k", "--config", "/nonexistent/vm.json"}, "'/nonexistent/vm.json' cannot be opened: No such file"},
	{{"run", "k", "--config", "/"}, "'/' cannot be read: Is a directory"},
	{{"doctor", "x"}, "'skete doctor' takes no argument, but here is 'x'"},
	{{"version", "--", "x"}, "'skete version' takes nothing after '--'"},
	{{"completion"}, "the shell is missing; 'skete completion bash'"},
	{{"completion", "tcsh"}, "SHELL: 'tcsh' is none of bash, zsh or fish"},
	{{"completion", "bash", "zsh"}, "there is a second shell, 'zsh', beside 'bash'; name one"},
	{{"completion", "--shell=bash"}, "unknown option '--shell=bash'"},
	{{"help", "rum"}, "did you mean 'run'?"},
	{{"run", "--boot", "\x1b[31mred"}, "'\\x1b[31mred' is none of"},
};
/* clang-format on */

static int parse_words(struct cli_request *request, const char *const *words, struct sk_error *err)
{
	char *argv[MAX_WORDS + 1];
	int argc = 0, rc;

	argv[argc++] = strdup("skete");
	while (argc <= MAX_WORDS && words[argc - 1]) {
		argv[argc] = strdup(words[argc - 1]);
		argc++;
	}
	rc = cli_parse(request, argc, argv, err);
	while (argc)
		free(argv[--argc]);
	return rc;
}

#define PARSE(request, ...)                                          \
	do {                                                         \
		const char *const words_[MAX_WORDS] = {__VA_ARGS__}; \
		struct sk_error err_ = {0};                          \
		if (parse_words(request, words_, &err_))             \
			fail_msg("%s", err_.message);                \
	} while (0)

static void mistakes_are_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(mistakes); i++) {
		struct cli_request request;
		struct sk_error err = {0};

		assert_true(parse_words(&request, mistakes[i].words, &err) < 0);
		if (!strstr(err.message, mistakes[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.message, mistakes[i].says);
		assert_null(strchr(err.message, '\n'));
		/* Nobody has to listen. */
		assert_true(parse_words(&request, mistakes[i].words, NULL) < 0);
	}
}

/* The longest words leave a whole sentence, with the place of the mistake and without overflow. */
static void long_words_are_cut(void **state)
{
	static char big[1 << 16];
	const char *words[MAX_WORDS] = {"run", "k", "--boot", big};
	struct cli_request request;
	struct sk_error err;

	(void)state;
	memset(big, '\x01', sizeof(big) - 1);
	assert_int_equal(parse_words(&request, words, &err), -EINVAL);
	assert_non_null(strstr(err.message, "...' is none of auto"));
	words[2] = big;
	assert_int_equal(parse_words(&request, words, &err), -EINVAL);
	memset(big, '-', sizeof(big) - 1);
	assert_int_equal(parse_words(&request, words, &err), -EINVAL);
	assert_non_null(strstr(err.message, "unknown option"));
	words[0] = big;
	assert_int_equal(parse_words(&request, words, &err), -EINVAL);
	memset(big, '9', sizeof(big) - 1);
	words[0] = "run";
	words[2] = "--memory";
	assert_int_equal(parse_words(&request, words, &err), -EINVAL);
	words[2] = "--config";
	assert_int_equal(parse_words(&request, words, &err), -ENAMETOOLONG);
}

static void help_wins(void **state)
{
	struct cli_request request;

	(void)state;
	PARSE(&request, "run", "--help");
	assert_int_equal(request.command, CLI_HELP);
	assert_int_equal(request.options.topic, CLI_RUN);
	cli_request_fini(&request);
	PARSE(&request, "run", "--config=/nonexistent", "-vh", "--nonsense");
	assert_int_equal(request.command, CLI_HELP);
	cli_request_fini(&request);
	PARSE(&request, "-h");
	assert_int_equal(request.command, CLI_HELP);
	assert_int_equal(request.options.topic, CLI_TOP);
	cli_request_fini(&request);
	PARSE(&request, "help", "doctor");
	assert_int_equal(request.options.topic, CLI_DOCTOR);
	cli_request_fini(&request);
	PARSE(&request, "--version", "--json");
	assert_int_equal(request.command, CLI_VERSION);
	assert_true(request.options.is_json);
	cli_request_fini(&request);
	cli_request_fini(&request);
}

static void words_in_any_order(void **state)
{
	struct cli_request request;
	struct cli_options *o = &request.options;

	(void)state;
	PARSE(&request, "run", "-vnm6G", "--no-pit", "k", "-c", "3", "-v");
	assert_int_equal(request.command, CLI_RUN);
	assert_string_equal(o->kernel, "k");
	assert_int_equal(o->verbosity, 2);
	assert_true(o->is_dry_run && !o->has_pit && o->has_reboot);
	assert_int_equal(o->cpus, 3);
	assert_true(o->memory_bytes == 6 * SK_GIB);
	cli_request_fini(&request);

	PARSE(&request, "run", "k", "--serial", "-", "--cmdline=", "--no-pit", "--pit", "-c1",
	      "-c2");
	assert_int_equal(o->serial.kind, CLI_SERIAL_FILE);
	assert_string_equal(o->serial.path, "-");
	assert_string_equal(o->cmdline, "");
	assert_true(o->has_pit);
	assert_int_equal(o->cpus, 2);
	cli_request_fini(&request);

	PARSE(&request, "run", "--serial=log", "--serial=pty", "k", "--arg=a", "--", "--help",
	      "--");
	assert_int_equal(o->serial.kind, CLI_SERIAL_PTY);
	assert_null(o->serial.path);
	assert_int_equal(o->arg.nr, 3);
	assert_string_equal(o->arg.items[0], "a");
	assert_string_equal(o->arg.items[1], "--help");
	assert_string_equal(o->arg.items[2], "--");
	assert_null(o->arg.items[3]);
	cli_request_fini(&request);
}

static void no_arguments_at_all(void **state)
{
	char *none[] = {NULL};
	struct cli_request request;
	struct sk_error err;

	(void)state;
	assert_int_equal(cli_parse(&request, 0, none, &err), -EINVAL);
	request = (struct cli_request){.command = CLI_TOP};
	cli_request_fini(&request);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		const char *again;
	} good[] = {
		{"0B", 0, "0B"},
		{"1b", 1, "1B"},
		{"4096B", 4096, "4K"},
		{"1k", 1024, "1K"},
		{"1536M", 1536 * SK_MIB, "1536M"},
		{"1024MiB", SK_GIB, "1G"},
		{"2GiB", 2 * SK_GIB, "2G"},
		{"00016T", UINT64_C(16) << 40, "16T"},
		{"16777215T", UINT64_C(16777215) << 40, "16777215T"},
		{"18446744073709551615B", UINT64_MAX, "18446744073709551615B"},
	};
	static const char *const bad[] = {"",	      "B",    "1",	   "-1B",
					  "1BiB",     "1Ki",  "1KIB",	   "1P",
					  "1.0M",     "1,0M", " 1M",	   "1M ",
					  "+1M",      "0x1M", "16777216T", "18446744073709551616B",
					  "1\xc3\xa9"};
	char text[CLI_SIZE_TEXT_MAX];
	struct sk_error err;
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(good); i++) {
		assert_int_equal(cli_parse_size(good[i].text, &bytes, &err), 0);
		assert_true(bytes == good[i].bytes);
		assert_string_equal(cli_format_size(text, bytes), good[i].again);
	}
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++)
		assert_int_equal(cli_parse_size(bad[i], &bytes, &err), -EINVAL);
}

static void quoting_is_safe_and_short(void **state)
{
	char q[CLI_QUOTE_MAX], tight[16];

	(void)state;
	assert_string_equal(cli_quote(q, sizeof(q), "plain"), "'plain'");
	assert_string_equal(cli_quote(q, sizeof(q), ""), "''");
	assert_string_equal(cli_quote(q, sizeof(q), "a\nb\x7f"), "'a\\x0ab\\x7f'");
	assert_string_equal(cli_quote(q, sizeof(q), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
			    "'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'");
	/* C1 controls, overlong forms, surrogates, beyond Unicode, cut short. */
	assert_string_equal(cli_printable(q, sizeof(q), "\xc2\x9b"), "\\xc2\\x9b");
	assert_string_equal(cli_printable(q, sizeof(q), "\xc0\xaf"), "\\xc0\\xaf");
	assert_string_equal(cli_printable(q, sizeof(q), "\xed\xa0\x80"), "\\xed\\xa0\\x80");
	assert_string_equal(cli_printable(q, sizeof(q), "\xf4\x90\x80\x80"),
			    "\\xf4\\x90\\x80\\x80");
	assert_string_equal(cli_printable(q, sizeof(q), "\xe2\x82"), "\\xe2\\x82");
	assert_string_equal(cli_quote(tight, sizeof(tight), "0123456789abc"), "'0123456789abc'");
	assert_string_equal(cli_quote(tight, sizeof(tight), "0123456789abcd"), "'0123456789...'");
	assert_string_equal(cli_printable(tight, sizeof(tight),
					  "0123456789a\xe2\x82\xac"
					  "bcd"),
			    "0123456789a...");
}

static void distance_counts_edits(void **state)
{
	(void)state;
	assert_int_equal(cli_distance("", ""), 0);
	assert_int_equal(cli_distance("", "abc"), 3);
	assert_int_equal(cli_distance("abc", ""), 3);
	assert_int_equal(cli_distance("run", "run"), 0);
	assert_int_equal(cli_distance("rnu", "run"), 1);
	assert_int_equal(cli_distance("memroy", "memory"), 1);
	assert_int_equal(cli_distance("kitten", "sitting"), 3);
	assert_int_equal(cli_distance("ca", "abc"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_explained),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(help_wins),
		cmocka_unit_test(words_in_any_order),
		cmocka_unit_test(no_arguments_at_all),
		cmocka_unit_test(sizes),
		cmocka_unit_test(quoting_is_safe_and_short),
		cmocka_unit_test(distance_counts_edits),
	};

	return cmocka_run_group_tests_name("cli-errors", tests, NULL, NULL);
}
