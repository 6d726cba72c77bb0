/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * System calls of the C library as function calls into the unikernel: Linux's numbers and
 * arguments, the number last so that the arguments are already where the handler expects them.
 */
#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)

__attribute__((__visibility__("hidden"))) long __skete_syscall(long, long, long, long, long, long,
							       long);

static __inline long __syscall0(long n)
{
	return __skete_syscall(0, 0, 0, 0, 0, 0, n);
}

static __inline long __syscall1(long n, long a)
{
	return __skete_syscall(a, 0, 0, 0, 0, 0, n);
}

static __inline long __syscall2(long n, long a, long b)
{
	return __skete_syscall(a, b, 0, 0, 0, 0, n);
}

static __inline long __syscall3(long n, long a, long b, long c)
{
	return __skete_syscall(a, b, c, 0, 0, 0, n);
}

static __inline long __syscall4(long n, long a, long b, long c, long d)
{
	return __skete_syscall(a, b, c, d, 0, 0, n);
}

static __inline long __syscall5(long n, long a, long b, long c, long d, long e)
{
	return __skete_syscall(a, b, c, d, e, 0, n);
}

static __inline long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	return __skete_syscall(a, b, c, d, e, f, n);
}

#define IPC_64 0
