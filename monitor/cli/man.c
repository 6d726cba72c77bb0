/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The man page, in the man(7) macros. */
#include "cli_internal.h"

static void put_char(FILE *out, char c)
{
	switch (c) {
	case '-':
		fputs("\\-", out);
		break;
	case '\\':
		fputs("\\e", out);
		break;
	case '\'':
		fputs("\\(aq", out);
		break;
	case '"':
		fputs("\\(dq", out);
		break;
	case '~':
		fputs("\\(ti", out);
		break;
	case '^':
		fputs("\\(ha", out);
		break;
	case '`':
		fputs("\\(ga", out);
		break;
	default:
		fputc(c, out);
	}
}

/* Text within a line, or as the argument of a macro: nothing in it is markup. */
static void put(FILE *out, const char *text)
{
	if (*text == '.')
		fputs("\\&", out);
	for (; *text; text++)
		put_char(out, *text);
}

/* Whole lines: each sentence begins one, as roff wants it, and a full stop ends the last. */
static void put_sentences(FILE *out, const char *text)
{
	size_t len = strlen(text);

	for (const char *c = text; *c; c++) {
		if (c[0] == '.' && c[1] == ' ') {
			fputs(".\n", out);
			c++;
		} else {
			put_char(out, *c);
		}
	}
	fputs(len && text[len - 1] == '.' ? "\n" : ".\n", out);
}

static void put_option_name(FILE *out, const struct cli_option *opt)
{
	char name[64];

	if (opt->flags & CLI_NAMELESS) {
		fprintf(out, "\\fI%s\\fR\n", opt->metavar);
		return;
	}
	if (opt->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", opt->letter);
	fputs("\\fB\\-\\-", out);
	put(out, cli_shown_name(name, sizeof(name), opt));
	fputs("\\fR", out);
	if (opt->metavar)
		fprintf(out, " \\fI%s\\fR", opt->metavar);
	fputc('\n', out);
}

static const char *json_type(const struct cli_option *opt)
{
	if (opt->type == CLI_BOOL)
		return "true or false";
	if (opt->type == CLI_COUNT || opt->type == CLI_UINT)
		return "a number";
	if (opt->type == CLI_RECORD)
		return opt->flags & CLI_REPEAT ? "an array of objects with these keys"
					       : "an object with these keys";
	return opt->flags & CLI_REPEAT ? "an array of strings" : "a string";
}

static void put_words(FILE *out, const struct cli_option *opt)
{
	if (!cli_choice_help(opt, 0))
		return;
	fputs(".RS\n", out);
	for (size_t i = 0; i < opt->nr_words; i++) {
		fputs(".TP\n\\fB", out);
		put(out, opt->words[i].name);
		fputs("\\fR\n", out);
		put_sentences(out, opt->words[i].help);
	}
	fputs(".RE\n", out);
}

/* The keys of a CLI_RECORD, and their words. */
static void put_keys(FILE *out, const struct cli_option *opt)
{
	char text[512];

	if (!opt->nr_keys)
		return;
	fputs(".RS\n", out);
	for (size_t i = 0; i < opt->nr_keys; i++) {
		const struct cli_option *key = &opt->keys[i];

		fputs(".TP\n\\fB", out);
		put(out, key->name);
		fputs("\\fR", out);
		if (key->metavar)
			fprintf(out, "=\\fI%s\\fR", key->metavar);
		fputc('\n', out);
		put_sentences(out, cli_summary(text, sizeof(text), key));
		snprintf(text, sizeof(text), "In a file: %s", json_type(key));
		put_sentences(out, text);
		put_words(out, key);
	}
	fputs(".RE\n", out);
}

static void put_option(FILE *out, enum cli_command command, const struct cli_option *opt)
{
	char text[512];

	fputs(".TP\n", out);
	put_option_name(out, opt);
	put_sentences(out, cli_summary(text, sizeof(text), opt));
	if (opt->detail)
		put_sentences(out, opt->detail);
	if (opt->type == CLI_BOOL && opt->init) {
		snprintf(text, sizeof(text), "The default is --%s", opt->name);
		put_sentences(out, text);
	}
	if (!(opt->flags & CLI_ARGV_ONLY) && cli_find_option(command, "config", 6)) {
		snprintf(text, sizeof(text), "In a file: \"%s\", %s", opt->name, json_type(opt));
		put_sentences(out, text);
	}
	put_words(out, opt);
	put_keys(out, opt);
}

static void put_synopsis(FILE *out)
{
	char operands[128];

	fputs(".SH SYNOPSIS\n", out);
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++) {
		fprintf(out, "%s\\fBskete %s\\fR [\\fIOPTIONS\\fR]", i > CLI_TOP + 1 ? ".br\n" : "",
			cli_commands[i].name);
		if (*cli_operands(operands, sizeof(operands), (enum cli_command)i))
			fputc(' ', out);
		put(out, operands);
		fputc('\n', out);
	}
}

