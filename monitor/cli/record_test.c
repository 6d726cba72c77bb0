/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Options with keys: every key of every such option in the table, by command line and by file, and
 * back through --dry-run; and what is said about mistakes.
 */
#include "cli_internal.h"

#include <setjmp.h>
#include <unistd.h>

#include <jansson.h>

#include <cmocka.h>

#define CONFIG_PATH "record_test.json"
#define MAX_TEXT    1024

static int parse(struct cli_request *request, struct sk_error *err, const char *a, const char *b)
{
	char *argv[] = {(char *)(uintptr_t) "skete", (char *)(uintptr_t) "run",
			(char *)(uintptr_t) "kernel", (char *)(uintptr_t)a, (char *)(uintptr_t)b};

	return cli_parse(request, a ? b ? 5 : 4 : 3, argv, err);
}

static void write_config(const char *text)
{
	FILE *f = fopen(CONFIG_PATH, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A value of @key that is not its default, as text. */
static const char *sample(const struct cli_option *key, char dst[64])
{
	switch (key->type) {
	case CLI_BOOL:
		return key->init ? "off" : "on";
	case CLI_COUNT:
	case CLI_UINT:
		snprintf(dst, 64, "%llu", (unsigned long long)key->max);
		return dst;
	case CLI_SIZE:
		return cli_format_size(dst, key->max);
	case CLI_WORD:
	case CLI_WORD_OR_PATH:
		return cli_choice_name(key, !key->init);
	default:
		return "a, b=c";
	}
}

/* "path=a,, b=c,ro=on,...": all keys of @opt at their samples. */
static void all_keys(char text[MAX_TEXT], const struct cli_option *opt)
{
	size_t at = 0;

	for (size_t i = 0; i < opt->nr_keys; i++) {
		char dst[64];
		const char *v = sample(&opt->keys[i], dst);

		at += (size_t)snprintf(text + at, MAX_TEXT - at, "%s%s=", i ? "," : "",
				       opt->keys[i].name);
		for (; *v; v++) {
			assert_true(at + 3 < MAX_TEXT);
			if (*v == ',')
				text[at++] = ',';
			text[at++] = *v;
		}
		text[at] = '\0';
	}
}

static void check_key(const struct cli_option *key, const void *record)
{
	char dst[64];
	const char *wanted = sample(key, dst);
	char shown[CLI_SIZE_TEXT_MAX];

	switch (key->type) {
	case CLI_BOOL:
		assert_int_equal(cli_value_bool(record, key), !key->init);
		break;
	case CLI_COUNT:
	case CLI_UINT:
		snprintf(shown, sizeof(shown), "%llu",
			 (unsigned long long)cli_value_number(record, key));
		assert_string_equal(shown, wanted);
		break;
	case CLI_SIZE:
		assert_string_equal(cli_format_size(shown, cli_value_number(record, key)), wanted);
		break;
	default:
		assert_string_equal(cli_value_text(record, key), wanted);
	}
}

static void check_all(const struct cli_option *opt, const struct cli_request *request)
{
	const struct cli_records *records = cli_value_records(&request->options, opt);

	assert_int_equal(records->nr, 1);
	for (size_t i = 0; i < opt->nr_keys; i++)
		check_key(&opt->keys[i], cli_record_at(opt, records, 0));
}

static void each_key_both_ways(const struct cli_option *opt)
{
	char text[MAX_TEXT + 64], value[MAX_TEXT], *dump = NULL;
	struct cli_request first, second;
	struct sk_error err = {0};
	size_t len = 0;
	FILE *out;

	assert_true(opt->nr_keys && opt->nr_keys <= CLI_MAX_KEYS);
	for (size_t i = 0; i < opt->nr_keys; i++) {
		assert_true(opt->keys[i].type != CLI_RECORD);
		assert_false(opt->keys[i].flags & CLI_REPEAT);
		assert_true((opt->keys[i].type == CLI_BOOL) == !opt->keys[i].metavar);
	}
	all_keys(value, opt);
	snprintf(text, sizeof(text), "--%s=%s", opt->name, value);
	if (parse(&first, &err, text, NULL))
		fail_msg("%s: %s", text, err.message);
	check_all(opt, &first);
	out = open_memstream(&dump, &len);
	assert_non_null(out);
	assert_int_equal(cli_render_config(out, &first, &err), 0);
	assert_int_equal(fclose(out), 0);
	write_config(dump);
	if (parse(&second, &err, "--config=" CONFIG_PATH, NULL))
		fail_msg("%s: %s", dump, err.message);
	check_all(opt, &second);
	free(dump);
	cli_request_fini(&first);
	cli_request_fini(&second);
}

static void every_key(void **state)
{
	size_t nr = 0;

	(void)state;
	for (size_t i = 0; i < cli_nr_options; i++) {
		if (cli_options_table[i].type != CLI_RECORD)
			continue;
		each_key_both_ways(&cli_options_table[i]);
		nr++;
	}
	assert_true(nr > 0);
}

static void defaults_and_order(void **state)
{
	struct cli_request request;
	struct sk_error err = {0};
	const struct cli_disk *disks;

	(void)state;
	if (parse(&request, &err, "--disk=path=one,ro", "--disk=iops=7,path=tw,,o"))
		fail_msg("%s", err.message);
	assert_int_equal(request.options.disk.nr, 2);
	disks = request.options.disk.items;
	assert_string_equal(disks[0].path, "one");
	assert_true(disks[0].is_read_only);
	assert_null(disks[0].id);
	assert_int_equal(disks[0].queues, 1);
	assert_int_equal(disks[0].format, CLI_DISK_AUTO);
	assert_string_equal(disks[1].path, "tw,o");
	assert_int_equal(disks[1].ops_per_s, 7);
	assert_false(disks[1].is_read_only);
	cli_request_fini(&request);
}

static void command_line_replaces_the_file(void **state)
{
	struct cli_request request;
	struct sk_error err = {0};
	const struct cli_disk *disks;

	(void)state;
	write_config("{\"disk\": [{\"path\": \"a\"}, {\"path\": \"b\", \"ro\": true}]}");
	assert_int_equal(parse(&request, &err, "--config=" CONFIG_PATH, NULL), 0);
	disks = request.options.disk.items;
	assert_int_equal(request.options.disk.nr, 2);
	assert_string_equal(disks[1].path, "b");
	assert_true(disks[1].is_read_only);
	cli_request_fini(&request);
	assert_int_equal(parse(&request, &err, "--config=" CONFIG_PATH, "--disk=path=c"), 0);
	disks = request.options.disk.items;
	assert_int_equal(request.options.disk.nr, 1);
	assert_string_equal(disks[0].path, "c");
	cli_request_fini(&request);
}

static void mistakes_on_the_command_line(void **state)
{
	static const struct {
		const char *arg, *says;
	} mistakes[] = {
		{"--disk=", "--disk: the path is missing; write path=FILE"},
		{"--disk=ro", "--disk: the path is missing; write path=FILE"},
		{"--disk=root.img", "--disk: unknown key 'root.img'; a key is path, id,"},
		{"--disk=pth=x", "--disk: unknown key 'pth'; did you mean 'path'?"},
		{"--disk=path", "--disk: the key path needs a value; write path=FILE"},
		{"--disk=path=", "--disk: path: the name of the file is empty"},
		{"--disk=path=a,path=b", "--disk: the key path stands there twice"},
		{"--disk=path=a,,", "--disk=path=a,,"},
		{"--disk=path=a,format=qcow",
		 "--disk: format: 'qcow' is none of auto, raw or qcow2"},
		{"--disk=path=a,ro=maybe", "--disk: ro: 'maybe' is neither on nor off"},
		{"--disk=path=a,queues=0", "--disk: queues: 0 is too little, the least is 1"},
		{"--disk=path=a,bps=7", "--disk: bps: '7' has no unit"},
		{"--disk=path=a,=b", "--disk: unknown key ''"},
	};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(mistakes); i++) {
		struct cli_request request;
		struct sk_error err = {0};
		int rc = parse(&request, &err, mistakes[i].arg, NULL);

		/* Two commas at the end are a comma in the name. */
		if (!strcmp(mistakes[i].arg, mistakes[i].says)) {
			assert_int_equal(rc, 0);
			cli_request_fini(&request);
			continue;
		}
		assert_int_equal(rc, -EINVAL);
		if (strncmp(err.message, mistakes[i].says, strlen(mistakes[i].says)))
			fail_msg("%s: \"%s\" instead of \"%s\"", mistakes[i].arg, err.message,
				 mistakes[i].says);
	}
}

static void mistakes_in_a_file(void **state)
{
	static const struct {
		const char *text, *says;
	} mistakes[] = {
		{"{\"disk\": {\"path\": \"a\"}}",
		 ":1:10: \"disk\": this must be an array of objects"},
		{"{\"disk\": [\"a\"]}",
		 ":1:10: \"disk\": item 1: this must be an object, not a string"},
		{"{\"disk\": [{\"path\": \"a\"}, {}]}",
		 ":1:10: \"disk\": item 2: the path is missing"},
		{"{\"disk\": [{\"path\": 1}]}",
		 ":1:10: \"disk\": item 1: \"path\": this must be a string, not a number"},
		{"{\"disk\": [{\"path\": \"a\", \"ro\": \"on\"}]}",
		 ":1:10: \"disk\": item 1: \"ro\": this must be true or false"},
		{"{\"disk\": [{\"pat\": \"a\"}]}",
		 ":1:10: \"disk\": item 1: unknown key 'pat'; did you mean 'path'?"},
		{"{\"disk\": [{\"path\": \"a\", \"path\": \"b\"}]}",
		 ":1:10: \"disk\": a key stands twice in one object"},
	};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(mistakes); i++) {
		struct cli_request request;
		struct sk_error err = {0};
		const char *said;

		write_config(mistakes[i].text);
		assert_int_equal(parse(&request, &err, "--config=" CONFIG_PATH, NULL), -EINVAL);
		said = err.message + strlen(CONFIG_PATH);
		if (strncmp(said, mistakes[i].says, strlen(mistakes[i].says)))
			fail_msg("%s: \"%s\" instead of \"%s\"", mistakes[i].text, said,
				 mistakes[i].says);
	}
}

