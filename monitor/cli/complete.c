/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Completion scripts for bash, zsh and fish. */
#include "cli_internal.h"

static bool is_path(const struct cli_option *opt)
{
	return opt->type == CLI_PATH || opt->type == CLI_WORD_OR_PATH;
}

static bool takes_value(const struct cli_option *opt)
{
	return opt->type != CLI_BOOL && opt->type != CLI_COUNT;
}

/* The words of an option, between spaces. */
static void put_words(FILE *out, const struct cli_option *opt)
{
	const char *name;

	for (size_t i = 0; (name = cli_choice_name(opt, i)); i++)
		fprintf(out, "%s%s", i ? " " : "", name);
}

/* "path= id= ro": the keys of a CLI_RECORD. */
static void put_keys(FILE *out, const struct cli_option *opt)
{
	for (size_t i = 0; i < opt->nr_keys; i++)
		fprintf(out, "%s%s%s", i ? " " : "", opt->keys[i].name,
			takes_value(&opt->keys[i]) ? "=" : "");
}

static void put_commands(FILE *out)
{
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++)
		fprintf(out, "%s%s", i > CLI_TOP + 1 ? " " : "", cli_commands[i].name);
}

/* The names of the command's options with their dashes; opposites too. */
static void put_option_names(FILE *out, enum cli_command command)
{
	const char *space = "";

	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (!cli_has_option(command, opt) || opt->flags & CLI_NAMELESS)
			continue;
		fprintf(out, "%s--%s", space, opt->name);
		space = " ";
		if (cli_has_negation(opt))
			fprintf(out, " --no-%s", opt->name);
		if (opt->letter)
			fprintf(out, " -%c", opt->letter);
	}
}

static void put_head(FILE *out)
{
	fputs("# SPDX-License-Identifier: Apache-2.0\n"
	      "# SPDX-FileCopyrightText: The Skete authors\n"
	      "# Generated from the table of options; do not edit.\n\n",
	      out);
}

/* bash: what follows an option, or stands as the argument of a command ("run:"). */
static void bash_value(FILE *out, const struct cli_option *opt)
{
	if (cli_choice_name(opt, 0)) {
		fputs("\t\t_skete_words '", out);
		put_words(out, opt);
		fputs("'\n", out);
	}
	if (is_path(opt))
		fputs("\t\t_skete_files\n", out);
	if (opt->type == CLI_RECORD) {
		fputs("\t\t_skete_keys '", out);
		put_keys(out, opt);
		fputs("'\n", out);
	}
	fputs("\t\treturn\n\t\t;;\n", out);
}

/* True if an option before @opt has a key of that name: bash tells them apart no further. */
static bool is_key_before(enum cli_command command, const struct cli_option *opt, const char *name)
{
	for (const struct cli_option *o = cli_options_table; o < opt; o++)
		if (cli_has_option(command, o) && cli_record_key(o, name, strlen(name)))
			return true;
	return false;
}

/* What follows "path=" or "...,path=", which is a word of its own; after a comma the next key. */
static void bash_keys(FILE *out, enum cli_command command, const struct cli_option *opt)
{
	const char *name = cli_commands[command].name;

	for (size_t i = 0; i < opt->nr_keys; i++) {
		const struct cli_option *key = &opt->keys[i];

		if (!takes_value(key) || is_key_before(command, opt, key->name))
			continue;
		fprintf(out, "\t%s:%s | %s:*,%s)\n\t\tif [[ $cur == *,* ]]; then\n", name,
			key->name, name, key->name);
		fputs("\t\t\t_skete_keys '", out);
		put_keys(out, opt);
		fputs("'\n\t\t\treturn\n\t\tfi\n", out);
		bash_value(out, key);
	}
}

static void bash_command(FILE *out, enum cli_command command)
{
	const char *name = command == CLI_TOP ? "" : cli_commands[command].name;
	const struct cli_option *positional = cli_positional(command);

	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (!cli_has_option(command, opt) || !takes_value(opt) || opt->flags & CLI_NAMELESS)
			continue;
		fprintf(out, "\t%s:--%s", name, opt->name);
		if (opt->letter)
			fprintf(out, " | %s:-%c", name, opt->letter);
		fputs(")\n", out);
		bash_value(out, opt);
		bash_keys(out, command, opt);
	}
	fprintf(out, "\t%s:*)\n\t\tif [[ $cur == -* ]]; then\n\t\t\t_skete_words '", name);
	put_option_names(out, command);
	fputs("'\n\t\t\treturn\n\t\tfi\n", out);
	if (command == CLI_TOP) {
		fputs("\t\t_skete_words '", out);
		put_commands(out);
		fputs("'\n\t\treturn\n\t\t;;\n", out);
	} else if (positional) {
		bash_value(out, positional);
	} else {
		fputs("\t\t;;\n", out);
	}
}

