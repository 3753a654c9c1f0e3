/* SPDX-License-Identifier: MIT */
/* tests/preload_wrapper.c - helper: a program whose malloc is a wrapper around the next one in line
 *
 * That is no malloc of its own: the blocks are the library's, and so are the operators'.
 */
#include "shim/hakmem.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

extern __typeof__(hakmem_owner) hakmem_owner __attribute__((weak));

static unsigned long calls;

void *malloc(size_t bytes)
{
	static void *(*next_malloc)(size_t);
	if (!next_malloc)
		next_malloc = dlsym(RTLD_NEXT, "malloc");
	calls++;
	return next_malloc(bytes);
}

void free(void *block)
{
	static void (*next_free)(void *);
	if (!next_free)
		next_free = dlsym(RTLD_NEXT, "free");
	if (block)
		next_free(block);
}

int main(void)
{
	void *(*new_of)(size_t) = dlsym(RTLD_DEFAULT, "_Znwm");
	void *wrapped = malloc(100), *block = calloc(1, 100), *object = new_of ? new_of(100) : NULL;
	if (!hakmem_owner || calls == 0 || hakmem_owner(wrapped) != HAKMEM_OWNER_NEXT ||
	    hakmem_owner(block) != HAKMEM_OWNER_NEXT || hakmem_owner(object) != HAKMEM_OWNER_NEXT) {
		fputs("the wrapper was taken for a malloc\n", stderr);
		return 1;
	}
	free(wrapped);
	free(block);
	free(object);
	puts("ok");
	return 0;
}