static void some_options_may_stand_alone(void **state)
{
	/* What the word behind --rng is: an option, the image, or the value. */
	static const char *const lines[][3] = {
		{"--rng", NULL, ""},
		{"--rng", "-v", ""},
		{"--rng", "bps=4K", "4K"},
	};
	struct cli_request request;
	struct sk_error err;

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(lines); i++) {
		const struct cli_rng *rng;

		assert_int_equal(parse(&request, &err, lines[i][0], lines[i][1]), 0);
		assert_int_equal(request.options.rng.nr, 1);
		rng = request.options.rng.items;
		assert_null(rng->path);
		assert_int_equal(rng->bytes_per_s, *lines[i][2] ? 4096 : 0);
		cli_request_fini(&request);
	}
	assert_int_equal(parse(&request, &err, "--rng", "pth=x"), -EINVAL);
	assert_non_null(strstr(err.message, "did you mean 'path'"));
	assert_int_equal(parse(&request, &err, "--rng", "another-kernel"), -EINVAL);
	assert_non_null(strstr(err.message, "second kernel"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_options_may_stand_alone),
		cmocka_unit_test(every_key),
		cmocka_unit_test(defaults_and_order),
		cmocka_unit_test(command_line_replaces_the_file),
		cmocka_unit_test(mistakes_on_the_command_line),
		cmocka_unit_test(mistakes_in_a_file),
	};
	char dir[] = "/tmp/skete-record-XXXXXX";
	int rc;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	rc = cmocka_run_group_tests_name("record", tests, NULL, NULL);
	unlink(CONFIG_PATH);
	rmdir(dir);
	return rc;
}
