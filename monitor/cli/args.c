/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The command line. Options and the positional argument may stand in any order; what is said twice
 * counts as said last; "--" ends the options.
 */
#include "cli_internal.h"

struct args {
	struct cli_request *request;
	int argc;
	char *const *argv;
	int next;
	bool given[CLI_MAX_OPTIONS];
	struct sk_error *err;
};

static const char *command_title(enum cli_command command)
{
	return command == CLI_TOP ? "help" : cli_commands[command].name;
}

/* "--cpus", or "SHELL" for what has no name on the command line. */
static void spell(char dst[CLI_QUOTE_MAX], const struct cli_option *opt)
{
	if (opt->flags & CLI_NAMELESS)
		snprintf(dst, CLI_QUOTE_MAX, "%s", opt->metavar);
	else
		snprintf(dst, CLI_QUOTE_MAX, "--%s", opt->name);
}

/* Marks @opt as given, or puts its name in front of the sentence. */
static int finish(struct args *a, const struct cli_option *opt, int rc)
{
	char name[CLI_QUOTE_MAX];

	if (rc) {
		spell(name, opt);
		sk_error_prefix(a->err, "%s", name);
		return rc;
	}
	a->given[cli_option_index(opt)] = true;
	return 0;
}

static int set_text(struct args *a, const struct cli_option *opt, const char *text)
{
	return finish(a, opt, cli_value_set_text(&a->request->options, opt, text, a->err));
}

static int set_switch(struct args *a, const struct cli_option *opt, bool value)
{
	struct cli_options *options = &a->request->options;

	if (opt->type == CLI_COUNT)
		return finish(a, opt, cli_value_count(options, opt, a->err));
	return finish(a, opt, cli_value_set_bool(options, opt, value, a->err));
}

static bool takes_value(const struct cli_option *opt)
{
	return opt->type != CLI_BOOL && opt->type != CLI_COUNT;
}

static int fail_missing_value(struct args *a, const struct cli_option *opt, const char *follower)
{
	char quoted[CLI_QUOTE_MAX];

	if (!follower)
		return sk_error_set(a->err, -EINVAL,
				    "--%s needs a value, but is the last word; write --%s %s",
				    opt->name, opt->name, opt->metavar);
	return sk_error_set(a->err, -EINVAL,
			    "--%s needs a value, and %s looks like an option; write --%s=%s if it "
			    "is meant",
			    opt->name, cli_quote(quoted, sizeof(quoted), follower), opt->name,
			    opt->metavar);
}

/* The value of @opt is the next word, unless that is an option: then it was forgotten. */
static int set_from_next(struct args *a, const struct cli_option *opt)
{
	const char *word = a->next < a->argc ? a->argv[a->next] : NULL;

	if (opt->flags & CLI_BARE && (!word || !cli_record_is_text(opt, word)))
		return set_text(a, opt, "");
	if (!word)
		return fail_missing_value(a, opt, NULL);
	if (word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9'))
		return fail_missing_value(a, opt, word);
	a->next++;
	return set_text(a, opt, word);
}

/* The first command that has an option of this name, or CLI_TOP. */
static enum cli_command find_owner(const char *name, size_t len)
{
	for (unsigned int i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++) {
		const struct cli_option *opt = cli_find_option((enum cli_command)i, name, len);

		if (opt && !(opt->flags & CLI_NAMELESS))
			return (enum cli_command)i;
	}
	return CLI_TOP;
}

static int fail_unknown_option(struct args *a, const char *arg)
{
	enum cli_command command = a->request->command, owner;
	struct cli_nearest nearest;
	char quoted[CLI_QUOTE_MAX], word[CLI_QUOTE_MAX], negated[64], best_negated[64] = "";
	const char *name = arg + strspn(arg, "-");
	size_t len = strcspn(name, "=");

	snprintf(word, sizeof(word), "%.*s", (int)SK_MIN(len, sizeof(word) - 1), name);
	nearest = (struct cli_nearest){.word = word};
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (!cli_has_option(command, opt) || opt->flags & CLI_NAMELESS)
			continue;
		cli_nearest_try(&nearest, opt->name);
		if (!cli_has_negation(opt))
			continue;
		snprintf(negated, sizeof(negated), "no-%s", opt->name);
		cli_nearest_try(&nearest, negated);
		if (nearest.best == negated)
			nearest.best = strcpy(best_negated, negated);
	}
	cli_quote(quoted, sizeof(quoted), arg);
	if (nearest.best)
		return sk_error_set(a->err, -EINVAL, "unknown option %s; did you mean '--%s'?",
				    quoted, nearest.best);
	owner = find_owner(name, len);
	if (owner != CLI_TOP)
		return sk_error_set(a->err, -EINVAL,
				    "option %s belongs to 'skete %s' and stands after that word",
				    quoted, cli_commands[owner].name);
	return sk_error_set(a->err, -EINVAL, "unknown option %s; 'skete %s%s' lists the options",
			    quoted, command_title(command), command == CLI_TOP ? "" : " --help");
}

