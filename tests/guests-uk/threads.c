/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* POSIX threads: every kind of synchronisation, thread-local storage, cancellation, a thousand
 * threads. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS	2000
#define MANY	1000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_key_t key;
static __thread long local = 7;
static long counter, turn, shared, destroyed;
static _Atomic long atomic_counter;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	if (!ok)
		exit(1);
}

static void run(int n, void *(*function)(void *))
{
	pthread_t threads[n];

	for (long i = 0; i < n; i++) {
		int error = pthread_create(&threads[i], NULL, function, (void *)i);

		if (error) {
			printf("FAILED to create thread %ld: %d\n", i, error);
			exit(1);
		}
	}
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void *with_mutex(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
		atomic_counter++;
	}
	return NULL;
}

static void *with_cond(void *arg)
{
	for (int i = 0; i < 50; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % THREADS != (long)arg)
			pthread_cond_wait(&cond, &mutex);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *with_barrier(void *arg)
{
	for (int i = 0; i < 50; i++) {
		pthread_barrier_wait(&barrier);
		if ((long)arg == i % THREADS)
			shared = i;
		pthread_barrier_wait(&barrier);
		if (shared != i)
			check(0, "barrier");
	}
	return NULL;
}

static void *with_rwlock(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if ((long)arg == 0) {
			pthread_rwlock_wrlock(&rwlock);
			shared++;
			shared++;
		} else {
			pthread_rwlock_rdlock(&rwlock);
			if (shared & 1)
				check(0, "rwlock");
		}
		pthread_rwlock_unlock(&rwlock);
	}
	return NULL;
}

static void destroy(void *value)
{
	(void)value;
	__atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
}

static void *with_tls(void *arg)
{
	if (local != 7)
		check(0, "thread-local start value");
	local = (long)arg;
	pthread_setspecific(key, &local);
	sched_yield();
	usleep(1000);
	if (local != (long)arg || pthread_getspecific(key) != &local)
		check(0, "thread-local value");
	return NULL;
}

static void cleanup(void *flag)
{
	*(int *)flag = 1;
}

static void *sleeper(void *flag)
{
	pthread_cleanup_push(cleanup, flag);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *cond_sleeper(void *flag)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(cleanup, flag);
	for (;;)
		pthread_cond_wait(&cond, &mutex);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *spinner(void *flag)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push(cleanup, flag);
	for (;;)
		__asm__ volatile("");
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel(void *(*function)(void *), const char *what)
{
	pthread_t thread;
	void *result;
	int flag = 0;

	pthread_create(&thread, NULL, function, &flag);
	usleep(20000);
	check(pthread_cancel(thread) == 0, what);
	pthread_join(thread, &result);
	check(result == PTHREAD_CANCELED && flag == 1, what);
	if (function == cond_sleeper)
		pthread_mutex_unlock(&mutex);
}

static void timeouts(void)
{
	struct timespec until;
	sem_t sem;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 30000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	sem_init(&sem, 0, 0);
	check(sem_timedwait(&sem, &until) == -1 && errno == ETIMEDOUT, "semaphore times out");
	pthread_mutex_lock(&mutex);
	check(pthread_cond_timedwait(&cond, &mutex, &until) == ETIMEDOUT, "condition times out");
	pthread_mutex_unlock(&mutex);
}

static volatile int flag;

static void *set_flag(void *arg)
{
	(void)arg;
	flag = 1;
	return NULL;
}

static void *wait_flag(void *arg)
{
	(void)arg;
	while (!flag)
		;
	return NULL;
}

static void *one_of_many(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&mutex);
	counter++;
	if (counter == MANY)
		pthread_cond_broadcast(&cond);
	while (counter < MANY)
		pthread_cond_wait(&cond, &mutex);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *detached(void *arg)
{
	(void)arg;
	atomic_counter--;
	return NULL;
}

int main(void)
{
	pthread_t spin, set;

	run(THREADS, with_mutex);
	check(counter == THREADS * ROUNDS && atomic_counter == counter, "mutex");
	run(THREADS, with_cond);
	check(turn == THREADS * 50, "condition variable");
	pthread_barrier_init(&barrier, NULL, THREADS);
	run(THREADS, with_barrier);
	check(1, "barrier");
	shared = 0;
	run(THREADS, with_rwlock);
	check(shared == 2 * ROUNDS, "rwlock");
	pthread_key_create(&key, destroy);
	run(THREADS, with_tls);
	check(destroyed == THREADS, "thread-local storage");
	timeouts();
	cancel(sleeper, "cancel a sleeping thread");
	cancel(cond_sleeper, "cancel a thread on a condition");
	cancel(spinner, "cancel a spinning thread asynchronously");
	pthread_create(&spin, NULL, wait_flag, NULL);
	pthread_create(&set, NULL, set_flag, NULL);
	pthread_join(spin, NULL);
	pthread_join(set, NULL);
	check(1, "a spinning thread lets the other run");
	counter = 0;
	run(MANY, one_of_many);
	check(counter == MANY, "a thousand threads at once");
	atomic_counter = 200;
	for (int i = 0; i < 200; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, detached, NULL))
			check(0, "detached thread");
		pthread_detach(thread);
	}
	while (atomic_counter)
		usleep(1000);
	check(1, "detached threads");
	puts("done");
	return 0;
}
