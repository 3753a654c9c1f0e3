/* SPDX-License-Identifier: MIT */
/* tests/preload_short.c - helper: a small program for a process that may have little address space */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	for (size_t bytes = 1; bytes < 1 << 20; bytes = bytes * 5 / 3 + 1) {
		char *block = memset(malloc(bytes), 1, bytes);
		block = realloc(block, bytes * 2);
		if (block[bytes - 1] != 1)
			abort();
		free(block);
		free(aligned_alloc(4096, bytes));
	}
	if (malloc((size_t)1 << 40))
		abort();
	puts("ok");
	return 0;
}
