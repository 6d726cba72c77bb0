/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo
 * rt_tgsigqueueinfo sigaltstack kill tkill tgkill pause: handlers, masks, queues, restarts. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "say.h"

static volatile int to_raise, caught, code, value, on_alt, depth, deepest, order[8], orders;
static char alt[65536];
static sigjmp_buf out;
static int p[2];

static void handler(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	char here;

	caught = number;
	code = info->si_code;
	value = info->si_value.sival_int;
	on_alt = &here > alt && &here < alt + sizeof(alt);
	if (orders < 8)
		order[orders++] = number;
	if (!c->uc_mcontext.gregs[REG_RIP] || !c->uc_mcontext.gregs[REG_RSP])
		puts("no registers");
}

static void nests(int number)
{
	if (++depth > deepest)
		deepest = depth;
	if (--to_raise > 0)
		raise(number);
	depth--;
}

static void jumps(int number)
{
	siglongjmp(out, number);
}

static void install(int number, int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	SAY(sigaction(number, &action, NULL));
}

static void *poke(void *main_thread)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
	return NULL;
}

static void *poke_and_write(void *main_thread)
{
	poke(main_thread);
	usleep(20000);
	write(p[1], "x", 1);
	return NULL;
}

static void queues(void)
{
	sigset_t set, old, pending;
	struct timespec none = {0, 0}, soon = {0, 1000000};
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 3; i++) {
		kill(getpid(), SIGUSR1);
		sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 20 + i});
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i});
	}
	SAY(caught);
	sigpending(&pending);
	SAY(sigismember(&pending, SIGUSR1) + 2 * sigismember(&pending, SIGRTMIN + 1));
	SAY(sigtimedwait(&set, &info, &none) == SIGUSR1);
	SAY(info.si_code == SI_USER);
	SAY(sigwaitinfo(&set, &info) == SIGRTMIN + 1);
	SAY(info.si_value.sival_int);
	SAY(info.si_code == SI_QUEUE);
	for (int i = 0; i < 5; i++) {
		int got = sigtimedwait(&set, &info, &soon);

		printf("then %d %d\n", got - SIGRTMIN, info.si_value.sival_int);
	}
	SAY(sigtimedwait(&set, &info, &soon));
	raise(SIGUSR1);
	orders = 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	SAY(orders);
	SAY(sigprocmask(99, &set, NULL));
	info.si_code = SI_USER;
	SAY(syscall(SYS_rt_sigqueueinfo, getpid() + 1, SIGUSR1, &info) < 0);
	info.si_code = SI_QUEUE;
	info.si_value.sival_int = 5;
	SAY(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGUSR1, &info));
	SAY(value);
}

static void restarts(void)
{
	pthread_t thread, self = pthread_self();
	struct timespec left, second = {1, 0};
	sigset_t none;
	char c;

	pipe(p);
	install(SIGUSR1, SA_RESTART);
	pthread_create(&thread, NULL, poke_and_write, &self);
	caught = 0;
	SAY(read(p[0], &c, 1));
	SAY(caught == SIGUSR1);
	pthread_join(thread, NULL);
	install(SIGUSR1, 0);
	pthread_create(&thread, NULL, poke, &self);
	SAY(read(p[0], &c, 1));
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, poke, &self);
	SAY(nanosleep(&second, &left));
	SAY(left.tv_sec == 0 && left.tv_nsec > 0);
	pthread_join(thread, NULL);
	install(SIGUSR1, SA_RESTART);
	pthread_create(&thread, NULL, poke, &self);
	SAY(nanosleep(&second, &left));
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, poke, &self);
	SAY(pause());
	pthread_join(thread, NULL);
	sigemptyset(&none);
	pthread_create(&thread, NULL, poke, &self);
	SAY(sigsuspend(&none));
	pthread_join(thread, NULL);
	signal(SIGUSR1, SIG_IGN);
	pthread_create(&thread, NULL, poke_and_write, &self);
	SAY(read(p[0], &c, 1));
	pthread_join(thread, NULL);
}

static void flags(void)
{
	struct sigaction action = {.sa_handler = nests, .sa_flags = SA_NODEFER}, old;
	stack_t stack = {.ss_sp = alt, .ss_size = sizeof(alt)}, now;

	sigaction(SIGUSR2, &action, NULL);
	to_raise = 3;
	raise(SIGUSR2);
	SAY(deepest);
	depth = deepest = 0;
	action.sa_flags = 0;
	sigaction(SIGUSR2, &action, NULL);
	to_raise = 3;
	raise(SIGUSR2);
	SAY(deepest);
	install(SIGUSR2, SA_RESETHAND);
	raise(SIGUSR2);
	SAY(sigaction(SIGUSR2, NULL, &old));
	SAY(old.sa_handler == SIG_DFL);
	SAY(sigaltstack(&stack, NULL));
	install(SIGUSR2, SA_ONSTACK);
	raise(SIGUSR2);
	SAY(on_alt);
	install(SIGUSR2, 0);
	raise(SIGUSR2);
	SAY(on_alt);
	SAY(sigaltstack(NULL, &now));
	SAY(now.ss_size);
	stack.ss_size = 100;
	SAY(sigaltstack(&stack, NULL));
	stack.ss_flags = SS_DISABLE;
	SAY(sigaltstack(&stack, NULL));
	SAY(sigaltstack(NULL, &now));
	SAY(now.ss_flags == SS_DISABLE);
}

static void *spin_until_jump(void *unused)
{
	(void)unused;
	usleep(20000);
	kill(getpid(), SIGUSR2);
	return NULL;
}

static void jump(void)
{
	sigset_t set, now;
	pthread_t thread;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	signal(SIGUSR2, jumps);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&thread, NULL, spin_until_jump, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	number = sigsetjmp(out, 1);
	if (!number)
		for (;;)
			__asm__ volatile("");
	SAY(number == SIGUSR2);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	SAY(sigismember(&now, SIGUSR2));
}

int main(void)
{
	install(SIGUSR1, 0);
	SAY(raise(SIGUSR1));
	SAY(code == SI_TKILL);
	SAY(kill(getpid(), SIGUSR1));
	SAY(code == SI_USER);
	SAY(kill(getpid(), 0));
	SAY(kill(getpid(), 65));
	SAY(kill(99999999, 0));
	SAY(syscall(SYS_tgkill, getpid(), 99999999, 0));
	SAY(sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
	SAY(sigaction(0, NULL, NULL));
	SAY(sigaction(65, NULL, NULL));
	caught = 0;
	signal(SIGURG, SIG_DFL);
	SAY(raise(SIGURG));
	install(SIGRTMIN + 1, 0);
	install(SIGRTMIN + 2, 0);
	queues();
	restarts();
	flags();
	jump();
	fflush(stdout);
	kill(getpid(), SIGTERM);
	return 0;
}
