/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* getpid getppid gettid uname sysinfo getrandom prctl umask wait4 waitid getrlimit prlimit64
 * sched_yield getcpu sched_getaffinity getpriority membarrier personality getpgrp getpgid getsid,
 * the user and group calls as one user sees them. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "say.h"

int main(void)
{
	char name[16] = "", random[16] = {0}, zero[16] = {0};
	uid_t real, effective, saved;
	struct rlimit limit;
	struct sysinfo info;
	struct utsname names;
	gid_t groups[64];
	cpu_set_t set;
	siginfo_t child;
	int status;

	SAY(getpid() > 0);
	SAY(getpid() == syscall(SYS_gettid));
	SAY(getpgid(0) == getpgrp());
	SAY(getsid(0) > 0);
	SAY(getpgid(99999999));
	SAY(uname(&names));
	SAY_TEXT(names.machine);
	SAY(sysinfo(&info));
	SAY(info.totalram > info.freeram && info.mem_unit > 0);
	SAY(getrandom(random, sizeof(random), 0));
	SAY(memcmp(random, zero, 16) != 0);
	SAY(getrandom(random, 1, 0xff));
	SAY(prctl(PR_SET_NAME, "a name that is too long"));
	SAY(prctl(PR_GET_NAME, name));
	SAY_TEXT(name);
	SAY(prctl(99999));
	SAY(prctl(PR_GET_DUMPABLE));
	SAY(wait(&status));
	SAY(waitpid(-1, &status, WNOHANG));
	SAY(waitid(P_ALL, 0, &child, WEXITED));
	SAY(waitid(P_ALL, 0, &child, 0));
	SAY(prlimit(0, RLIMIT_STACK, NULL, &limit));
	SAY(prlimit(0, 99, NULL, &limit));
	SAY(sched_yield());
	SAY(sched_getaffinity(0, sizeof(set), &set));
	SAY(CPU_COUNT(&set) > 0);
	SAY(sched_getaffinity(99999999, sizeof(set), &set));
	SAY(getpriority(PRIO_PROCESS, 0) == nice(0)); /* on Linux, that of whoever runs the test */
	SAY(getpriority(99, 0));
	SAY(sched_get_priority_max(SCHED_FIFO));
	SAY(sched_get_priority_min(99));
	SAY(syscall(SYS_membarrier, 0, 0, 0) > 0);
	SAY(syscall(SYS_membarrier, 1, 0, 0));
	SAY(syscall(SYS_personality, 0xffffffffu));
	SAY(getresuid(&real, &effective, &saved));
	SAY(real == getuid() && effective == geteuid() && saved == effective);
	SAY(setresuid(-1, -1, -1));
	SAY(setreuid(getuid(), -1));
	SAY(setuid(getuid()));
	SAY(setgid(getgid()));
	SAY(getgroups(0, groups) >= 0);
	SAY(getgroups(getpid() > 0 ? -1 : 0, groups));
	umask(027);
	SAY(umask(022));
	return 0;
}
