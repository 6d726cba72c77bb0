/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What is rendered from the table: nothing is missing, lines fit, and the examples are real. */
#include "cli_internal.h"

#include <ctype.h>
#include <setjmp.h>
#include <unistd.h>

#include <jansson.h>

#include <cmocka.h>

#define MAX_WORDS 16

static char *help(enum cli_command command)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	cli_render_help(out, command);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *completion(enum cli_shell shell)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	cli_render_completion(out, shell);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *man_page(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	cli_render_man(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void check_lines(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > 80 || (len && text[len - 1] == ' '))
			fail_msg("too long, or ends with a space: %.*s", (int)len, text);
		for (size_t i = 0; i < len; i++)
			assert_true(isprint((unsigned char)text[i]));
		assert_int_equal(text[len], '\n');
		text += len + 1;
	}
}

static void help_names_every_option(void **state)
{
	char wanted[128], name[64];

	(void)state;
	for (unsigned int c = CLI_TOP; c < CLI_NR_COMMANDS; c++) {
		char *text = help((enum cli_command)c);

		check_lines(text);
		for (size_t i = 0; i < cli_nr_options; i++) {
			const struct cli_option *opt = &cli_options_table[i];
			bool is_nameless = opt->flags & CLI_NAMELESS;

			cli_shown_name(name, sizeof(name), opt);
			snprintf(wanted, sizeof(wanted), "  %s%s%s%s", is_nameless ? "" : "--",
				 is_nameless ? opt->metavar : name,
				 !is_nameless && opt->metavar ? " " : "",
				 !is_nameless && opt->metavar ? opt->metavar : "");
			if (opt->letter)
				snprintf(wanted, sizeof(wanted), "  -%c, --%s", opt->letter, name);
			if (!cli_has_option((enum cli_command)c, opt))
				continue;
			if (!strstr(text, wanted))
				fail_msg("help %u lacks \"%s\"", c, wanted);
		}
		assert_int_equal(strncmp(text, "Usage: skete", 12), 0);
		free(text);
	}
}

static void help_tells_the_exit_codes(void **state)
{
	static const int codes[] = {CLI_EXIT_OK, CLI_EXIT_FAILED, CLI_EXIT_CANNOT_RUN,
				    CLI_EXIT_NOT_FOUND, CLI_EXIT_GUEST_CRASH};
	char line[32], *text = help(CLI_RUN);

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(codes); i++) {
		snprintf(line, sizeof(line), "\n  %d ", codes[i]);
		if (!strstr(text, line))
			fail_msg("exit code %d is not explained", codes[i]);
	}
	snprintf(line, sizeof(line), "\n  %d+N ", CLI_EXIT_SIGNAL_BASE);
	assert_non_null(strstr(text, line));
	free(text);
}

/* Parses the words of an example from "skete" to the shell's next operator. */
static void parse_example(const char *example)
{
	const char *start = strstr(example, "skete ");
	char *copy, *save = NULL, *argv[MAX_WORDS];
	struct cli_request request;
	struct sk_error err = {0};
	int argc = 0;

	assert_non_null(start);
	copy = strdup(start);
	copy[strcspn(copy, "|&>)")] = '\0';
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_true(argc < MAX_WORDS);
		argv[argc++] = w;
	}
	if (cli_parse(&request, argc, argv, &err))
		fail_msg("%s: %s", example, err.message);
	cli_request_fini(&request);
	free(copy);
}

static void examples_are_real(void **state)
{
	char dir[] = "/tmp/skete-cli-XXXXXX";
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	f = fopen("vm.json", "w");
	assert_non_null(f);
	fputs("{\"kernel\": \"vmlinuz\"}", f);
	assert_int_equal(fclose(f), 0);
	for (unsigned int c = CLI_TOP; c < CLI_NR_COMMANDS; c++) {
		char *text = help((enum cli_command)c), *tail = strstr(text, "\nExamples:\n");
		size_t nr_lines = 0;

		assert_non_null(tail);
		for (char *p = tail + 1; *p; p++)
			nr_lines += *p == '\n';
		assert_int_equal(nr_lines, 1 + 2 * CLI_NR_EXAMPLES);
		for (size_t i = 0; i < CLI_NR_EXAMPLES; i++)
			parse_example(cli_commands[c].examples[i].command);
		free(text);
	}
	unlink("vm.json");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void completions_name_every_option(void **state)
{
	static const char *const before[] = {"--", "--", "-l "};
	char wanted[80];

	(void)state;
	for (unsigned int shell = CLI_SHELL_BASH; shell <= CLI_SHELL_FISH; shell++) {
		char *text = completion((enum cli_shell)shell);

		for (size_t i = 0; i < cli_nr_options; i++) {
			const struct cli_option *opt = &cli_options_table[i];

			snprintf(wanted, sizeof(wanted), "%s%s", before[shell], opt->name);
			if (!(opt->flags & CLI_NAMELESS) && !strstr(text, wanted))
				fail_msg("%s lacks %s", cli_word("shell", shell), wanted);
			snprintf(wanted, sizeof(wanted), "%sno-%s", before[shell], opt->name);
			if (cli_has_negation(opt) && !strstr(text, wanted))
				fail_msg("%s lacks %s", cli_word("shell", shell), wanted);
			for (size_t j = 0; j < opt->nr_words; j++)
				assert_non_null(strstr(text, opt->words[j].name));
		}
		free(text);
	}
}

/* As it stands in roff: dashes are escaped. */
static void man_page_names_every_option(void **state)
{
	char wanted[128], *text = man_page();

	(void)state;
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];
		char name[64], *w = wanted;

		if (opt->flags & CLI_NAMELESS)
			continue;
		w += sprintf(w, "\\fB\\-\\-");
		for (const char *c = cli_shown_name(name, sizeof(name), opt); *c; c++)
			w += sprintf(w, *c == '-' ? "\\-" : "%c", *c);
		sprintf(w, "\\fR");
		if (!strstr(text, wanted))
			fail_msg("the man page lacks %s", wanted);
	}
	free(text);
}

static void version_in_both_forms(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *root;

	(void)state;
	cli_render_version(out, true);
	fclose(out);
	root = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(root, "version")), CLI_VERSION_TEXT);
	json_decref(root);
	free(text);
	out = open_memstream(&text, &len);
	cli_render_version(out, false);
	fclose(out);
	assert_string_equal(text, "skete " CLI_VERSION_TEXT "\n");
	free(text);
}

static void words_of_values(void **state)
{
	(void)state;
	assert_string_equal(cli_word("boot", CLI_BOOT_MULTIBOOT), "multiboot");
	assert_string_equal(cli_word("pages", CLI_PAGES_1G), "1G");
	assert_null(cli_word("boot", 99));
	assert_null(cli_word("serial", CLI_SERIAL_FILE));
	assert_null(cli_word("nonsense", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_names_every_option),
		cmocka_unit_test(help_tells_the_exit_codes),
		cmocka_unit_test(examples_are_real),
		cmocka_unit_test(completions_name_every_option),
		cmocka_unit_test(man_page_names_every_option),
		cmocka_unit_test(version_in_both_forms),
		cmocka_unit_test(words_of_values),
	};

	return cmocka_run_group_tests_name("cli-render", tests, NULL, NULL);
}
