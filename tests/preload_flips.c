/* SPDX-License-Identifier: MIT */
/* tests/preload_flips.c - helper: preloaded behind the library, it makes every class of any program flip
 *
 * In the program and in all of its children, from the start to the end.
 */
#include "tests/flips.h"

#include <pthread.h>
#include <stddef.h>

__attribute__((constructor)) static void begin(void)
{
	if (flips_start(flips_plans))
		pthread_atfork(NULL, NULL, flips_fork_child);
}
