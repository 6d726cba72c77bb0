/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Every option of the table through every door: a new option is tested by being there. What a
 * sentence must say is in errors_test.c, the JSON reader in config_test.c.
 */
#include "cli_internal.h"

#include <ctype.h>
#include <setjmp.h>
#include <unistd.h>

#include <jansson.h>

#include <cmocka.h>

#define MAX_ARGS    32
#define MAX_SAMPLES 16
#define CONFIG_PATH "cli_test.json"

struct samples {
	char text[MAX_SAMPLES][64];
	size_t nr;
};

static void add(struct samples *s, const char *text)
{
	assert_true(s->nr < MAX_SAMPLES);
	snprintf(s->text[s->nr++], sizeof(s->text[0]), "%s", text);
}

static void add_number(struct samples *s, const struct cli_option *opt, uint64_t v)
{
	char text[CLI_SIZE_TEXT_MAX];

	if (opt->type == CLI_SIZE)
		cli_format_size(text, v);
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	add(s, text);
}

static bool ends_parsing(const struct cli_option *opt)
{
	return !strcmp(opt->name, "help") || !strcmp(opt->name, "version");
}

static void good_samples(struct samples *s, const struct cli_option *opt)
{
	const char *name;

	*s = (struct samples){.nr = 0};
	for (size_t i = 0; (name = cli_choice_name(opt, i)); i++)
		add(s, name);
	if (opt->type == CLI_WORD_OR_PATH || opt->type == CLI_PATH)
		add(s, "./a file \xc3\xa9 \"q\" \\ 'x'");
	if (opt->type == CLI_PATH)
		add(s, "other");
	if (opt->type == CLI_STRING) {
		add(s, "a b=c,\t\"d\"");
		add(s, "");
	}
	if (opt->type == CLI_COUNT || opt->type == CLI_UINT || opt->type == CLI_SIZE) {
		add_number(s, opt, opt->min);
		add_number(s, opt, opt->max);
	}
	if (opt->type == CLI_BOOL)
		add(s, "on");
	if (opt->type == CLI_BOOL && !ends_parsing(opt))
		add(s, "off");
	/* A CLI_RECORD has none: record_test.c goes through its keys. */
}

static void bad_samples(struct samples *s, const struct cli_option *opt)
{
	static const char *const bad_numbers[] = {
		"", "x", " 1", "+1", "-1", "1x", "1 ", "0x10", "1.0", "99999999999999999999"};
	static const char *const bad_sizes[] = {
		"",	    "1",   "M",	    "-1M", "1.5G",
		"1MB",	    "1Mi", "1M 1M", "1 M", "99999999999999999999T",
		"16777216T"};

	*s = (struct samples){.nr = 0};
	if (opt->type == CLI_COUNT || opt->type == CLI_UINT)
		for (size_t i = 0; i < SK_ARRAY_SIZE(bad_numbers); i++)
			add(s, bad_numbers[i]);
	if (opt->type == CLI_SIZE)
		for (size_t i = 0; i < SK_ARRAY_SIZE(bad_sizes); i++)
			add(s, bad_sizes[i]);
	if (opt->type == CLI_COUNT || opt->type == CLI_UINT || opt->type == CLI_SIZE) {
		add_number(s, opt, opt->max + SK_MAX(opt->step, 1));
		if (opt->min)
			add_number(s, opt, opt->min - 1);
		if (opt->step > 1)
			add_number(s, opt, opt->min + 1);
	}
	if (cli_choice_name(opt, 0) || opt->type == CLI_PATH)
		add(s, "");
	if (opt->type == CLI_WORD || opt->type == CLI_COMMAND_NAME || opt->type == CLI_BOOL)
		add(s, "nonsense");
}

/* A command line under construction. */
struct line {
	char *argv[MAX_ARGS];
	int argc;
};

static void word(struct line *l, const char *fmt, ...) SK_PRINTF(2, 3);
static void word(struct line *l, const char *fmt, ...)
{
	va_list args;

	assert_true(l->argc < MAX_ARGS);
	va_start(args, fmt);
	assert_true(vasprintf(&l->argv[l->argc++], fmt, args) >= 0);
	va_end(args);
}

static void line_end(struct line *l)
{
	while (l->argc)
		free(l->argv[--l->argc]);
}

/* "skete COMMAND", with the argument that it needs unless @opt is that. */
static void line_begin(struct line *l, enum cli_command command, const struct cli_option *opt)
{
	const struct cli_option *positional = cli_positional(command);
	struct samples s;

	l->argc = 0;
	word(l, "skete");
	if (command != CLI_TOP)
		word(l, "%s", cli_commands[command].name);
	if (!positional || positional == opt || !(positional->flags & CLI_REQUIRED))
		return;
	good_samples(&s, positional);
	word(l, "%s", s.text[0]);
}

