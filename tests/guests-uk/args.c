/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Arguments, environment and exit status; what they should be comes with the test list. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	printf("called [%s]\n", argv[0]);
	for (int i = 1; i < argc; i++)
		printf("argument %d: [%s]\n", i, argv[i]);
	printf("GREETING=%s\n", getenv("GREETING") ? getenv("GREETING") : "(unset)");
	printf("processors: %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
	return 42;
}
