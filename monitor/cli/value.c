/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Values: from text or number to a checked field of struct cli_options, and back. */
#include "cli_internal.h"

#include <inttypes.h>

static void *field(void *values, const struct cli_option *opt)
{
	return (char *)values + opt->offset;
}

static const void *const_field(const void *values, const struct cli_option *opt)
{
	return (const char *)values + opt->offset;
}

static const char *hint_of(const struct cli_option *opt)
{
	return opt->hint ? opt->hint : "'skete help' explains the options";
}

static bool is_string(const struct cli_option *opt)
{
	return opt->type == CLI_STRING || opt->type == CLI_PATH;
}

static int fail_memory(struct sk_error *err)
{
	return sk_error_set(err, -ENOMEM, "no memory left for an option");
}

static void free_list(struct cli_list *list)
{
	for (size_t i = 0; i < list->nr; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct cli_list){0};
}

void cli_value_reset(void *values, const struct cli_option *opt)
{
	void *f = field(values, opt);

	switch (opt->type) {
	case CLI_BOOL:
		*(bool *)f = opt->init;
		break;
	case CLI_COUNT:
	case CLI_UINT:
	case CLI_SIZE:
		*(uint64_t *)f = opt->init;
		break;
	case CLI_WORD:
	case CLI_COMMAND_NAME:
		*(unsigned int *)f = (unsigned int)opt->init;
		break;
	case CLI_WORD_OR_PATH:
		*(struct cli_target *)f = (struct cli_target){.kind = (unsigned int)opt->init};
		break;
	case CLI_STRING:
	case CLI_PATH:
		if (opt->flags & CLI_REPEAT)
			*(struct cli_list *)f = (struct cli_list){0};
		else
			*(char **)f = NULL;
		break;
	case CLI_RECORD:
		*(struct cli_records *)f = (struct cli_records){0};
		break;
	}
}

void cli_value_release(void *values, const struct cli_option *opt)
{
	void *f = field(values, opt);

	if (opt->type == CLI_RECORD)
		cli_records_free(opt, f);
	else if (opt->type == CLI_WORD_OR_PATH)
		free(((struct cli_target *)f)->path);
	else if (is_string(opt) && opt->flags & CLI_REPEAT)
		free_list(f);
	else if (is_string(opt))
		free(*(char **)f);
	cli_value_reset(values, opt);
}

void cli_values_init(struct cli_options *options)
{
	*options = (struct cli_options){0};
	for (size_t i = 0; i < cli_nr_options; i++)
		cli_value_reset(options, &cli_options_table[i]);
}

void cli_values_fini(struct cli_options *options)
{
	for (size_t i = 0; i < cli_nr_options; i++)
		cli_value_release(options, &cli_options_table[i]);
}

static size_t field_bytes(const struct cli_option *opt)
{
	switch (opt->type) {
	case CLI_BOOL:
		return sizeof(bool);
	case CLI_COUNT:
	case CLI_UINT:
	case CLI_SIZE:
		return sizeof(uint64_t);
	case CLI_WORD:
	case CLI_COMMAND_NAME:
		return sizeof(unsigned int);
	case CLI_WORD_OR_PATH:
		return sizeof(struct cli_target);
	case CLI_RECORD:
		return sizeof(struct cli_records);
	case CLI_STRING:
	case CLI_PATH:
		break;
	}
	return opt->flags & CLI_REPEAT ? sizeof(struct cli_list) : sizeof(char *);
}

void cli_value_move(void *dst, void *src, const struct cli_option *opt)
{
	cli_value_release(dst, opt);
	memcpy(field(dst, opt), field(src, opt), field_bytes(opt));
	cli_value_reset(src, opt);
}

static const char *format_number(char dst[CLI_SIZE_TEXT_MAX], const struct cli_option *opt,
				 uint64_t value)
{
	if (opt->type == CLI_SIZE)
		return cli_format_size(dst, value);
	snprintf(dst, CLI_SIZE_TEXT_MAX, "%" PRIu64, value);
	return dst;
}