static void parse_ok(struct cli_request *request, const struct line *l)
{
	struct sk_error err = {0};

	if (cli_parse(request, l->argc, l->argv, &err))
		fail_msg("%s %s: %s", l->argv[1], l->argv[l->argc - 1], err.message);
}

/* @say must be in the sentence. */
static void parse_bad(const struct line *l, const char *say)
{
	struct cli_request request;
	struct sk_error err = {0};
	int rc = cli_parse(&request, l->argc, l->argv, &err);

	if (!rc)
		fail_msg("%s %s is taken", l->argv[1], l->argv[l->argc - 1]);
	assert_int_equal(rc, -EINVAL);
	assert_int_equal(err.code, rc);
	if (!strstr(err.message, say))
		fail_msg("\"%s\" does not say \"%s\"", err.message, say);
}

static void write_config(const char *text)
{
	FILE *f = fopen(CONFIG_PATH, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* {"name": value} in the JSON type of the option. */
static void write_one(const struct cli_option *opt, const char *text)
{
	json_t *value, *root = json_object();
	char *dump;

	if (opt->type == CLI_BOOL)
		value = json_boolean(!strcmp(text, "on"));
	else if (opt->type == CLI_COUNT || opt->type == CLI_UINT)
		value = json_integer(strtoll(text, NULL, 10));
	else if (opt->flags & CLI_REPEAT)
		value = json_pack("[s]", text);
	else
		value = json_string(text);
	assert_int_equal(json_object_set_new(root, opt->name, value), 0);
	dump = json_dumps(root, 0);
	write_config(dump);
	free(dump);
	json_decref(root);
}

static bool same_list(const struct cli_list *a, const struct cli_list *b)
{
	bool is_same = a->nr == b->nr;

	for (size_t i = 0; is_same && i < a->nr; i++)
		is_same = !strcmp(a->items[i], b->items[i]);
	return is_same;
}

static bool same_value(const struct cli_option *opt, const struct cli_options *a,
		       const struct cli_options *b)
{
	const char *x, *y;

	if (opt->type == CLI_BOOL)
		return cli_value_bool(a, opt) == cli_value_bool(b, opt);
	if (opt->type == CLI_COUNT || opt->type == CLI_UINT || opt->type == CLI_SIZE)
		return cli_value_number(a, opt) == cli_value_number(b, opt);
	if (opt->type == CLI_RECORD)
		return cli_value_records(a, opt)->nr == cli_value_records(b, opt)->nr;
	if (opt->flags & CLI_REPEAT)
		return same_list(cli_value_list(a, opt), cli_value_list(b, opt));
	x = cli_value_text(a, opt);
	y = cli_value_text(b, opt);
	return x == y || (x && y && !strcmp(x, y));
}

/* The value of @opt is what @text says, read here in another way than in value.c. */
static bool holds(const struct cli_option *opt, const struct cli_options *o, const char *text)
{
	const struct cli_list *list;
	uint64_t number;
	char *unit;

	switch (opt->type) {
	case CLI_BOOL:
		return cli_value_bool(o, opt) == !strcmp(text, "on");
	case CLI_COUNT:
	case CLI_UINT:
	case CLI_SIZE:
		number = strtoull(text, &unit, 10);
		if (*unit)
			number <<= 10 * (strchr("BKMGT", *unit) - "BKMGT");
		return cli_value_number(o, opt) == number;
	default:
		break;
	}
	if (!(opt->flags & CLI_REPEAT))
		return !strcmp(cli_value_text(o, opt), text);
	list = cli_value_list(o, opt);
	return list->nr == 1 && !strcmp(list->items[0], text) && !list->items[1];
}

/* Parses, and checks that @opt says @text and that nothing else has moved. Ends the line. */
static void expect(struct line *l, enum cli_command command, const struct cli_option *opt,
		   const char *text)
{
	struct cli_request got, plain;
	struct line bare;

	parse_ok(&got, l);
	if (ends_parsing(opt)) {
		assert_int_equal(got.command, *opt->name == 'h' ? CLI_HELP : CLI_VERSION);
		assert_int_equal(got.options.topic, command);
		goto out;
	}
	assert_int_equal(got.command, command);
	if (!holds(opt, &got.options, text))
		fail_msg("--%s is not '%s'", opt->name, text);
	line_begin(&bare, command, NULL);
	parse_ok(&plain, &bare);
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *other = &cli_options_table[i];

		if (other != opt && strcmp(other->name, "config") &&
		    !(other->flags & CLI_POSITIONAL) &&
		    !same_value(other, &got.options, &plain.options))
			fail_msg("--%s moved --%s", opt->name, other->name);
	}
	cli_request_fini(&plain);
	line_end(&bare);
out:
	cli_request_fini(&got);
	line_end(l);
}

typedef void (*visit_fn)(enum cli_command command, const struct cli_option *opt);

static void for_each_option(visit_fn visit)
{
	for (unsigned int c = CLI_TOP; c < CLI_NR_COMMANDS; c++)
		for (size_t i = 0; i < cli_nr_options; i++)
			if (cli_has_option((enum cli_command)c, &cli_options_table[i]))
				visit((enum cli_command)c, &cli_options_table[i]);
}

static bool in_config(enum cli_command command, const struct cli_option *opt)
{
	return !(opt->flags & CLI_ARGV_ONLY) && cli_find_option(command, "config", 6);
}

static bool is_switch(const struct cli_option *opt)
{
	return opt->type == CLI_BOOL || opt->type == CLI_COUNT;
}

static void visit_argv(enum cli_command command, const struct cli_option *opt)
{
	struct samples s;
	struct line l;

	/* The file that --config names is read at once. */
	good_samples(&s, opt);
	if (!strcmp(opt->name, "config")) {
		s = (struct samples){.nr = 0};
		add(&s, CONFIG_PATH);
		write_config("{}");
	}
	for (size_t i = 0; i < s.nr; i++) {
		const char *text = s.text[i];

		if (!(opt->flags & CLI_NAMELESS)) {
			line_begin(&l, command, opt);
			word(&l, "--%s=%s", opt->name, text);
			expect(&l, command, opt, text);
		}
		if (!(opt->flags & CLI_NAMELESS) && !is_switch(opt)) {
			line_begin(&l, command, opt);
			word(&l, "--%s", opt->name);
			word(&l, "%s", text);
			expect(&l, command, opt, text);
		}
		if (opt->letter && !is_switch(opt)) {
			line_begin(&l, command, opt);
			word(&l, "-%c", opt->letter);
			word(&l, "%s", text);
			expect(&l, command, opt, text);
		}
		/* Nothing behind the letter would be no value. */
		if (opt->letter && !is_switch(opt) && *text) {
			line_begin(&l, command, opt);
			word(&l, "-%c%s", opt->letter, text);
			expect(&l, command, opt, text);
		}
		if (opt->flags & CLI_POSITIONAL) {
			line_begin(&l, command, opt);
			word(&l, "%s", text);
			expect(&l, command, opt, text);
		}
		if (opt->flags & CLI_TAIL) {
			line_begin(&l, command, opt);
			word(&l, "--");
			word(&l, "%s", text);
			expect(&l, command, opt, text);
		}
	}
}

static void every_option_by_command_line(void **state)
{
	(void)state;
	for_each_option(visit_argv);
}

static void visit_switch(enum cli_command command, const struct cli_option *opt)
{
	const char *on = opt->type == CLI_COUNT ? "1" : "on";
	struct line l;

	if (!is_switch(opt))
		return;
	line_begin(&l, command, opt);
	word(&l, "--%s", opt->name);
	expect(&l, command, opt, on);
	if (opt->letter) {
		line_begin(&l, command, opt);
		word(&l, "-%c", opt->letter);
		expect(&l, command, opt, on);
	}
	line_begin(&l, command, opt);
	word(&l, "--no-%s", opt->name);
	if (cli_has_negation(opt))
		expect(&l, command, opt, "off");
	else
		parse_bad(&l, "unknown option");
	line_end(&l);
}

static void every_switch(void **state)
{
	(void)state;
	for_each_option(visit_switch);
}

static void visit_config(enum cli_command command, const struct cli_option *opt)
{
	struct samples s;
	struct line l;

	if (!in_config(command, opt))
		return;
	good_samples(&s, opt);
	for (size_t i = 0; i < s.nr; i++) {
		write_one(opt, s.text[i]);
		line_begin(&l, command, opt);
		word(&l, "--config=%s", CONFIG_PATH);
		expect(&l, command, opt, s.text[i]);
	}
}

static void every_option_by_file(void **state)
{
	(void)state;
	for_each_option(visit_config);
}

static void visit_precedence(enum cli_command command, const struct cli_option *opt)
{
	struct samples s;
	struct line l;

	/* Where there is one word only, there is nothing to choose from. */
	if (!in_config(command, opt) || opt->type == CLI_RECORD || opt->nr_words == 1)
		return;
	good_samples(&s, opt);
	assert_true(s.nr >= 2);
	for (size_t i = 0; i < s.nr; i++) {
		write_one(opt, s.text[(i + 1) % s.nr]);
		line_begin(&l, command, opt);
		word(&l, "--%s=%s", opt->name, s.text[i]);
		word(&l, "--config=%s", CONFIG_PATH);
		expect(&l, command, opt, s.text[i]);
		/* The last word counts, except where each adds one. */
		line_begin(&l, command, opt);
		word(&l, "--%s=%s", opt->name, s.text[(i + 1) % s.nr]);
		word(&l, "--%s=%s", opt->name, s.text[i]);
		if (!(opt->flags & CLI_REPEAT))
			expect(&l, command, opt, s.text[i]);
		else
			line_end(&l);
	}
}

static void command_line_beats_file(void **state)
{
	(void)state;
	for_each_option(visit_precedence);
}

static void visit_bad(enum cli_command command, const struct cli_option *opt)
{
	char say[96];
	struct samples s;
	struct line l;

	bad_samples(&s, opt);
	for (size_t i = 0; i < s.nr; i++) {
		line_begin(&l, command, opt);
		if (opt->flags & CLI_NAMELESS) {
			word(&l, "%s", s.text[i]);
			snprintf(say, sizeof(say), "%s: ", opt->metavar);
		} else {
			word(&l, "--%s=%s", opt->name, s.text[i]);
			snprintf(say, sizeof(say), "--%s: ", opt->name);
		}
		parse_bad(&l, say);
		line_end(&l);
	}
	if (is_switch(opt) || opt->flags & (CLI_NAMELESS | CLI_BARE))
		return;
	snprintf(say, sizeof(say), "--%s needs a value", opt->name);
	line_begin(&l, command, opt);
	word(&l, "--%s", opt->name);
	parse_bad(&l, say);
	word(&l, "--help");
	parse_bad(&l, say);
	line_end(&l);
}

static void every_bad_value_by_command_line(void **state)
{
	(void)state;
	for_each_option(visit_bad);
}

/* As visit_bad(), in a file: the sentence begins with the place of the value. */
static void visit_bad_config(enum cli_command command, const struct cli_option *opt)
{
	static const char *const wrong[] = {"null", "{}",   "[[]]", "[1]",
					    "1.5",  "true", "7",    "\"7\""};
	char text[256], say[128];
	struct samples s;
	struct line l;

	if (!in_config(command, opt))
		return;
	line_begin(&l, command, opt);
	word(&l, "--config=%s", CONFIG_PATH);
	snprintf(say, sizeof(say), "%s:2:%zu: \"%s\": ", CONFIG_PATH, strlen(opt->name) + 5,
		 opt->name);
	for (size_t i = 0; i < SK_ARRAY_SIZE(wrong); i++) {
		bool is_text = wrong[i][0] == '"';
		bool wants_number = opt->type == CLI_COUNT || opt->type == CLI_UINT;

		if ((opt->type == CLI_BOOL && !strcmp(wrong[i], "true")) ||
		    (wants_number && !strcmp(wrong[i], "7")) ||
		    (opt->flags & CLI_BARE && !strcmp(wrong[i], "{}")))
			continue;
		if (is_text && !wants_number && opt->type != CLI_BOOL && !(opt->flags & CLI_REPEAT))
			continue;
		snprintf(text, sizeof(text), "{\n\"%s\": %s}", opt->name, wrong[i]);
		write_config(text);
		parse_bad(&l, say);
	}
	bad_samples(&s, opt);
	for (size_t i = 0; i < s.nr; i++) {
		if (is_switch(opt) || opt->type == CLI_UINT)
			break;
		snprintf(text, sizeof(text), "{\n\"%s\": \"%s\"}", opt->name, s.text[i]);
		write_config(text);
		parse_bad(&l, say);
	}
	line_end(&l);
}

static void every_bad_value_by_file(void **state)
{
	(void)state;
	for_each_option(visit_bad_config);
}

/* To a string that the caller frees. */
static char *render_config(const struct cli_request *request)
{
	struct sk_error err = {0};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(cli_render_config(out, request, &err), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void round_trip(const struct line *l, enum cli_command command)
{
	struct cli_request first, second;
	struct line again = {.argc = 0};
	char *text, *text_again;

	parse_ok(&first, l);
	text = render_config(&first);
	write_config(text);
	word(&again, "skete");
	word(&again, "%s", cli_commands[command].name);
	word(&again, "--config=%s", CONFIG_PATH);
	parse_ok(&second, &again);
	for (size_t i = 0; i < cli_nr_options; i++)
		if (in_config(command, &cli_options_table[i]))
			assert_true(
				same_value(&cli_options_table[i], &first.options, &second.options));
	text_again = render_config(&second);
	assert_string_equal(text, text_again);
	free(text);
	free(text_again);
	cli_request_fini(&first);
	cli_request_fini(&second);
	line_end(&again);
}

static void visit_round_trip(enum cli_command command, const struct cli_option *opt)
{
	struct samples s;
	struct line l;

	if (!in_config(command, opt))
		return;
	good_samples(&s, opt);
	for (size_t i = 0; i < s.nr; i++) {
		line_begin(&l, command, opt);
		word(&l, "--%s=%s", opt->name, s.text[i]);
		round_trip(&l, command);
		line_end(&l);
	}
}

static void dry_run_round_trip(void **state)
{
	struct line all;

	(void)state;
	for_each_option(visit_round_trip);
	line_begin(&all, CLI_RUN, NULL);
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];
		struct samples s;

		if (!in_config(CLI_RUN, opt) || !cli_has_option(CLI_RUN, opt) ||
		    opt->flags & CLI_POSITIONAL || opt->type == CLI_RECORD)
			continue;
		good_samples(&s, opt);
		word(&all, "--%s=%s", opt->name, s.text[s.nr - 1]);
	}
	word(&all, "--");
	word(&all, "--config=x");
	round_trip(&all, CLI_RUN);
	line_end(&all);
}

static void dry_run_refuses_what_json_cannot_hold(void **state)
{
	struct line l = {.argc = 0};
	struct cli_request request;
	struct sk_error err = {0};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	line_begin(&l, CLI_RUN, NULL);
	word(&l, "--initrd=\xff");
	parse_ok(&request, &l);
	assert_int_equal(cli_render_config(out, &request, &err), -EILSEQ);
	assert_non_null(strstr(err.message, "--initrd"));
	fclose(out);
	assert_int_equal(len, 0);
	free(text);
	cli_request_fini(&request);
	line_end(&l);
}

/* What a newcomer to the table could get wrong. */
static void table_is_sane(void **state)
{
	(void)state;
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		assert_true(strspn(opt->name, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
			    strlen(opt->name));
		assert_int_not_equal(strncmp(opt->name, "no-", 3), 0);
		assert_true(opt->commands && !(opt->commands >> CLI_NR_COMMANDS));
		assert_true(is_switch(opt) == !opt->metavar);
		assert_non_null(opt->group);
		assert_true(isupper((unsigned char)opt->brief[0]));
		assert_true(opt->brief[strlen(opt->brief) - 1] != '.');
		if (opt->type == CLI_UINT || opt->type == CLI_SIZE || opt->type == CLI_COUNT)
			assert_true(opt->min <= opt->init && opt->init <= opt->max);
		if (opt->step)
			assert_true(!(opt->min % opt->step) && !(opt->init % opt->step));
		if (opt->type == CLI_WORD || opt->type == CLI_WORD_OR_PATH)
			assert_true(opt->nr_words && opt->init < opt->nr_words);
		if (opt->flags & CLI_REPEAT)
			assert_true(opt->type == CLI_STRING || opt->type == CLI_PATH ||
				    opt->type == CLI_RECORD);
		for (size_t j = 0; j < i; j++) {
			const struct cli_option *other = &cli_options_table[j];

			assert_true(opt->offset != other->offset);
			if (!(opt->commands & other->commands))
				continue;
			assert_string_not_equal(opt->name, other->name);
			assert_true(!opt->letter || opt->letter != other->letter);
			assert_false(opt->flags & other->flags & (CLI_POSITIONAL | CLI_TAIL));
			/* A group that is left does not come back. */
			if (!strcmp(opt->group, other->group))
				assert_string_equal(opt->group, cli_options_table[i - 1].group);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sane),
		cmocka_unit_test(every_option_by_command_line),
		cmocka_unit_test(every_switch),
		cmocka_unit_test(every_option_by_file),
		cmocka_unit_test(command_line_beats_file),
		cmocka_unit_test(every_bad_value_by_command_line),
		cmocka_unit_test(every_bad_value_by_file),
		cmocka_unit_test(dry_run_round_trip),
		cmocka_unit_test(dry_run_refuses_what_json_cannot_hold),
	};
	char dir[] = "/tmp/skete-cli-XXXXXX";
	int rc;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	rc = cmocka_run_group_tests_name("cli", tests, NULL, NULL);
	unlink(CONFIG_PATH);
	rmdir(dir);
	return rc;
}
