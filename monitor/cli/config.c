/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The --config file: one JSON object whose keys are the names of options. jansson decides what is
 * JSON; json_scan.c finds where the keys and values stand, and jansson decodes each of them alone.
 */
#include "cli_internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#define NAME_SHOWN_MAX	160
#define WHERE_SHOWN_MAX (NAME_SHOWN_MAX + 32)

struct config {
	const char *name;
	const char *text;
	enum cli_command command;
	struct cli_options *options;
	bool *given;
	struct cli_json_pos first[CLI_MAX_OPTIONS]; /* of the key, where given */
	struct sk_error *err;
};

/* "vm.json:3:7" */
static const char *where(char dst[WHERE_SHOWN_MAX], const char *name, unsigned int line,
			 unsigned int column)
{
	char shown[NAME_SHOWN_MAX];

	snprintf(dst, WHERE_SHOWN_MAX, "%s:%u:%u", cli_printable(shown, sizeof(shown), name), line,
		 column);
	return dst;
}

static int fail_at(const struct config *config, struct cli_json_pos at, const char *sentence)
{
	char place[WHERE_SHOWN_MAX];

	return sk_error_set(config->err, -EINVAL, "%s: %s",
			    where(place, config->name, at.line, at.column), sentence);
}

/* jansson took what the scanner cannot follow: a fault of ours, which the fuzz target looks for. */
static int fail_disagreement(const struct config *config, struct cli_json_pos at)
{
	char place[WHERE_SHOWN_MAX];

	return sk_error_set(config->err, -EPROTO,
			    "%s: this member cannot be read; please report it",
			    where(place, config->name, at.line, at.column));
}

/* The key as the user knows it: "cpus" with double quotes. */
static void show_key(char dst[CLI_QUOTE_MAX], const char *key)
{
	char shown[CLI_QUOTE_MAX - 2];

	snprintf(dst, CLI_QUOTE_MAX, "\"%s\"", cli_printable(shown, sizeof(shown), key));
}

static int fail_unknown_key(const struct config *config, struct cli_json_pos at, const char *key)
{
	struct cli_nearest nearest = {.word = key};
	const struct cli_option *positive = NULL;
	char shown[CLI_QUOTE_MAX], sentence[SK_ERROR_MAX];
	size_t len = strlen(key);

	show_key(shown, key);
	if (len > 3 && !memcmp(key, "no-", 3))
		positive = cli_find_option(config->command, key + 3, len - 3);
	for (size_t i = 0; i < cli_nr_options; i++) {
		const struct cli_option *opt = &cli_options_table[i];

		if (cli_has_option(config->command, opt) && !(opt->flags & CLI_ARGV_ONLY))
			cli_nearest_try(&nearest, opt->name);
	}
	if (cli_find_option(config->command, key, len))
		snprintf(sentence, sizeof(sentence),
			 "%s cannot be set by a file; write --%s on the command line", shown, key);
	else if (positive && cli_has_negation(positive))
		snprintf(sentence, sizeof(sentence), "unknown key %s; write \"%s\": false", shown,
			 positive->name);
	else if (nearest.best)
		snprintf(sentence, sizeof(sentence), "unknown key %s; did you mean \"%s\"?", shown,
			 nearest.best);
	else
		snprintf(sentence, sizeof(sentence),
			 "unknown key %s; the keys are the names of the options in "
			 "'skete %s --help'",
			 shown, cli_commands[config->command].name);
	return fail_at(config, at, sentence);
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a number with a fraction or an exponent";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		break;
	}
	return "null";
}

static int fail_type(const struct cli_option *opt, const json_t *value, struct sk_error *err)
{
	const char *wanted = "a string";

	if (opt->type == CLI_BOOL)
		wanted = "true or false";
	else if (opt->type == CLI_COUNT || opt->type == CLI_UINT)
		wanted = "a whole number without quotes";
	else if (opt->type == CLI_SIZE)
		wanted = "a string with a unit such as \"512M\"";
	else if (opt->type == CLI_RECORD)
		wanted = opt->flags & CLI_REPEAT ? "an array of objects" : "an object";
	else if (opt->flags & CLI_REPEAT)
		wanted = "an array of strings";
	return sk_error_set(err, -EINVAL, "this must be %s, not %s", wanted, type_name(value));
}

static int set_value(void *values, const struct cli_option *opt, const json_t *value,
		     struct sk_error *err);

