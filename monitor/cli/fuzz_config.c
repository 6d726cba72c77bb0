/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The reader of --config: any bytes give a configuration or a sentence, and a configuration that
 * was read is printed by --dry-run and read back the same.
 */
#include "cli_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *render(const struct cli_request *request, size_t *len)
{
	struct sk_error err;
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	BUG_ON(!out || cli_render_config(out, request, &err));
	fclose(out);
	return text;
}

static void check_sentence(const struct sk_error *err)
{
	size_t len = strnlen(err->message, SK_ERROR_MAX);

	BUG_ON(!len || len >= SK_ERROR_MAX);
	BUG_ON(strncmp(err->message, "fuzz:", 5));
	/* jansson and the scanner must agree on what a member is. */
	BUG_ON(err->code == -EPROTO);
	for (size_t i = 0; i < len; i++)
		BUG_ON((unsigned char)err->message[i] < 0x20 || err->message[i] == 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cli_request first = {.command = CLI_RUN}, second = {.command = CLI_RUN};
	bool given[CLI_MAX_OPTIONS] = {false}, given_again[CLI_MAX_OPTIONS] = {false};
	struct sk_error err = {0};
	size_t len = 0, len_again = 0;
	char *text, *text_again;

	cli_values_init(&first.options);
	cli_values_init(&second.options);
	if (cli_config_parse("fuzz", (const char *)data, size, CLI_RUN, &first.options, given,
			     &err)) {
		check_sentence(&err);
		goto out;
	}
	text = render(&first, &len);
	BUG_ON(cli_config_parse("fuzz", text, len, CLI_RUN, &second.options, given_again, &err));
	text_again = render(&second, &len_again);
	BUG_ON(len != len_again || memcmp(text, text_again, len));
	free(text);
	free(text_again);
out:
	cli_request_fini(&first);
	cli_request_fini(&second);
	return 0;
}
