/* SPDX-License-Identifier: MIT */
/* tests/preload_static.c - helper: a static program with the library linked in
 *
 * Uses malloc from threads and across sizes and prints who served 100, 5000 and 100000 bytes, as numbers
 * of enum hakmem_owner.
 */
#include "shim/hakmem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *use(void *unused)
{
	for (size_t bytes = 1; bytes < 10 << 20; bytes = bytes * 5 / 3 + 1) {
		char *block = memset(malloc(bytes), 1, bytes);
		block = realloc(block, bytes * 2);
		if (block[bytes - 1] != 1)
			abort();
		free(block);
		free(aligned_alloc(64, bytes));
	}
	return unused;
}

int main(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, use, NULL) || pthread_join(thread, NULL))
		abort();
	use(NULL);
	void *small = malloc(100), *mid = malloc(5000), *large = malloc(100000);
	printf("%d %d %d\n", (int)hakmem_owner(small), (int)hakmem_owner(mid),
	       (int)hakmem_owner(large));
	free(small);
	free(mid);
	free(large);
	return 0;
}
