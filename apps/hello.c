/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include <stdio.h>

int main(void)
{
	puts("Hello, world!");
	return 0;
}
