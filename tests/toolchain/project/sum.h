/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#ifndef SUM_H
#define SUM_H

/* The sum of the square roots of 1 to n. */
double sum_of_roots(int n);

#endif
