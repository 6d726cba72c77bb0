/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Build-time program: prints what is made from the table of options. */
#include "cli.h"

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	if (!strcmp(what, "man")) {
		cli_render_man(stdout);
	} else if (!strcmp(what, "bash")) {
		cli_render_completion(stdout, CLI_SHELL_BASH);
	} else if (!strcmp(what, "zsh")) {
		cli_render_completion(stdout, CLI_SHELL_ZSH);
	} else if (!strcmp(what, "fish")) {
		cli_render_completion(stdout, CLI_SHELL_FISH);
	} else if (!strcmp(what, "help-run")) {
		cli_render_help(stdout, CLI_RUN);
	} else {
		fprintf(stderr, "usage: cli-gen man|bash|zsh|fish|help-run\n");
		return 2;
	}
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
