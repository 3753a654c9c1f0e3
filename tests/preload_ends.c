/* SPDX-License-Identifier: MIT */
/* tests/preload_ends.c - helper: allocates at every end and beginning that a program has
 *
 * Before libc's constructors, in constructors, in destructors of thread-local objects and of keys, in
 * atexit handlers, in the destructor of the program. Knows nothing of the library: preload it. Prints
 * "ok" last of all.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS 40 /* more than libc has room for in a thread */

extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static void *kept[3][16];

static void take(void **blocks)
{
	for (size_t i = 0; i < 16; i++) {
		size_t bytes = (size_t)3 << i;
		blocks[i] = i % 3 ? malloc(bytes) : calloc(1, bytes);
		if (!blocks[i])
			abort();
		memset(blocks[i], (int)i, bytes);
	}
}

static void give(void **blocks)
{
	for (size_t i = 0; i < 16; i++) {
		size_t bytes = (size_t)3 << i;
		if (blocks[i] && ((unsigned char *)blocks[i])[bytes - 1] != i)
			abort();
		blocks[i] = realloc(blocks[i], bytes * 2);
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

static void churn(void)
{
	void *blocks[16];
	take(blocks);
	give(blocks);
}

static void before_everything(int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	(void)environment;
	take(kept[0]);
}

__attribute__((section(".preinit_array"),
	       used)) static void (*const preinit)(int, char **, char **) = before_everything;

__attribute__((constructor(101))) static void in_constructor(void)
{
	take(kept[1]);
}

__attribute__((destructor(101))) static void in_destructor(void)
{
	churn();
	give(kept[1]);
	if (write(STDOUT_FILENO, "ok\n", 3) != 3)
		abort();
}

static void at_exit(void)
{
	churn();
	give(kept[2]);
}

static void destroy(void *value)
{
	churn();
	free(value);
}

static void *in_thread(void *keys)
{
	for (size_t i = 0; i < KEYS; i++)
		pthread_setspecific(((pthread_key_t *)keys)[i], malloc(1 + i * 1000));
	for (size_t i = 0; i < 4; i++)
		__cxa_thread_atexit_impl(destroy, malloc((size_t)1000 << i), &__dso_handle);
	churn();
	return malloc(3000);
}

int main(void)
{
	static pthread_key_t keys[KEYS];
	give(kept[0]);
	for (size_t i = 0; i < KEYS; i++)
		if (pthread_key_create(&keys[i], destroy))
			abort();
	for (size_t i = 0; i < 100; i++) {
		pthread_t thread;
		void *result;
		if (pthread_create(&thread, NULL, in_thread, keys) || pthread_join(thread, &result))
			abort();
		free(result);
	}
	take(kept[2]);
	in_thread(keys);
	if (atexit(at_exit))
		abort();
	return 0;
}
