/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* --help and --version: plain text in 80 columns, no colour. */
#include "cli_internal.h"

#define WIDTH	    80
#define TEXT_COLUMN 28 /* where the help of an option begins */
#define LABEL_MAX   96

/* Words of @text from @column on, further lines indented by @indent; ends the line. */
static void wrap(FILE *out, const char *text, size_t column, size_t indent)
{
	bool is_first = true;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (!is_first && column + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
			is_first = true;
		}
		fprintf(out, "%s%.*s", is_first ? "" : " ", (int)len, text);
		column += len + !is_first;
		is_first = false;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* A label and its explanation, which stands below if the label is too long. */
static void render_entry(FILE *out, const char *label, const char *text)
{
	size_t len = strlen(label);

	if (len + 2 > TEXT_COLUMN)
		fprintf(out, "%s\n%*s", label, TEXT_COLUMN, "");
	else
		fprintf(out, "%-*s", TEXT_COLUMN, label);
	wrap(out, text, TEXT_COLUMN, TEXT_COLUMN);
}

const char *cli_shown_name(char *dst, size_t size, const struct cli_option *opt)
{
	bool is_negated = opt->type == CLI_BOOL && opt->init;

	snprintf(dst, size, "%s%s", is_negated ? "no-" : "", opt->name);
	return dst;
}

const char *cli_summary(char *dst, size_t size, const struct cli_option *opt)
{
	char choices[256], number[CLI_SIZE_TEXT_MAX];
	const char *fallback = cli_default_text(opt, number);
	bool has_words = cli_choice_name(opt, 0) != NULL;
	char range[64] = "";
	int n;

	cli_list_choices(choices, sizeof(choices), opt,
			 opt->type == CLI_WORD_OR_PATH ? "a file" : NULL);
	if (opt->type == CLI_UINT)
		snprintf(range, sizeof(range), "%llu to %llu, ", (unsigned long long)opt->min,
			 (unsigned long long)opt->max);
	n = snprintf(dst, size, "%s%s%s", opt->brief, has_words ? ": " : "",
		     has_words ? choices : "");
	if (fallback && n > 0 && (size_t)n < size)
		snprintf(dst + n, size - (size_t)n, " (%sdefault %s)", range, fallback);
	return dst;
}

static void render_option(FILE *out, const struct cli_option *opt)
{
	char label[LABEL_MAX], name[64], letter[8] = "    ", text[512];

	cli_shown_name(name, sizeof(name), opt);
	if (opt->letter)
		snprintf(letter, sizeof(letter), "-%c, ", opt->letter);
	if (opt->flags & CLI_NAMELESS)
		snprintf(label, sizeof(label), "  %s", opt->metavar);
	else
		snprintf(label, sizeof(label), "  %s--%s%s%s", letter, name,
			 opt->metavar ? " " : "", opt->metavar ? opt->metavar : "");
	render_entry(out, label, cli_summary(text, sizeof(text), opt));
	for (size_t i = 0; i < opt->nr_keys; i++) {
		cli_key_label(name, sizeof(name), &opt->keys[i]);
		snprintf(label, sizeof(label), "          %s", name);
		render_entry(out, label, cli_summary(text, sizeof(text), &opt->keys[i]));
	}
}

/* Under one heading for each group, in the order of the table. */
static void render_options(FILE *out, enum cli_command command)
{
	const char *group = "";
	bool has_negations = false;

	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (!cli_has_option(command, opt))
			continue;
		if (strcmp(group, opt->group))
			fprintf(out, "\n%s:\n", opt->group);
		group = opt->group;
		render_option(out, opt);
		has_negations |= cli_has_negation(opt) && opt->init;
	}
	if (!has_negations)
		return;
	fputc('\n', out);
	wrap(out,
	     "Every --no-x has its opposite --x. A value may also follow as in --cpus=2. What is "
	     "said twice counts as said last.",
	     0, 0);
}

const char *cli_operands(char *dst, size_t size, enum cli_command command)
{
	const struct cli_option *opt = cli_positional(command), *tail = cli_tail(command);
	bool is_optional = opt && !(opt->flags & CLI_REQUIRED);
	bool has_name = opt && !(opt->flags & CLI_NAMELESS);

	if (command == CLI_TOP) {
		snprintf(dst, size, "COMMAND");
		return dst;
	}
	snprintf(dst, size, "%s%s%s%s%s%s%s%s%s", is_optional ? "[" : "", has_name ? "[--" : "",
		 has_name ? opt->name : "", has_name ? "] " : "", opt ? opt->metavar : "",
		 is_optional ? "]" : "", tail ? " [-- " : "", tail ? tail->metavar : "",
		 tail ? "...]" : "");
	return dst;
}

static void render_commands(FILE *out)
{
	fprintf(out, "\nCommands:\n");
	for (size_t i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++) {
		char label[LABEL_MAX];

		snprintf(label, sizeof(label), "  %s", cli_commands[i].name);
		render_entry(out, label, cli_commands[i].brief);
	}
	fprintf(out, "\n'skete COMMAND --help' explains each.\n");
}

static void render_exits(FILE *out)
{
	fprintf(out, "\nExit status:\n");
	for (size_t i = 0; i < cli_nr_exits; i++) {
		char label[LABEL_MAX];

		snprintf(label, sizeof(label), "  %s", cli_exit_table[i].code);
		render_entry(out, label, cli_exit_table[i].help);
	}
}

void cli_render_help(FILE *out, enum cli_command command)
{
	const struct cli_command_info *info = &cli_commands[command];
	char operands[128];

	cli_operands(operands, sizeof(operands), command);
	fprintf(out, "Usage: skete%s%s [OPTIONS]%s%s\n\n", info->name ? " " : "",
		info->name ? info->name : "", *operands ? " " : "", operands);
	wrap(out, info->detail, 0, 0);
	if (command == CLI_TOP)
		render_commands(out);
	render_options(out, command);
	if (command == CLI_TOP || command == CLI_RUN)
		render_exits(out);
	fprintf(out, "\nExamples:\n");
	for (size_t i = 0; i < CLI_NR_EXAMPLES; i++)
		fprintf(out, "  %s\n      %s\n", info->examples[i].command, info->examples[i].help);
}

void cli_render_version(FILE *out, bool is_json)
{
	if (is_json)
		fprintf(out, "{\"name\": \"skete\", \"version\": \"%s\"}\n", CLI_VERSION_TEXT);
	else
		fprintf(out, "skete %s\n", CLI_VERSION_TEXT);
}
