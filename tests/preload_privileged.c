/* SPDX-License-Identifier: MIT */
/* tests/preload_privileged.c - helper: who serves 100 bytes in a set-uid program, and is it one
 *
 * Linked with the library (a preload would be ignored). Prints "AT_SECURE=N owner=N". Asks for live control, which is
 * refused with privileges; allocates in a thread and in a child as well.
 */
#include "shim/hakmem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

static void *allocate(void *unused)
{
	for (size_t bytes = 1; bytes < 10 << 20; bytes *= 3)
		hakmem_free(hakmem_malloc(bytes));
	return unused;
}

int main(void)
{
	void *block = hakmem_malloc(100);
	printf("AT_SECURE=%lu owner=%d\n", getauxval(AT_SECURE), (int)hakmem_owner(block));
	fflush(stdout);
	hakmem_free(block);
	int control = hakmem_control_start();
	if ((control == 0) == (getauxval(AT_SECURE) != 0))
		printf("control: %d\n", control);
	pthread_t thread;
	if (pthread_create(&thread, NULL, allocate, NULL) || pthread_join(thread, NULL))
		return 1;
	pid_t child = fork();
	if (child == 0) {
		allocate(NULL);
		_exit(0);
	}
	int status = 1;
	return waitpid(child, &status, 0) != child || status != 0;
}
