/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include "sum.h"

#include <math.h>

#ifndef __skete__
#error "this was to be compiled for the unikernel"
#endif

double sum_of_roots(int n)
{
	double sum = 0;

#pragma omp parallel for reduction(+ : sum)
	for (int i = 1; i <= n; i++)
		sum += sqrt((double)i);
	return sum;
}
