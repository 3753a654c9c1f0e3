/* SPDX-License-Identifier: MIT */
/* tests/migrate_load.c - helper: threads that allocate and free without an end
 *
 *	migrate_load THREADS MIN MAX	blocks of MIN to MAX bytes, until standard input ends; they pause now and then, so that
 *					the machine has time for others. Some blocks live for ever
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 64
#define KEPT   8 /* of these; they are never freed */
#define BURST  200

static size_t least, most;

static void *work(void *argument)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	unsigned seed = (unsigned)(size_t)argument;
	char *blocks[BLOCKS] = { NULL };

	for (unsigned i = 0;; i++) {
		char **block = &blocks[(unsigned)rand_r(&seed) % BLOCKS];
		if (*block && block < blocks + KEPT)
			continue;
		free(*block);
		*block = malloc(least + (unsigned)rand_r(&seed) % (most - least + 1));
		if (!*block)
			abort();
		**block = 1;
		if (i % BURST == 0)
			(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char byte;
	pthread_t thread;

	if (argc != 4)
		return 2;
	least = strtoul(argv[2], NULL, 10);
	most = strtoul(argv[3], NULL, 10);
	for (size_t i = 0; i < strtoul(argv[1], NULL, 10); i++)
		if (pthread_create(&thread, NULL, work, (void *)(i + 1)) != 0)
			return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