static int parse_long(struct args *a, const char *arg)
{
	enum cli_command command = a->request->command;
	const char *name = arg + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct cli_option *opt = cli_find_option(command, name, len);
	bool is_negated = false;

	if (!opt && len > 3 && !memcmp(name, "no-", 3)) {
		opt = cli_find_option(command, name + 3, len - 3);
		is_negated = true;
		if (opt && !cli_has_negation(opt))
			opt = NULL;
	}
	if (!opt || opt->flags & CLI_NAMELESS)
		return fail_unknown_option(a, arg);
	if (is_negated && equals)
		return sk_error_set(a->err, -EINVAL,
				    "--no-%s takes no value; write --no-%s or --%s", opt->name,
				    opt->name, opt->name);
	if (equals)
		return set_text(a, opt, equals + 1);
	if (takes_value(opt))
		return set_from_next(a, opt);
	return set_switch(a, opt, !is_negated);
}

static const struct cli_option *find_letter(enum cli_command command, char letter)
{
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (cli_has_option(command, opt) && opt->letter == letter)
			return opt;
	}
	return NULL;
}

/* "-v", "-vv", "-nm512M", "-m 512M" */
static int parse_letters(struct args *a, const char *arg)
{
	char quoted[CLI_QUOTE_MAX];
	int rc;

	/* As other monitors have it: "-memory 1G" must not become -m with the size "emory". */
	if (arg[2] && cli_find_option(a->request->command, arg + 1, strlen(arg + 1)))
		return sk_error_set(a->err, -EINVAL, "%s: long options have two dashes; write -%s",
				    cli_quote(quoted, sizeof(quoted), arg), arg);
	for (const char *letter = arg + 1; *letter; letter++) {
		const struct cli_option *opt = find_letter(a->request->command, *letter);

		if (!opt)
			return fail_unknown_option(a, arg);
		if (takes_value(opt))
			return letter[1] ? set_text(a, opt, letter + 1) : set_from_next(a, opt);
		rc = set_switch(a, opt, true);
		if (rc)
			return rc;
	}
	return 0;
}

static int parse_positional(struct args *a, const char *arg)
{
	const struct cli_option *opt = cli_positional(a->request->command);
	const char *before;
	char quoted[CLI_QUOTE_MAX], shown[CLI_QUOTE_MAX];

	cli_quote(quoted, sizeof(quoted), arg);
	if (!opt)
		return sk_error_set(a->err, -EINVAL, "'skete %s' takes no argument, but here is %s",
				    command_title(a->request->command), quoted);
	if (!a->given[cli_option_index(opt)])
		return set_text(a, opt, arg);
	before = cli_value_text(&a->request->options, opt);
	cli_quote(shown, sizeof(shown), before ? before : "");
	if (cli_tail(a->request->command))
		return sk_error_set(a->err, -EINVAL,
				    "there is a second %s, %s, beside %s; what is meant for the "
				    "guest stands after '--'",
				    opt->name, quoted, shown);
	return sk_error_set(a->err, -EINVAL, "there is a second %s, %s, beside %s; name one",
			    opt->name, quoted, shown);
}

static int parse_tail(struct args *a)
{
	const struct cli_option *opt = cli_tail(a->request->command);
	char quoted[CLI_QUOTE_MAX];

	while (a->next < a->argc) {
		const char *arg = a->argv[a->next++];
		int rc;

		if (!opt)
			return sk_error_set(a->err, -EINVAL,
					    "'skete %s' takes nothing after '--', but here is %s",
					    command_title(a->request->command),
					    cli_quote(quoted, sizeof(quoted), arg));
		rc = set_text(a, opt, arg);
		if (rc)
			return rc;
	}
	return 0;
}