/* @complaint: "is too little, the least is" */
static int fail_number(const struct cli_option *opt, uint64_t value, const char *complaint,
		       uint64_t limit, struct sk_error *err)
{
	char shown[CLI_SIZE_TEXT_MAX], limit_shown[CLI_SIZE_TEXT_MAX];

	return sk_error_set(err, -EINVAL, "%s %s %s; %s", format_number(shown, opt, value),
			    complaint, format_number(limit_shown, opt, limit), hint_of(opt));
}

int cli_value_set_number(void *values, const struct cli_option *opt, uint64_t value,
			 struct sk_error *err)
{
	if (value < opt->min)
		return fail_number(opt, value, "is too little, the least is", opt->min, err);
	if (value > opt->max)
		return fail_number(opt, value, "is too much, the most is", opt->max, err);
	if (opt->step && value % opt->step)
		return fail_number(opt, value, "is not a multiple of", opt->step, err);
	*(uint64_t *)field(values, opt) = value;
	return 0;
}

int cli_value_count(void *values, const struct cli_option *opt, struct sk_error *err)
{
	return cli_value_set_number(values, opt, *(uint64_t *)field(values, opt) + 1, err);
}

int cli_value_set_bool(void *values, const struct cli_option *opt, bool value, struct sk_error *err)
{
	(void)err;
	*(bool *)field(values, opt) = value;
	return 0;
}

static int set_bool_text(void *values, const struct cli_option *opt, const char *text,
			 struct sk_error *err)
{
	static const char *const on[] = {"on", "true", "yes"}, *const off[] = {"off", "false",
									       "no"};
	char quoted[CLI_QUOTE_MAX];

	for (size_t i = 0; i < SK_ARRAY_SIZE(on); i++) {
		if (!strcmp(text, on[i]))
			return cli_value_set_bool(values, opt, true, err);
		if (!strcmp(text, off[i]))
			return cli_value_set_bool(values, opt, false, err);
	}
	return sk_error_set(err, -EINVAL, "%s is neither on nor off",
			    cli_quote(quoted, sizeof(quoted), text));
}

void cli_list_choices(char *dst, size_t size, const struct cli_option *opt, const char *last_word)
{
	size_t nr = 0, at = 0;

	while (cli_choice_name(opt, nr))
		nr++;
	dst[0] = '\0';
	for (size_t i = 0; i < nr + !!last_word && at < size; i++) {
		const char *joint = !i ? "" : i + 1 == nr + !!last_word ? " or " : ", ";
		int n = snprintf(dst + at, size - at, "%s%s", joint,
				 i < nr ? cli_choice_name(opt, i) : last_word);

		at += n > 0 ? (size_t)n : 0;
	}
}

static int fail_word(const struct cli_option *opt, const char *text, struct sk_error *err)
{
	struct cli_nearest nearest = {.word = text};
	char quoted[CLI_QUOTE_MAX], choices[256];
	const char *name;

	for (size_t i = 0; (name = cli_choice_name(opt, i)); i++)
		cli_nearest_try(&nearest, name);
	cli_list_choices(choices, sizeof(choices), opt, NULL);
	cli_quote(quoted, sizeof(quoted), text);
	if (nearest.best)
		return sk_error_set(err, -EINVAL, "%s is none of %s; did you mean '%s'?", quoted,
				    choices, nearest.best);
	return sk_error_set(err, -EINVAL, "%s is none of %s", quoted, choices);
}

/* The index of the word, or -1. */
static int find_word(const struct cli_option *opt, const char *text)
{
	const char *name;

	for (int i = 0; (name = cli_choice_name(opt, (size_t)i)); i++)
		if (!strcmp(name, text))
			return i;
	return -1;
}

static int set_target(void *values, const struct cli_option *opt, const char *text,
		      struct sk_error *err)
{
	struct cli_target *target = field(values, opt);
	struct cli_target next = {0};
	char choices[256];
	int word = find_word(opt, text);

	if (!*text) {
		cli_list_choices(choices, sizeof(choices), opt, "the name of a file");
		return sk_error_set(err, -EINVAL, "the value is empty; it is %s", choices);
	}
	next.kind = word < 0 ? (unsigned int)opt->nr_words : (unsigned int)word;
	if (word < 0) {
		next.path = strdup(text);
		if (!next.path)
			return fail_memory(err);
	}
	free(target->path);
	*target = next;
	return 0;
}

