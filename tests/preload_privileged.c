/* SPDX-License-Identifier: MIT */
/* tests/preload_privileged.c - helper: who serves 100 bytes in a set-uid program, and is it one
 *
 * Linked with the library (a preload would be ignored). Prints "AT_SECURE=N owner=N".
 */
#include "shim/hakmem.h"

#include <stdio.h>
#include <sys/auxv.h>

int main(void)
{
	void *block = hakmem_malloc(100);
	printf("AT_SECURE=%lu owner=%d\n", getauxval(AT_SECURE), (int)hakmem_owner(block));
	hakmem_free(block);
	return 0;
}