/* One object with the keys of @opt. */
static int set_record(void *values, const struct cli_option *opt, const json_t *value,
		      struct sk_error *err)
{
	bool given[CLI_MAX_KEYS] = {false};
	void *record;
	void *iter = json_object_iter((json_t *)(uintptr_t)value);
	int rc = 0;

	if (!json_is_object(value))
		return sk_error_set(err, -EINVAL, "this must be an object, not %s",
				    type_name(value));
	record = cli_record_new(opt);
	if (!record)
		return sk_error_set(err, -ENOMEM, "no memory left for an option");
	for (; iter && !rc; iter = json_object_iter_next((json_t *)(uintptr_t)value, iter)) {
		const char *name = json_object_iter_key(iter);
		const struct cli_option *key = cli_record_key(opt, name, strlen(name));

		if (!key) {
			rc = cli_record_fail_key(opt, name, err);
			break;
		}
		given[key - opt->keys] = true;
		rc = set_value(record, key, json_object_iter_value(iter), err);
		if (rc)
			sk_error_prefix(err, "\"%s\"", name);
	}
	if (rc) {
		cli_record_free(opt, record);
		return rc;
	}
	return cli_record_add(values, opt, record, given, err);
}

static int set_list(void *values, const struct cli_option *opt, const json_t *value,
		    struct sk_error *err)
{
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *item = json_array_get(value, i);
		int rc;

		if (opt->type == CLI_RECORD)
			rc = set_record(values, opt, item, err);
		else if (json_is_string(item))
			rc = cli_value_set_text(values, opt, json_string_value(item), err);
		else
			return sk_error_set(err, -EINVAL, "item %zu must be a string, not %s",
					    i + 1, type_name(item));
		if (rc) {
			sk_error_prefix(err, "item %zu", i + 1);
			return rc;
		}
	}
	return 0;
}

static int set_value(void *values, const struct cli_option *opt, const json_t *value,
		     struct sk_error *err)
{
	json_int_t number;

	switch (opt->type) {
	case CLI_BOOL:
		if (!json_is_boolean(value))
			return fail_type(opt, value, err);
		return cli_value_set_bool(values, opt, json_is_true(value), err);
	case CLI_COUNT:
	case CLI_UINT:
		if (!json_is_integer(value))
			return fail_type(opt, value, err);
		number = json_integer_value(value);
		if (number < 0)
			return sk_error_set(err, -EINVAL, "%lld is negative; the least is %llu",
					    (long long)number, (unsigned long long)opt->min);
		return cli_value_set_number(values, opt, (uint64_t)number, err);
	default:
		break;
	}
	if (opt->flags & CLI_REPEAT) {
		if (!json_is_array(value))
			return fail_type(opt, value, err);
		return set_list(values, opt, value, err);
	}
	if (opt->type == CLI_RECORD)
		return set_record(values, opt, value, err);
	if (!json_is_string(value))
		return fail_type(opt, value, err);
	return cli_value_set_text(values, opt, json_string_value(value), err);
}

