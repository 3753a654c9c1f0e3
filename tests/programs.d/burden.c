// SPDX-License-Identifier: MIT
/* tests/programs.d/burden.c - glibc's malloc with a burden, for tests/flag-cost: it has to be noticed
 *
 * Every malloc takes a few microseconds longer, and every process holds 8 MiB more.
 */
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t bytes);

char held[8 << 20]; /* not static: nobody reads it, and a compiler that knows that leaves it out */

__attribute__((constructor)) static void hold(void)
{
	memset(held, 1, sizeof(held));
}

void *malloc(size_t bytes)
{
	for (volatile int i = 0; i < 3000; i++)
		;
	return __libc_malloc(bytes);
}
