/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The program skete: finds the command and prints what the command line's own module renders. */
#include <stdio.h>

#include "cli/cli.h"
#include "doctor/doctor.h"
#include "pack.h"
#include "run.h"

static int dry_run(const struct cli_request *request)
{
	struct sk_error err;

	if (cli_render_config(stdout, request, &err)) {
		fprintf(stderr, "skete: %s\n", err.message);
		return CLI_EXIT_FAILED;
	}
	return CLI_EXIT_OK;
}

static int pack_command(const struct cli_options *o)
{
	struct sk_error err;

	if (pack_folder(o->folder, o->output, o->is_gzip, &err)) {
		fprintf(stderr, "skete: %s\n", err.message);
		return CLI_EXIT_FAILED;
	}
	return CLI_EXIT_OK;
}

static int execute(const struct cli_request *request)
{
	const struct cli_options *o = &request->options;

	switch (request->command) {
	case CLI_RUN:
		return o->is_dry_run ? dry_run(request) : run_command(o);
	case CLI_PACK:
		return pack_command(o);
	case CLI_DOCTOR:
		return doctor_command(stdout, o->is_json);
	case CLI_COMPLETION:
		cli_render_completion(stdout, (enum cli_shell)o->shell);
		return CLI_EXIT_OK;
	case CLI_VERSION:
		cli_render_version(stdout, o->is_json);
		return CLI_EXIT_OK;
	case CLI_HELP:
	default:
		cli_render_help(stdout, (enum cli_command)o->topic);
		return CLI_EXIT_OK;
	}
}

int main(int argc, char **argv)
{
	struct cli_request request;
	struct sk_error err;
	int status;

	if (cli_parse(&request, argc, argv, &err)) {
		fprintf(stderr, "skete: %s\n", err.message);
		return CLI_EXIT_FAILED;
	}
	status = execute(&request);
	cli_request_fini(&request);
	/* Data that could not be written is a failure, whatever the command thinks. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "skete: cannot write to standard output\n");
		return CLI_EXIT_FAILED;
	}
	return status;
}