/* jansson keeps the last of two equal keys in an object; here they are a mistake. */
static bool has_duplicates(const struct config *config, const struct cli_json_member *member)
{
	json_t *value = json_loadb(config->text + member->value.offset, member->value_len,
				   JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

	json_decref(value);
	return !value;
}

static int take_key(struct config *config, const char *key, struct cli_json_pos at,
		    const struct cli_option **out)
{
	const struct cli_option *opt = cli_find_option(config->command, key, strlen(key));
	char shown[CLI_QUOTE_MAX], sentence[SK_ERROR_MAX];
	size_t index;

	if (!opt || opt->flags & CLI_ARGV_ONLY)
		return fail_unknown_key(config, at, key);
	index = cli_option_index(opt);
	if (config->given[index]) {
		show_key(shown, key);
		snprintf(sentence, sizeof(sentence),
			 "%s is here a second time; the first is in line %u, column %u", shown,
			 config->first[index].line, config->first[index].column);
		return fail_at(config, at, sentence);
	}
	config->given[index] = true;
	config->first[index] = at;
	*out = opt;
	return 0;
}

/* One key and its value, as jansson reads them when each stands alone. */
static int take_member(struct config *config, const struct cli_json_member *member)
{
	const struct cli_option *opt = NULL;
	json_t *key, *value;
	char place[WHERE_SHOWN_MAX], shown[CLI_QUOTE_MAX];
	int rc = -EINVAL;

	key = json_loadb(config->text + member->key.offset, member->key_len, JSON_DECODE_ANY, NULL);
	value = json_loadb(config->text + member->value.offset, member->value_len, JSON_DECODE_ANY,
			   NULL);
	if (!json_is_string(key) || !value) {
		rc = fail_disagreement(config, member->key);
		goto out;
	}
	rc = take_key(config, json_string_value(key), member->key, &opt);
	if (rc)
		goto out;
	if (opt->type == CLI_RECORD && has_duplicates(config, member))
		rc = sk_error_set(config->err, -EINVAL, "a key stands twice in one object");
	else
		rc = set_value(config->options, opt, value, config->err);
	if (rc) {
		show_key(shown, opt->name);
		sk_error_prefix(
			config->err, "%s: %s",
			where(place, config->name, member->value.line, member->value.column),
			shown);
	}
out:
	json_decref(key);
	json_decref(value);
	return rc;
}

/* What a person would otherwise search long for, and jansson's own verdict. */
static int check_syntax(const struct config *config, size_t len)
{
	char shown[JSON_ERROR_TEXT_LENGTH], sentence[SK_ERROR_MAX], place[WHERE_SHOWN_MAX];
	const char *nul = memchr(config->text, '\0', len);
	json_error_t error;
	json_t *root;
	bool is_object;

	if (nul)
		return fail_at(config, cli_json_locate(config->text, (size_t)(nul - config->text)),
			       "here is a NUL byte; the file must be JSON text");
	if (len >= 3 && !memcmp(config->text, "\xef\xbb\xbf", 3))
		return fail_at(config, cli_json_locate(config->text, 0),
			       "the file begins with a byte order mark; save it without one");
	root = json_loadb(config->text, len, JSON_DECODE_ANY, &error);
	if (!root) {
		snprintf(sentence, sizeof(sentence), "this is not valid JSON: %s",
			 cli_printable(shown, sizeof(shown), error.text));
		return sk_error_set(config->err, -EINVAL, "%s: %s",
				    where(place, config->name, (unsigned int)SK_MAX(error.line, 1),
					  (unsigned int)SK_MAX(error.column, 1)),
				    sentence);
	}
	is_object = json_is_object(root);
	json_decref(root);
	if (!is_object)
		return fail_at(config,
			       cli_json_locate(config->text, strspn(config->text, " \t\r\n")),
			       "the file must hold an object: {\"kernel\": \"vmlinuz\"}");
	return 0;
}

int cli_config_parse(const char *name, const char *text, size_t len, enum cli_command command,
		     struct cli_options *options, bool given[CLI_MAX_OPTIONS], struct sk_error *err)
{
	struct config config = {.name = name,
				.text = text,
				.command = command,
				.options = options,
				.given = given,
				.err = err};
	struct cli_json_member member;
	struct cli_json_scan scan;
	int rc;

	rc = check_syntax(&config, len);
	if (rc)
		return rc;
	cli_json_scan_init(&scan, text, len);
	while ((rc = cli_json_scan_next(&scan, &member)) > 0) {
		rc = take_member(&config, &member);
		if (rc)
			return rc;
	}
	if (rc)
		return fail_disagreement(&config, scan.at);
	return 0;
}

/* Reads to the end or until more than @cap bytes have come; returns the number or -errno. */
static ssize_t read_all(int fd, char *buf, size_t cap)
{
	size_t len = 0;

	while (len <= cap) {
		ssize_t n = read(fd, buf + len, cap + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int cli_config_read(const char *path, char **text, size_t *len, struct sk_error *err)
{
	char shown[NAME_SHOWN_MAX];
	ssize_t n;
	int fd, rc;
	char *buf;

	cli_quote(shown, sizeof(shown), path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		rc = -errno;
		return sk_error_set(err, rc,
				    "the configuration %s cannot be opened: %s; check its name and "
				    "permissions",
				    shown, strerror(-rc));
	}
	buf = malloc(CLI_CONFIG_MAX + 1);
	if (!buf) {
		sk_close(&fd);
		return sk_error_set(err, -ENOMEM, "no memory left to read %s", shown);
	}
	n = read_all(fd, buf, CLI_CONFIG_MAX);
	sk_close(&fd);
	if (n < 0 || (size_t)n > CLI_CONFIG_MAX) {
		free(buf);
		if (n < 0)
			return sk_error_set(err, (int)n, "the configuration %s cannot be read: %s",
					    shown, strerror((int)-n));
		return sk_error_set(err, -EFBIG,
				    "the configuration %s has more than 1 MiB; is it the right "
				    "file?",
				    shown);
	}
	*text = buf;
	*len = (size_t)n;
	return 0;
}
