/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The JSON reader: what it says about hostile and mistyped files, and where. */
#include "cli_internal.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int parse(const char *text, size_t len, struct cli_options *options, struct sk_error *err)
{
	bool given[CLI_MAX_OPTIONS] = {false};

	cli_values_init(options);
	return cli_config_parse("vm.json", text, len, CLI_RUN, options, given, err);
}

#define TEXT(s) s, sizeof(s) - 1

/* clang-format off */
static const struct {
	const char *text;
	size_t len;
	const char *says; /* from the beginning of the sentence */
} mistakes[] = {
	{TEXT(""), "vm.json:1:1: this is not valid JSON"},
	{TEXT("{"), "vm.json:1:1: this is not valid JSON"},
	{TEXT("{}x"), "vm.json:1:3: this is not valid JSON: end of file expected"},
	{TEXT("{\"cpus\": 1,}"), "vm.json:1:12: this is not valid JSON"},
	{TEXT("{\n\t'cpus': 1}"), "vm.json:2:2: this is not valid JSON"},
	{TEXT("{\"cpus\": 01}"), "vm.json:1:"},
	{TEXT("[]"), "vm.json:1:1: the file must hold an object"},
	{TEXT("\n \"x\""), "vm.json:2:2: the file must hold an object"},
	{TEXT("null"), "vm.json:1:1: the file must hold an object"},
	{TEXT("\xef\xbb\xbf{}"), "vm.json:1:1: the file begins with a byte order mark"},
	{TEXT("{\n  \0}"), "vm.json:2:3: here is a NUL byte"},
	{TEXT("{}\0"), "vm.json:1:3: here is a NUL byte"},
	{TEXT("{\"kernel\": \"a\\u0000b\"}"), "vm.json:1:21: this is not valid JSON: \\u0000 is not allowed"},
	{TEXT("{\"kernel\": \"\xff\"}"), "vm.json:1:12: this is not valid JSON: unable to decode byte 0xff"},
	{TEXT("{\"kernel\": \"\xed\xa0\x80\"}"), "vm.json:1:"},
	{TEXT("{\"kernel\": \"\\ud800\"}"), "vm.json:1:"},
	{TEXT("{\"cpus\": 99999999999999999999}"), "vm.json:1:29: this is not valid JSON: too big integer"},
	{TEXT("{\"cpus\": 9223372036854775807}"), "vm.json:1:10: \"cpus\": 9223372036854775807 is too much"},
	{TEXT("{\"cpus\": -9223372036854775808}"), "vm.json:1:10: \"cpus\": -9223372036854775808 is negative"},
	{TEXT("{\n  \"cpus\": 2,\n  \"memroy\": \"1G\"\n}"), "vm.json:3:3: unknown key \"memroy\"; did you mean \"memory\"?"},
	{TEXT("{\"\": 1}"), "vm.json:1:2: unknown key \"\""},
	{TEXT("{\"CPUS\": 1}"), "vm.json:1:2: unknown key \"CPUS\""},
	{TEXT("{\"frobnicate\": 1}"), "vm.json:1:2: unknown key \"frobnicate\"; the keys are the names of the options"},
	{TEXT("{\"\xc3\xa9\xc3\xa9\": 1}"), "vm.json:1:2: unknown key \"\xc3\xa9\xc3\xa9\""},
	{TEXT("{\"\\u001b[31m\": 1}"), "vm.json:1:2: unknown key \"\\x1b[31m\""},
	{TEXT("{\"no-reboot\": true}"), "vm.json:1:2: unknown key \"no-reboot\"; write \"reboot\": false"},
	{TEXT("{\"config\": \"x\"}"), "vm.json:1:2: \"config\" cannot be set by a file"},
	{TEXT("{\"cmdline\": \"\xc3\xa9\xe2\x82\xac{,}:\\\"\", \"cpus\": 0}"), "vm.json:1:33: \"cpus\": 0 is too little"},
	{TEXT("{\r\n\"cpus\"\r\n:\r\n0}"), "vm.json:4:1: \"cpus\": 0 is too little"},
	{TEXT("{\"cpus\": 1,\n \"pit\": true,\n \"c\\u0070us\": 2}"),
	 "vm.json:3:2: \"cpus\" is here a second time; the first is in line 1, column 2"},
	{TEXT("{\"boot\": {\"boot\": {\"x\": [\"}\"]}}}"), "vm.json:1:10: \"boot\": this must be a string, not an object"},
	{TEXT("{\"memory\": 536870912}"), "vm.json:1:12: \"memory\": this must be a string with a unit such as \"512M\""},
	{TEXT("{\"cpus\": \"2\"}"), "vm.json:1:10: \"cpus\": this must be a whole number without quotes, not a string"},
	{TEXT("{\"arg\": [\"a\", [\"b\"]]}"), "vm.json:1:9: \"arg\": item 2 must be a string, not an array"},
};
/* clang-format on */

static void mistakes_are_placed(void **state)
{
	struct cli_options options;
	struct sk_error err;

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(mistakes); i++) {
		const char *says = mistakes[i].says;
		/* On the heap, so that a read beyond the end is seen. */
		char *copy = malloc(mistakes[i].len ? mistakes[i].len : 1);

		memcpy(copy, mistakes[i].text, mistakes[i].len);
		assert_int_equal(parse(copy, mistakes[i].len, &options, &err), -EINVAL);
		if (strncmp(err.message, says, strlen(says)))
			fail_msg("\"%s\" does not begin with \"%s\"", err.message, says);
		cli_values_fini(&options);
		assert_int_equal(parse(copy, mistakes[i].len, &options, NULL), -EINVAL);
		cli_values_fini(&options);
		free(copy);
	}
}

