/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* --dry-run: the effective configuration, in the form that --config reads. */
#include "cli_internal.h"

#include <jansson.h>

/* NULL if a string is not UTF-8 or memory is short. */
static json_t *list_value(const struct cli_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->nr; i++) {
		if (json_array_append_new(array, json_string(list->items[i]))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *option_value(const void *values, const struct cli_option *opt);
static bool is_unset(const void *values, const struct cli_option *opt);

static json_t *record_value(const struct cli_option *opt, const void *record)
{
	json_t *object = json_object();

	for (size_t i = 0; i < opt->nr_keys; i++) {
		const struct cli_option *key = &opt->keys[i];

		if (is_unset(record, key))
			continue;
		if (json_object_set_new(object, key->name, option_value(record, key))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *records_value(const struct cli_option *opt, const struct cli_records *records)
{
	json_t *array;

	if (!(opt->flags & CLI_REPEAT))
		return record_value(opt, records->items);
	array = json_array();
	for (size_t i = 0; i < records->nr; i++) {
		json_t *object = record_value(opt, cli_record_at(opt, records, i));

		if (json_array_append_new(array, object)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *option_value(const void *values, const struct cli_option *opt)
{
	char size[CLI_SIZE_TEXT_MAX];

	switch (opt->type) {
	case CLI_BOOL:
		return json_boolean(cli_value_bool(values, opt));
	case CLI_COUNT:
	case CLI_UINT:
		return json_integer((json_int_t)cli_value_number(values, opt));
	case CLI_SIZE:
		return json_string(cli_format_size(size, cli_value_number(values, opt)));
	case CLI_RECORD:
		return records_value(opt, cli_value_records(values, opt));
	default:
		break;
	}
	if (opt->flags & CLI_REPEAT)
		return list_value(cli_value_list(values, opt));
	return json_string(cli_value_text(values, opt));
}

/* What is unset stays out: JSON has no word for it that --config would take. */
static bool is_unset(const void *values, const struct cli_option *opt)
{
	if (opt->type == CLI_RECORD)
		return !cli_value_records(values, opt)->nr;
	if (opt->flags & CLI_REPEAT)
		return !cli_value_list(values, opt)->nr;
	return (opt->type == CLI_STRING || opt->type == CLI_PATH) && !cli_value_text(values, opt);
}

static bool is_utf8(const char *text)
{
	size_t left = strlen(text), n;

	for (; left; text += n, left -= n) {
		n = cli_utf8_len(text, left);
		if (!n)
			return false;
	}
	return true;
}

static bool has_only_utf8(const void *values, const struct cli_option *opt);

static bool records_have_only_utf8(const struct cli_option *opt, const struct cli_records *records)
{
	for (size_t i = 0; i < records->nr; i++)
		for (size_t j = 0; j < opt->nr_keys; j++) {
			const void *record = cli_record_at(opt, records, i);

			if (!is_unset(record, &opt->keys[j]) &&
			    !has_only_utf8(record, &opt->keys[j]))
				return false;
		}
	return true;
}

static bool has_only_utf8(const void *values, const struct cli_option *opt)
{
	const struct cli_list *list;

	if (opt->type < CLI_WORD)
		return true;
	if (opt->type == CLI_RECORD)
		return records_have_only_utf8(opt, cli_value_records(values, opt));
	if (!(opt->flags & CLI_REPEAT))
		return is_utf8(cli_value_text(values, opt));
	list = cli_value_list(values, opt);
	for (size_t i = 0; i < list->nr; i++)
		if (!is_utf8(list->items[i]))
			return false;
	return true;
}

int cli_render_config(FILE *out, const struct cli_request *request, struct sk_error *err)
{
	json_t *root = json_object();
	int rc = 0;

	for (size_t i = 0; i < cli_nr_options && !rc; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (!cli_has_option(request->command, opt) || opt->flags & CLI_ARGV_ONLY ||
		    is_unset(&request->options, opt))
			continue;
		if (!has_only_utf8(&request->options, opt))
			rc = sk_error_set(err, -EILSEQ,
					  "--%s is not UTF-8 text, which JSON cannot hold; use a "
					  "name that is",
					  opt->name);
		else if (json_object_set_new(root, opt->name, option_value(&request->options, opt)))
			rc = sk_error_set(err, -ENOMEM, "no memory left to print --%s", opt->name);
	}
	if (!rc && json_dumpf(root, out, JSON_INDENT(2)))
		rc = sk_error_set(err, -EIO, "the configuration cannot be written");
	if (!rc)
		fputc('\n', out);
	json_decref(root);
	return rc;
}
