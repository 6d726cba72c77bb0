/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The two symbols of the GNU C library that GCC's libgomp.a uses and musl lacks. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

long __sysconf(int name);
int pthread_attr_setaffinity_np(pthread_attr_t *attr, size_t bytes, const void *set);

EXPORT long __sysconf(int name)
{
	return sysconf(name);
}

/*
 * libgomp asks for this only with OMP_PROC_BIND. Affinity of a thread to be cannot be set here; its
 * threads then inherit the caller's CPUs.
 */
EXPORT int pthread_attr_setaffinity_np(pthread_attr_t *attr, size_t bytes, const void *set)
{
	(void)attr;
	(void)bytes;
	(void)set;
	return ENOTSUP;
}
