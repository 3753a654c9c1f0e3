/* SPDX-License-Identifier: MIT */
/* tests/preload_late.c - helper: opens the library late, for its hakmem_* functions alone
 *
 *	preload_late LIBRARY OWNER	OWNER: who serves 100 bytes, as a number of enum hakmem_owner
 *
 * malloc stays whosever it was. Threads that were there before the library use it as well.
 */
#include "shim/hakmem.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __typeof__(hakmem_malloc) *malloc_of;
static __typeof__(hakmem_free) *free_of;
static __typeof__(hakmem_realloc) *realloc_of;
static __typeof__(hakmem_owner) *owner_of;
static enum hakmem_owner wanted;
static pthread_barrier_t opened;

static void demand(int condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "late: %s\n", what);
		abort();
	}
}

static void use(void)
{
	for (size_t bytes = 1; bytes < 10 << 20; bytes = bytes * 5 / 3 + 1) {
		char *block = malloc_of(bytes);
		demand(block != NULL, "hakmem_malloc");
		memset(block, 1, bytes);
		block = realloc_of(block, bytes * 2);
		demand(block && block[bytes - 1] == 1, "hakmem_realloc");
		free_of(block);
	}
	void *block = malloc_of(100);
	demand(owner_of(block) == wanted, "owner");
	free_of(block);
	/* The process's own blocks find back to the process's malloc. */
	free_of(malloc(100));
	free_of(malloc(1 << 20));
	block = realloc_of(malloc(100), 100000);
	free_of(block);
}

static void *be_an_early_thread(void *unused)
{
	pthread_barrier_wait(&opened);
	use();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t early[4];
	demand(argc == 3, "usage");
	wanted = (enum hakmem_owner)atoi(argv[2]);
	pthread_barrier_init(&opened, NULL, 5);
	for (size_t i = 0; i < 4; i++)
		demand(!pthread_create(&early[i], NULL, be_an_early_thread, NULL), "thread");
	void *before = malloc(100);
	void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	demand(library != NULL, "dlopen");
	malloc_of = (__typeof__(malloc_of))dlsym(library, "hakmem_malloc");
	free_of = (__typeof__(free_of))dlsym(library, "hakmem_free");
	realloc_of = (__typeof__(realloc_of))dlsym(library, "hakmem_realloc");
	owner_of = (__typeof__(owner_of))dlsym(library, "hakmem_owner");
	demand(malloc_of && free_of && realloc_of && owner_of, "names");
	pthread_barrier_wait(&opened);
	use();
	for (size_t i = 0; i < 4; i++)
		demand(!pthread_join(early[i], NULL), "thread");
	void *own = malloc(100);
	demand(owner_of(own) == HAKMEM_OWNER_SYSTEM, "malloc was taken over");
	free(own);
	free(before);
	dlclose(library);
	puts("ok");
	return 0;
}
