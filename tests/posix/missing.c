/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What there is none of, said the documented way. Not compared with Linux, where it works. */
#define _GNU_SOURCE
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include "say.h"

int main(void)
{
	char *arguments[] = {"program", NULL};
	pid_t child;
	int error = posix_spawn(&child, "/program", NULL, NULL, arguments, arguments + 1);

	SAY(fork());
	SAY(vfork());
	SAY(execve("/program", arguments, arguments + 1));
	printf("posix_spawn: %s\n", error_name(error));
	SAY(socket(AF_INET, SOCK_STREAM, 0));
	return 0;
}