static void put_command(FILE *out, enum cli_command command)
{
	const struct cli_command_info *info = &cli_commands[command];

	fputs(".SS \"", out);
	put(out, info->name ? "skete " : "Before the command");
	put(out, info->name ? info->name : "");
	fputs("\"\n", out);
	if (info->name)
		put_sentences(out, info->detail);
	for (size_t i = 0; i < cli_nr_options; i++)
		if (cli_has_option(command, &cli_options_table[i]))
			put_option(out, command, &cli_options_table[i]);
}

static void put_config(FILE *out)
{
	fputs(".SH CONFIGURATION FILE\n", out);
	put_sentences(
		out,
		"The file that --config names holds one JSON object. Its keys are the names of "
		"the options, and a key that is unknown or stands there twice is an error. The "
		"command line beats the file, and the file beats the defaults. What --dry-run "
		"prints is such a file.");
	fputs(".PP\n.nf\n", out);
	put(out, "{\"kernel\": \"vmlinuz\", \"cmdline\": \"console=ttyS0\",");
	fputc('\n', out);
	put(out, " \"cpus\": 2, \"memory\": \"1G\", \"reboot\": false}");
	fputs("\n.fi\n", out);
}

static void put_examples(FILE *out)
{
	fputs(".SH EXAMPLES\n", out);
	for (unsigned int i = CLI_TOP; i < CLI_NR_COMMANDS; i++) {
		for (size_t j = 0; j < CLI_NR_EXAMPLES; j++) {
			const struct cli_example *example = &cli_commands[i].examples[j];

			fputs(".TP\n\\fB", out);
			put(out, example->command);
			fputs("\\fR\n", out);
			put_sentences(out, example->help);
		}
	}
}

void cli_render_man(FILE *out)
{
	fputs(".\\\" SPDX-License-Identifier: Apache-2.0\n"
	      ".\\\" SPDX-FileCopyrightText: The Skete authors\n"
	      ".\\\" Generated from the table of options; do not edit.\n",
	      out);
	fprintf(out, ".TH SKETE 1 %s \"skete %s\" \"User Commands\"\n.SH NAME\nskete \\- ",
		CLI_MAN_DATE, CLI_VERSION_TEXT);
	put(out, cli_commands[CLI_TOP].brief);
	fputc('\n', out);
	put_synopsis(out);
	fputs(".SH DESCRIPTION\n", out);
	put_sentences(out, cli_commands[CLI_TOP].detail);
	put_sentences(out, "Data is written to standard output, messages to standard error.");
	fputs(".SH COMMANDS AND OPTIONS\n", out);
	put_sentences(out,
		      "A value follows as in --cpus 2 or --cpus=2. Every --no-x has its opposite "
		      "--x. What is on or off may say so, as in --pit=off. What is said "
		      "twice counts as said last.");
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++)
		put_command(out, (enum cli_command)i);
	put_command(out, CLI_TOP);
	put_config(out);
	fputs(".SH EXIT STATUS\n", out);
	for (size_t i = 0; i < cli_nr_exits; i++) {
		fprintf(out, ".TP\n\\fB%s\\fR\n", cli_exit_table[i].code);
		put_sentences(out, cli_exit_table[i].help);
	}
	put_examples(out);
}