/* "=" is a word of its own for bash, unless COMP_WORDBREAKS was changed: then it is in $cur. */
static const char bash_body[] =
	"_skete_words()\n"
	"{\n"
	"\tmapfile -O ${#COMPREPLY[@]} -t COMPREPLY < <(compgen -P \"$prefix\" -W \"$1\" -- \"$cur\")\n"
	"}\n"
	"\n"
	"_skete_files()\n"
	"{\n"
	"\tcompopt -o filenames 2> /dev/null\n"
	"\tmapfile -O ${#COMPREPLY[@]} -t COMPREPLY < <(compgen -P \"$prefix\" -f -- \"$cur\")\n"
	"}\n"
	"\n"
	"_skete_keys()\n"
	"{\n"
	"\tcompopt -o nospace 2> /dev/null\n"
	"\tif [[ $cur == *,* ]]; then\n"
	"\t\tprefix+=${cur%,*},\n"
	"\t\tcur=${cur##*,}\n"
	"\tfi\n"
	"\t_skete_words \"$1\"\n"
	"}\n"
	"\n"
	"_skete()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal cmd='' prefix='' i\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tif ((COMP_CWORD > 1)); then\n"
	"\t\tcmd=${COMP_WORDS[1]}\n"
	"\tfi\n"
	"\tif [[ $cur == '=' ]]; then\n"
	"\t\tcur=''\n"
	"\telif [[ $prev == '=' ]]; then\n"
	"\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\telif [[ $cur == --*=* ]]; then\n"
	"\t\tprev=${cur%%=*}\n"
	"\t\tprefix=$prev=\n"
	"\t\tcur=${cur#*=}\n"
	"\tfi\n"
	"\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	"\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	"\t\t\treturn\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tcase $cmd:$prev in\n";

static void render_bash(FILE *out)
{
	put_head(out);
	fputs(bash_body, out);
	for (unsigned int i = CLI_TOP; i < CLI_NR_COMMANDS; i++)
		bash_command(out, (enum cli_command)i);
	fputs("\tesac\n}\n\ncomplete -F _skete skete\n", out);
}

/* Text within single quotes; @escaped are characters that take a backslash. */
static void put_quoted(FILE *out, const char *text, const char *escaped, const char *quote)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(quote, out);
		else
			fprintf(out, "%s%c", strchr(escaped, *text) ? "\\" : "", *text);
	}
}

static void zsh_action(FILE *out, const struct cli_option *opt)
{
	fprintf(out, ":%s:", opt->metavar);
	if (opt->type == CLI_WORD_OR_PATH) {
		/* The space keeps zsh from adding arguments of its own. */
		fputs(" _skete_words_or_files ", out);
		put_words(out, opt);
	} else if (opt->type == CLI_RECORD) {
		fputs(" _skete_keys ", out);
		put_keys(out, opt);
	} else if (is_path(opt)) {
		fputs("_files", out);
	} else if (cli_choice_name(opt, 0)) {
		fputc('(', out);
		put_words(out, opt);
		fputc(')', out);
	} else {
		fputc(' ', out);
	}
}

/* One argument of _arguments: '(exclusions)--name=[help]:METAVAR:action'. */
static void zsh_spec(FILE *out, const struct cli_option *opt, const char *dashes, const char *name)
{
	bool is_many = opt->flags & CLI_REPEAT || opt->type == CLI_COUNT;
	bool is_long = dashes[1] != '\0';

	fputs("\t\t\t'", out);
	if (is_many)
		fputc('*', out);
	else
		fprintf(out, "(%s%c --%s%s%s)", opt->letter ? "-" : "",
			opt->letter ? opt->letter : ' ', opt->name,
			cli_has_negation(opt) ? " --no-" : "",
			cli_has_negation(opt) ? opt->name : "");
	fprintf(out, "%s%s%s[", dashes, name, !takes_value(opt) ? "" : is_long ? "=" : "+");
	put_quoted(out, opt->brief, "[]\\", "'\\''");
	fputc(']', out);
	if (takes_value(opt))
		zsh_action(out, opt);
	fputs("' \\\n", out);
}

static void zsh_option(FILE *out, const struct cli_option *opt)
{
	char letter[2] = {opt->letter, '\0'};

	if (opt->flags & CLI_NAMELESS)
		return;
	if (opt->letter)
		zsh_spec(out, opt, "-", letter);
	zsh_spec(out, opt, "--", opt->name);
	if (cli_has_negation(opt))
		zsh_spec(out, opt, "--no-", opt->name);
}

static void zsh_command(FILE *out, enum cli_command command)
{
	const struct cli_option *positional = cli_positional(command), *tail = cli_tail(command);

	fprintf(out, "\t\t(%s)\n\t\t_arguments -s -S \\\n", cli_commands[command].name);
	for (size_t i = 0; i < cli_nr_options; i++)
		if (cli_has_option(command, &cli_options_table[i]))
			zsh_option(out, &cli_options_table[i]);
	if (positional) {
		fputs("\t\t\t'1", out);
		zsh_action(out, positional);
		fputs("' \\\n", out);
	}
	if (tail)
		fprintf(out, "\t\t\t'*:%s: ' \\\n", tail->metavar);
	fputs("\t\t\t&& ret=0\n\t\t;;\n", out);
}