static void whole_file(void **state)
{
	static const char text[] =
		" {\"kernel\" : \"dir\\/\\u00e9\", \"arg\": [\"]\", \"\\\\\"],\n"
		"\"memory\": \"2G\",\"cpus\":4 , \"pit\"\t: false,\"serial\":\"log\"}\n";
	struct cli_options options;
	struct sk_error err = {0};

	(void)state;
	assert_int_equal(parse(TEXT(text), &options, &err), 0);
	assert_string_equal(options.kernel, "dir/\xc3\xa9");
	assert_int_equal(options.arg.nr, 2);
	assert_string_equal(options.arg.items[1], "\\");
	assert_true(options.memory_bytes == 2 * SK_GIB);
	assert_int_equal(options.cpus, 4);
	assert_false(options.has_pit);
	assert_int_equal(options.serial.kind, CLI_SERIAL_FILE);
	cli_values_fini(&options);
	assert_int_equal(parse(TEXT("{}"), &options, &err), 0);
	cli_values_fini(&options);
}

/* "[[[...": jansson gives up at its depth, and a value that is deep but closed is only mistyped. */
static void deep_nesting(void **state)
{
	static char text[1 << 16];
	struct cli_options options;
	struct sk_error err;
	size_t at;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(parse(text, sizeof(text), &options, &err), -EINVAL);
	assert_non_null(strstr(err.message, "maximum parsing depth"));
	cli_values_fini(&options);

	at = (size_t)snprintf(text, sizeof(text), "{\"cpus\":");
	memset(text + at, '[', 1000);
	memset(text + at + 1000, ']', 1000);
	text[at + 2000] = '}';
	assert_int_equal(parse(text, at + 2001, &options, &err), -EINVAL);
	assert_non_null(strstr(err.message, "vm.json:1:9: \"cpus\": this must be a whole number"));
	cli_values_fini(&options);
}

static void scanner_finds_members(void **state)
{
	static const char text[] =
		"{ \"a\" : [1, {\"b\": 2}] ,\n\"\xc3\xa9\": \"x\\\"y\", \"c\":-1e5}";
	struct cli_json_member m;
	struct cli_json_scan scan;

	(void)state;
	cli_json_scan_init(&scan, TEXT(text));
	assert_int_equal(cli_json_scan_next(&scan, &m), 1);
	assert_int_equal(m.key.column, 3);
	assert_int_equal(m.value.column, 9);
	assert_int_equal(m.value_len, strlen("[1, {\"b\": 2}]"));
	assert_int_equal(cli_json_scan_next(&scan, &m), 1);
	assert_int_equal(m.key.line, 2);
	assert_int_equal(m.key.column, 1);
	assert_int_equal(m.key_len, 4);
	assert_int_equal(m.value.column, 6);
	assert_memory_equal(text + m.value.offset, "\"x\\\"y\"", m.value_len);
	assert_int_equal(cli_json_scan_next(&scan, &m), 1);
	assert_int_equal(m.value.column, 18);
	assert_memory_equal(text + m.value.offset, "-1e5", m.value_len);
	assert_int_equal(cli_json_scan_next(&scan, &m), 0);
}

/* Text that jansson would have refused: any answer, but no read beyond the end, and an end. */
static void scanner_survives_anything(void **state)
{
	static const char *const broken[] = {
		"",	     "x",	 "{",		"{\"",	    "{\"a",
		"{\"a\\",    "{\"a\"",	 "{\"a\":",	"{\"a\":1", "{\"a\":[",
		"{\"a\":\"", "{\"a\":]", "{\"a\":1 2}", "{,}",	    "{\"a\":[}]"};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(broken); i++) {
		size_t len = strlen(broken[i]);
		char *copy = malloc(len ? len : 1);
		struct cli_json_member m;
		struct cli_json_scan scan;
		int rc, rounds = 0;

		memcpy(copy, broken[i], len);
		cli_json_scan_init(&scan, copy, len);
		while ((rc = cli_json_scan_next(&scan, &m)) > 0)
			assert_true(rounds++ < 10);
		if (rc)
			assert_int_equal(rc, -EINVAL);
		free(copy);
	}
}

/* 1 MiB is read, one byte more is not; the name of the file may be anything. */
static void size_limit(void **state)
{
	char path[64], *text = NULL;
	struct sk_error err = {0};
	int fd = memfd_create("config", MFD_CLOEXEC);
	size_t len = 0;

	(void)state;
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(ftruncate(fd, CLI_CONFIG_MAX), 0);
	assert_int_equal(cli_config_read(path, &text, &len, &err), 0);
	assert_int_equal(len, CLI_CONFIG_MAX);
	free(text);
	assert_int_equal(ftruncate(fd, CLI_CONFIG_MAX + 1), 0);
	assert_int_equal(cli_config_read(path, &text, &len, &err), -EFBIG);
	assert_non_null(strstr(err.message, "has more than 1 MiB"));
	close(fd);
	assert_int_equal(cli_config_read("/dev/zero", &text, &len, &err), -EFBIG);
	assert_int_equal(cli_config_read("/dev/null", &text, &len, &err), 0);
	assert_int_equal(len, 0);
	free(text);
	assert_int_equal(cli_config_read("no\x1bsuch", &text, &len, &err), -ENOENT);
	assert_non_null(strstr(err.message, "'no\\x1bsuch'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_placed),
		cmocka_unit_test(whole_file),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(scanner_finds_members),
		cmocka_unit_test(scanner_survives_anything),
		cmocka_unit_test(size_limit),
	};

	return cmocka_run_group_tests_name("cli-config", tests, NULL, NULL);
}
