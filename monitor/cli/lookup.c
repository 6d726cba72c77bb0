/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Finding options, commands and words by name, and what a misspelled one was meant to be. */
#include "cli_internal.h"

#define WORD_MAX 32 /* longer words are not compared */

bool cli_has_option(enum cli_command command, const struct cli_option *opt)
{
	return opt->commands >> command & 1;
}

const struct cli_option *cli_find_option(enum cli_command command, const char *name, size_t len)
{
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (cli_has_option(command, opt) && strlen(opt->name) == len &&
		    !memcmp(opt->name, name, len))
			return opt;
	}
	return NULL;
}

bool cli_has_negation(const struct cli_option *opt)
{
	return opt->type == CLI_BOOL && !(opt->flags & CLI_ARGV_ONLY);
}

size_t cli_option_index(const struct cli_option *opt)
{
	return (size_t)(opt - cli_options_table);
}

static const struct cli_option *find_flag(enum cli_command command, unsigned int flag)
{
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (cli_has_option(command, opt) && opt->flags & flag)
			return opt;
	}
	return NULL;
}

const struct cli_option *cli_positional(enum cli_command command)
{
	return find_flag(command, CLI_POSITIONAL);
}

const struct cli_option *cli_tail(enum cli_command command)
{
	return find_flag(command, CLI_TAIL);
}

enum cli_command cli_find_command(const char *name)
{
	for (size_t i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++)
		if (!strcmp(cli_commands[i].name, name))
			return (enum cli_command)i;
	return CLI_TOP;
}

const char *cli_choice_name(const struct cli_option *opt, size_t index)
{
	if (opt->type == CLI_COMMAND_NAME)
		return index < CLI_NR_COMMANDS - 1 ? cli_commands[index + 1].name : NULL;
	return index < opt->nr_words ? opt->words[index].name : NULL;
}

const char *cli_choice_help(const struct cli_option *opt, size_t index)
{
	return opt->type != CLI_COMMAND_NAME && index < opt->nr_words ? opt->words[index].help
								      : NULL;
}

const char *cli_word(const char *option, unsigned int value)
{
	for (size_t i = 0; i < cli_nr_options; i++)
		if (!strcmp(cli_options_table[i].name, option))
			return value < cli_options_table[i].nr_words
				       ? cli_options_table[i].words[value].name
				       : NULL;
	return NULL;
}

/* Optimal string alignment, over three rows of the usual table. */
unsigned int cli_distance(const char *a, const char *b)
{
	unsigned int rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2];
	size_t len_a = strlen(a), len_b = strlen(b);

	if (len_a > WORD_MAX || len_b > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= len_b; j++)
		above[j] = (unsigned int)j;
	for (size_t i = 1; i <= len_a; i++) {
		unsigned int *recycled = before;

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= len_b; j++) {
			unsigned int d = above[j - 1] + (a[i - 1] != b[j - 1]);

			d = SK_MIN(d, above[j] + 1);
			d = SK_MIN(d, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = SK_MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		before = above;
		above = row;
		row = recycled;
	}
	return above[len_b];
}

void cli_nearest_try(struct cli_nearest *n, const char *candidate)
{
	unsigned int d = cli_distance(n->word, candidate);
	size_t len = strlen(n->word);

	/* A word cut short ("mem") is near as well, though many letters are missing. */
	if (len >= 3 && !strncmp(n->word, candidate, len))
		d = 1;
	if (d > SK_MAX((len + 1) / 3, (size_t)1) || (n->best && d >= n->distance))
		return;
	n->best = candidate;
	n->distance = d;
}
