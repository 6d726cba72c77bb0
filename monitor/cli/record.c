/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Options whose value has keys of its own, as --disk path=F,ro: a structure per use. */
#include "cli_internal.h"

void *cli_record_new(const struct cli_option *opt)
{
	void *record = calloc(1, opt->record_bytes);

	for (size_t i = 0; record && i < opt->nr_keys; i++)
		cli_value_reset(record, &opt->keys[i]);
	return record;
}

static void release_keys(const struct cli_option *opt, void *record)
{
	for (size_t i = 0; i < opt->nr_keys; i++)
		cli_value_release(record, &opt->keys[i]);
}

void cli_record_free(const struct cli_option *opt, void *record)
{
	if (!record)
		return;
	release_keys(opt, record);
	free(record);
}

void cli_records_free(const struct cli_option *opt, struct cli_records *records)
{
	for (size_t i = 0; i < records->nr; i++)
		release_keys(opt, (char *)records->items + i * opt->record_bytes);
	free(records->items);
	*records = (struct cli_records){0};
}

const void *cli_record_at(const struct cli_option *opt, const struct cli_records *records,
			  size_t index)
{
	return (const char *)records->items + index * opt->record_bytes;
}

const struct cli_option *cli_record_key(const struct cli_option *opt, const char *name, size_t len)
{
	for (size_t i = 0; i < opt->nr_keys; i++)
		if (strlen(opt->keys[i].name) == len && !memcmp(opt->keys[i].name, name, len))
			return &opt->keys[i];
	return NULL;
}

const char *cli_key_label(char *dst, size_t size, const struct cli_option *key)
{
	snprintf(dst, size, "%s%s%s", key->name, key->metavar ? "=" : "",
		 key->metavar ? key->metavar : "");
	return dst;
}

bool cli_record_is_text(const struct cli_option *opt, const char *text)
{
	return strchr(text, '=') || cli_record_key(opt, text, strcspn(text, ","));
}

int cli_record_fail_key(const struct cli_option *opt, const char *name, struct sk_error *err)
{
	struct cli_nearest nearest = {.word = name};
	char quoted[CLI_QUOTE_MAX], names[256] = "";
	size_t at = 0;

	for (size_t i = 0; i < opt->nr_keys && at < sizeof(names); i++) {
		int n = snprintf(names + at, sizeof(names) - at, "%s%s",
				 !i			 ? ""
				 : i + 1 == opt->nr_keys ? " or "
							 : ", ",
				 opt->keys[i].name);

		at += n > 0 ? (size_t)n : 0;
		cli_nearest_try(&nearest, opt->keys[i].name);
	}
	cli_quote(quoted, sizeof(quoted), name);
	if (nearest.best)
		return sk_error_set(err, -EINVAL, "unknown key %s; did you mean '%s'?", quoted,
				    nearest.best);
	return sk_error_set(err, -EINVAL, "unknown key %s; a key is %s", quoted, names);
}

static int check_required(const struct cli_option *opt, const bool given[CLI_MAX_KEYS],
			  struct sk_error *err)
{
	char label[CLI_QUOTE_MAX];

	for (size_t i = 0; i < opt->nr_keys; i++)
		if (opt->keys[i].flags & CLI_REQUIRED && !given[i])
			return sk_error_set(err, -EINVAL, "the %s is missing; write %s",
					    opt->keys[i].name,
					    cli_key_label(label, sizeof(label), &opt->keys[i]));
	return 0;
}

int cli_record_add(void *values, const struct cli_option *opt, void *record,
		   const bool given[CLI_MAX_KEYS], struct sk_error *err)
{
	struct cli_records *records = (void *)((char *)values + opt->offset);
	int rc = check_required(opt, given, err);
	char *items = NULL;

	if (!rc) {
		if (!(opt->flags & CLI_REPEAT))
			cli_records_free(opt, records);
		items = reallocarray(records->items, records->nr + 1, opt->record_bytes);
		if (!items)
			rc = sk_error_set(err, -ENOMEM, "no memory left for an option");
	}
	if (rc) {
		cli_record_free(opt, record);
		return rc;
	}
	/* The strings move along; the keys of the original are not released. */
	memcpy(items + records->nr * opt->record_bytes, record, opt->record_bytes);
	free(record);
	records->items = items;
	records->nr++;
	return 0;
}

/* Cuts "KEY=VALUE" off @*text, up to a comma that stands alone, into @item with ",," as ",". */
static void cut_item(const char **text, char *item)
{
	const char *c = *text;

	for (; *c && (c[0] != ',' || c[1] == ','); c++) {
		c += c[0] == ',';
		*item++ = *c;
	}
	*item = '\0';
	*text = *c ? c + 1 : c;
}

static int set_item(const struct cli_option *opt, void *record, char *item,
		    bool given[CLI_MAX_KEYS], struct sk_error *err)
{
	char *equals = strchr(item, '=');
	const struct cli_option *key;
	const char *value = "on";
	int rc;

	if (equals) {
		*equals = '\0';
		value = equals + 1;
	}
	key = cli_record_key(opt, item, strlen(item));
	if (!key)
		return cli_record_fail_key(opt, item, err);
	if (!equals && key->type != CLI_BOOL)
		return sk_error_set(err, -EINVAL, "the key %s needs a value; write %s=%s",
				    key->name, key->name, key->metavar);
	if (given[key - opt->keys])
		return sk_error_set(err, -EINVAL, "the key %s stands there twice", key->name);
	given[key - opt->keys] = true;
	rc = cli_value_set_text(record, key, value, err);
	if (rc)
		sk_error_prefix(err, "%s", key->name);
	return rc;
}

int cli_record_set_text(void *values, const struct cli_option *opt, const char *text,
			struct sk_error *err)
{
	bool given[CLI_MAX_KEYS] = {false};
	void *record = cli_record_new(opt);
	char *item = malloc(strlen(text) + 1);
	int rc = 0;

	if (!record || !item)
		rc = sk_error_set(err, -ENOMEM, "no memory left for an option");
	while (!rc && *text) {
		cut_item(&text, item);
		rc = set_item(opt, record, item, given, err);
	}
	free(item);
	if (rc) {
		cli_record_free(opt, record);
		return rc;
	}
	return cli_record_add(values, opt, record, given, err);
}
