/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* A program like any other: a library of its own, threads by OpenMP, a check as its status. */
#include <math.h>
#include <stdio.h>

#include "sum.h"

int main(void)
{
	double sum = sum_of_roots(1000);

	printf("sum %.3f built by %s\n", sum, BUILT_BY);
	return fabs(sum - 21097.456) < 0.001 ? 0 : 1;
}