static int fail_unknown_command(struct args *a, const char *word)
{
	struct cli_nearest nearest = {.word = word};
	char quoted[CLI_QUOTE_MAX];

	for (size_t i = CLI_TOP + 1; i < CLI_NR_COMMANDS; i++)
		cli_nearest_try(&nearest, cli_commands[i].name);
	cli_quote(quoted, sizeof(quoted), word);
	if (nearest.best)
		return sk_error_set(a->err, -EINVAL, "unknown command %s; did you mean '%s'?",
				    quoted, nearest.best);
	if (strpbrk(word, "./"))
		return sk_error_set(
			a->err, -EINVAL,
			"unknown command %s; if it is an image, write 'skete run' before it",
			quoted);
	return sk_error_set(a->err, -EINVAL, "unknown command %s; 'skete help' lists the commands",
			    quoted);
}

/* Words before the command, and the command itself. */
static int parse_word(struct args *a)
{
	const char *arg = a->argv[a->next++];
	struct cli_request *request = a->request;

	if (arg[0] == '-' && arg[1] == '-' && !arg[2])
		return parse_tail(a);
	if (arg[0] == '-' && arg[1] == '-')
		return parse_long(a, arg);
	if (arg[0] == '-' && arg[1])
		return parse_letters(a, arg);
	if (request->command != CLI_TOP)
		return parse_positional(a, arg);
	request->command = cli_find_command(arg);
	return request->command == CLI_TOP ? fail_unknown_command(a, arg) : 0;
}

static int parse_words(struct args *a)
{
	struct cli_request *request = a->request;
	int rc;

	while (a->next < a->argc) {
		rc = parse_word(a);
		if (rc)
			return rc;
		if (request->options.wants_help) {
			request->options.topic = request->command;
			request->command = CLI_HELP;
			a->next = a->argc;
		} else if (request->options.wants_version && request->command == CLI_TOP) {
			request->command = CLI_VERSION;
		}
	}
	if (request->command == CLI_TOP)
		return sk_error_set(a->err, -EINVAL,
				    "no command was given; 'skete run FILE' boots an image, "
				    "'skete help' lists the commands");
	return 0;
}

/* What the file says and the command line does not. */
static int merge_config(struct args *a)
{
	struct cli_options from_file;
	bool given[CLI_MAX_OPTIONS] = {false};
	char *text = NULL;
	size_t len = 0;
	int rc;

	rc = cli_config_read(a->request->options.config, &text, &len, a->err);
	if (rc)
		return rc;
	cli_values_init(&from_file);
	rc = cli_config_parse(a->request->options.config, text, len, a->request->command,
			      &from_file, given, a->err);
	for (size_t i = 0; !rc && i < cli_nr_options; i++) {
		if (!given[i] || a->given[i])
			continue;
		cli_value_move(&a->request->options, &from_file, &cli_options_table[i]);
		a->given[i] = true;
	}
	cli_values_fini(&from_file);
	free(text);
	return rc;
}

static int check_required(struct args *a)
{
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (!cli_has_option(a->request->command, opt) || !(opt->flags & CLI_REQUIRED) ||
		    a->given[i])
			continue;
		return sk_error_set(a->err, -EINVAL, "the %s is missing; %s", opt->name, opt->hint);
	}
	return 0;
}

int cli_parse(struct cli_request *out, int argc, char *const *argv, struct sk_error *err)
{
	struct args a = {.request = out, .argc = argc, .argv = argv, .next = 1, .err = err};
	int rc;

	*out = (struct cli_request){.command = CLI_TOP};
	cli_values_init(&out->options);
	rc = parse_words(&a);
	if (!rc && out->command != CLI_HELP && out->options.config)
		rc = merge_config(&a);
	if (!rc && out->command != CLI_HELP)
		rc = check_required(&a);
	if (rc)
		cli_request_fini(out);
	return rc;
}

void cli_request_fini(struct cli_request *request)
{
	cli_values_fini(&request->options);
	request->command = CLI_TOP;
}
