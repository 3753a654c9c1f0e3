/* SPDX-License-Identifier: MIT */
/* tests/preload_fork.c - helper: children of a threaded program that knows nothing of the library
 *
 *	preload_fork CHILDREN
 *
 * Threads allocate, print and free each other's blocks while the main thread forks. A child allocates,
 * frees what it inherited, starts a thread and a child of its own. Prints "ok" if all of them ended well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS	    8
#define CHILD_LIMIT 60 /* seconds until a child counts as hung */

static atomic_bool busy = true;
static _Atomic(char *) handed_over[64];

/* Sizes of every path. */
static void allocate(unsigned seed)
{
	char *blocks[24];
	for (unsigned i = 0; i < 24; i++) {
		size_t bytes = ((size_t)1 << ((seed + i) % 19)) + i;
		blocks[i] = i % 3 ? malloc(bytes) : calloc(1, bytes);
		if (!blocks[i])
			abort();
		blocks[i][bytes - 1] = (char)i;
		blocks[i] = realloc(blocks[i], bytes + 1000);
		if (blocks[i][bytes - 1] != (char)i)
			abort();
	}
	for (unsigned i = 0; i < 24; i++)
		free(blocks[i]);
}

static void *keep_allocating(void *argument)
{
	unsigned seed = (unsigned)(size_t)argument;
	while (atomic_load(&busy)) {
		char *text = NULL;
		allocate(seed);
		if (asprintf(&text, "%*u", (int)(seed % 5000), seed) < 0)
			abort();
		free(atomic_exchange(&handed_over[seed % 64], text));
		seed = seed * 1103515245 + 12345;
	}
	return NULL;
}

static void *be_a_thread(void *unused)
{
	allocate(7);
	return unused;
}

static int ends_well(pid_t child)
{
	int status = -1;
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void be_a_child(char *inherited)
{
	pthread_t thread;
	alarm(CHILD_LIMIT);
	allocate(1);
	for (size_t i = 0; i < 64; i++)
		free(atomic_exchange(&handed_over[i], NULL));
	inherited = realloc(inherited, 70000);
	if (inherited[0] != 42 || pthread_create(&thread, NULL, be_a_thread, NULL))
		_exit(1);
	pid_t grandchild = fork();
	if (grandchild == 0) {
		allocate(2);
		_exit(0);
	}
	free(inherited);
	_exit(pthread_join(thread, NULL) || !ends_well(grandchild));
}

int main(int argc, char **argv)
{
	int children = argc > 1 ? atoi(argv[1]) : 0, failures = 0;
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, keep_allocating, (void *)(i + 1)))
			abort();
	for (int i = 0; i < children; i++) {
		char *inherited = malloc(3000);
		inherited[0] = 42;
		pid_t child = fork();
		if (child == 0)
			be_a_child(inherited);
		allocate((unsigned)i);
		failures += !ends_well(child);
		free(inherited);
	}
	atomic_store(&busy, false);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	puts(children > 0 && failures == 0 ? "ok" : "children failed");
	return 0;
}
