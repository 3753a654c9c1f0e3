/* SPDX-License-Identifier: MIT */
/* tests/preload_own_malloc.c - helper: a program that brings its own malloc, with and without gaps
 *
 * Its blocks come from an array, and its free aborts at any other. It lacks the aligned functions, as
 * many do, and C++'s operators. With the library preloaded no block of the library may come its way.
 */
#include "shim/hakmem.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern __typeof__(hakmem_owner) hakmem_owner __attribute__((weak));

static _Alignas(16) char array[8 << 20];
static size_t array_used;

static int is_own(const void *block)
{
	return (const char *)block >= array && (const char *)block < array + sizeof(array);
}

void *malloc(size_t bytes)
{
	size_t room = (bytes + 31) & ~(size_t)15;
	size_t at = __atomic_fetch_add(&array_used, room, __ATOMIC_RELAXED);
	if (bytes > sizeof(array) || at + room > sizeof(array))
		return NULL;
	*(size_t *)(void *)(array + at) = bytes;
	return array + at + 16;
}

void free(void *block)
{
	if (block && !is_own(block)) {
		fputs("mixed: a stranger's block in the program's free\n", stderr);
		abort();
	}
}

void *calloc(size_t count, size_t bytes)
{
	return malloc(count * bytes); /* the array is never used twice */
}

void *realloc(void *block, size_t bytes)
{
	void *moved = malloc(bytes);
	if (block && moved) {
		size_t old = *(size_t *)(void *)((char *)block - 16);
		memcpy(moved, block, old < bytes ? old : bytes);
	}
	return moved;
}

static void demand(int condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "mixed: %s\n", what);
		abort();
	}
}

int main(void)
{
	void *(*new_of)(size_t) = dlsym(RTLD_DEFAULT, "_Znwm");
	void (*delete_of)(void *) = dlsym(RTLD_DEFAULT, "_ZdlPv");
	void (*free_sized_of)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
	void *block;

	free(strdup("text"));
	fclose(fopen("/proc/self/stat", "r"));
	if (!hakmem_owner) {
		puts("no library");
		return 1;
	}
	demand(is_own(malloc(100)), "malloc");
	demand(is_own(reallocarray(malloc(100), 3, 100)), "reallocarray");
	demand(free_sized_of != NULL, "free_sized is missing");
	free_sized_of(malloc(100), 100);
	demand(hakmem_owner(pvalloc(100)) == HAKMEM_OWNER_SYSTEM, "pvalloc");
	demand(hakmem_owner(memalign(64, 100)) == HAKMEM_OWNER_SYSTEM, "memalign");
	demand(!posix_memalign(&block, 64, 100), "posix_memalign");
	demand(hakmem_owner(block) == HAKMEM_OWNER_SYSTEM, "posix_memalign");
	demand(new_of && delete_of, "operator new is missing");
	block = new_of(100);
	demand(is_own(block), "operator new");
	delete_of(block);
	puts("ok");
	return 0;
}