static void render_zsh(FILE *out)
{
	fputs("#compdef skete\n", out);
	put_head(out);
	fputs("_skete_words_or_files()\n{\n"
	      "\t_alternative \"words:word:($*)\" 'files:file:_files'\n}\n\n"
	      "_skete_keys()\n{\n\tcompset -P '*,'\n"
	      "\tif compset -P 'path='; then\n\t\t_files\n"
	      "\telse\n\t\tcompadd -S '' -- \"$@\"\n\tfi\n}\n\n",
	      out);
	fputs("_skete()\n{\n\tlocal curcontext=$curcontext state line ret=1\n"
	      "\tlocal -A opt_args\n\tlocal -a commands=(\n",
	      out);
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++) {
		fprintf(out, "\t\t'%s:", cli_commands[i].name);
		put_quoted(out, cli_commands[i].brief, ":\\", "'\\''");
		fputs("'\n", out);
	}
	fputs("\t)\n\n\t_arguments -C \\\n", out);
	for (size_t i = 0; i < cli_nr_options; i++)
		if (cli_has_option(CLI_TOP, &cli_options_table[i]))
			zsh_option(out, &cli_options_table[i]);
	fputs("\t\t\t'1:command:->command' \\\n\t\t\t'*::argument:->argument' \\\n\t\t\t&& ret=0\n"
	      "\tcase $state in\n\t(command)\n"
	      "\t\t_describe -t commands command commands && ret=0\n\t\t;;\n"
	      "\t(argument)\n\t\tcase $line[1] in\n",
	      out);
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++)
		zsh_command(out, (enum cli_command)i);
	fputs("\t\tesac\n\t\t;;\n\tesac\n\treturn ret\n}\n\n"
	      "if [[ ${funcstack[1]} == _skete ]]; then\n\t_skete \"$@\"\nelse\n"
	      "\tcompdef _skete skete\nfi\n",
	      out);
}

static void fish_help(FILE *out, const char *text)
{
	fputs(" -d '", out);
	put_quoted(out, text, "\\", "\\'");
	fputc('\'', out);
}

static void fish_value(FILE *out, const struct cli_option *opt)
{
	if (is_path(opt))
		fputs(" -r -F", out);
	else
		fputs(" -x", out);
	if (cli_choice_name(opt, 0)) {
		fputs(" -a '", out);
		put_words(out, opt);
		fputc('\'', out);
	}
	if (opt->type == CLI_RECORD) {
		fputs(" -a '", out);
		put_keys(out, opt);
		fputc('\'', out);
	}
}

static void fish_option(FILE *out, enum cli_command command, const struct cli_option *opt)
{
	const char *name = command == CLI_TOP ? "" : cli_commands[command].name;
	const char *space = *name ? " " : "";

	if (opt->flags & CLI_NAMELESS)
		return;
	fprintf(out, "complete -c skete -n '__skete_is%s%s' -l %s", space, name, opt->name);
	if (opt->letter)
		fprintf(out, " -s %c", opt->letter);
	fish_help(out, opt->brief);
	if (takes_value(opt))
		fish_value(out, opt);
	fputc('\n', out);
	if (!cli_has_negation(opt))
		return;
	fprintf(out, "complete -c skete -n '__skete_is%s%s' -l no-%s", space, name, opt->name);
	fish_help(out, opt->brief);
	fputc('\n', out);
}

static void fish_command(FILE *out, enum cli_command command)
{
	const struct cli_option *positional = cli_positional(command);

	for (size_t i = 0; i < cli_nr_options; i++)
		if (cli_has_option(command, &cli_options_table[i]))
			fish_option(out, command, &cli_options_table[i]);
	if (!positional)
		return;
	fprintf(out, "complete -c skete -n '__skete_is %s'", cli_commands[command].name);
	if (is_path(positional)) {
		fputs(" -F\n", out);
		return;
	}
	fputs(" -a '", out);
	put_words(out, positional);
	fputs("'\n", out);
}

static void render_fish(FILE *out)
{
	put_head(out);
	fputs("# True if the command is this one, or if there is none yet.\n"
	      "function __skete_is\n"
	      "    set -l words (commandline -opc)\n"
	      "    if test (count $words) -lt 2\n"
	      "        test (count $argv) -eq 0\n"
	      "        return\n"
	      "    end\n"
	      "    test \"$words[2]\" = \"$argv[1]\"\n"
	      "end\n\n"
	      "complete -c skete -f\n",
	      out);
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++) {
		fprintf(out, "complete -c skete -n __skete_is -a %s", cli_commands[i].name);
		fish_help(out, cli_commands[i].brief);
		fputc('\n', out);
	}
	for (unsigned int i = CLI_TOP; i < CLI_NR_COMMANDS; i++)
		fish_command(out, (enum cli_command)i);
}

void cli_render_completion(FILE *out, enum cli_shell shell)
{
	switch (shell) {
	case CLI_SHELL_BASH:
		render_bash(out);
		break;
	case CLI_SHELL_ZSH:
		render_zsh(out);
		break;
	case CLI_SHELL_FISH:
		render_fish(out);
		break;
	}
}
