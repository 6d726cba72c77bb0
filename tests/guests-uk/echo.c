/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Lines from standard input, in capitals, until its end. */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
	int c, count = 0;

	while ((c = getchar()) != EOF) {
		putchar(toupper(c));
		count++;
	}
	printf("%d bytes\n", count);
	return 0;
}