static int append_item(struct cli_list *list, char *item)
{
	char **items = reallocarray(list->items, list->nr + 2, sizeof(*items));

	if (!items)
		return -ENOMEM;
	items[list->nr++] = item;
	items[list->nr] = NULL;
	list->items = items;
	return 0;
}

static int set_string(void *values, const struct cli_option *opt, const char *text,
		      struct sk_error *err)
{
	char *copy;

	if (!*text && opt->type == CLI_PATH)
		return sk_error_set(err, -EINVAL,
				    "the name of the file is empty; leave the option out instead");
	copy = strdup(text);
	if (!copy)
		return fail_memory(err);
	if (opt->flags & CLI_REPEAT) {
		if (append_item(field(values, opt), copy)) {
			free(copy);
			return fail_memory(err);
		}
		return 0;
	}
	free(*(char **)field(values, opt));
	*(char **)field(values, opt) = copy;
	return 0;
}

int cli_value_set_text(void *values, const struct cli_option *opt, const char *text,
		       struct sk_error *err)
{
	struct sk_error why = {0};
	uint64_t number = 0;
	int rc, word;

	switch (opt->type) {
	case CLI_BOOL:
		return set_bool_text(values, opt, text, err);
	case CLI_COUNT:
	case CLI_UINT:
		rc = cli_parse_uint(text, &number, &why);
		if (rc)
			return sk_error_set(err, rc,
					    "%s; write a number from %" PRIu64 " to %" PRIu64,
					    why.message, opt->min, opt->max);
		return cli_value_set_number(values, opt, number, err);
	case CLI_SIZE:
		rc = cli_parse_size(text, &number, err);
		return rc ? rc : cli_value_set_number(values, opt, number, err);
	case CLI_WORD:
	case CLI_COMMAND_NAME:
		word = find_word(opt, text);
		if (word < 0)
			return fail_word(opt, text, err);
		*(unsigned int *)field(values, opt) =
			(unsigned int)word + (opt->type == CLI_COMMAND_NAME);
		return 0;
	case CLI_WORD_OR_PATH:
		return set_target(values, opt, text, err);
	case CLI_RECORD:
		return cli_record_set_text(values, opt, text, err);
	case CLI_STRING:
	case CLI_PATH:
		break;
	}
	return set_string(values, opt, text, err);
}

bool cli_value_bool(const void *values, const struct cli_option *opt)
{
	return *(const bool *)const_field(values, opt);
}

uint64_t cli_value_number(const void *values, const struct cli_option *opt)
{
	return *(const uint64_t *)const_field(values, opt);
}

const struct cli_list *cli_value_list(const void *values, const struct cli_option *opt)
{
	return const_field(values, opt);
}

const struct cli_records *cli_value_records(const void *values, const struct cli_option *opt)
{
	return const_field(values, opt);
}

const char *cli_value_text(const void *values, const struct cli_option *opt)
{
	const struct cli_target *target = const_field(values, opt);
	unsigned int word;

	if (is_string(opt))
		return *(char *const *)const_field(values, opt);
	if (opt->type == CLI_WORD_OR_PATH)
		return target->path ? target->path : cli_choice_name(opt, target->kind);
	word = *(const unsigned int *)const_field(values, opt);
	if (opt->type == CLI_COMMAND_NAME)
		return word < CLI_NR_COMMANDS ? cli_commands[word].name : NULL;
	return cli_choice_name(opt, word);
}

const char *cli_default_text(const struct cli_option *opt, char dst[CLI_SIZE_TEXT_MAX])
{
	switch (opt->type) {
	case CLI_UINT:
	case CLI_SIZE:
		return format_number(dst, opt, opt->init);
	case CLI_WORD:
	case CLI_WORD_OR_PATH:
		return opt->flags & CLI_REQUIRED ? NULL : cli_choice_name(opt, opt->init);
	default:
		return NULL;
	}
}
