/* SPDX-License-Identifier: MIT */
/* tests/migrate_guarded.c - helper: threads under load until a guard rolls 4 KiB back, or time is up
 *
 *	migrate_guarded SECONDS [THREADS]
 *
 * Each thread keeps some blocks, all with a pattern in them, replaces one after the other, and every now and then frees
 * most of them. Prints what was sampled last before the class went back, then its cause, and ends with 0; with 1 if it
 * is still where it was, with abort() if a block was hurt.
 */
#include "shim/hakmem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BYTES	    4096
#define KEPT	    2000
#define THREADS_MAX 64

/* Weak: the library is preloaded. */
extern __typeof__(hakmem_read_classes) hakmem_read_classes __attribute__((weak));

static atomic_bool going = true;
static atomic_ulong operations;

static void fill(unsigned char *block, unsigned long key)
{
	memset(block, (int)(key & 0xff), BYTES);
}

static void look(const unsigned char *block, unsigned long key)
{
	for (size_t i = 0; i < BYTES; i += 511)
		if (block[i] != (unsigned char)(key & 0xff)) {
			fprintf(stderr, "migrate_guarded: somebody else wrote into %p\n",
				(const void *)block);
			abort();
		}
}

static void *work(void *argument)
{
	unsigned char **kept = calloc(KEPT, sizeof(*kept));
	unsigned long random = (unsigned long)(size_t)argument * 2654435761u + 1;

	for (unsigned long i = 0; atomic_load(&going); i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		size_t slot = (random >> 33) % KEPT;
		if (kept[slot]) {
			look(kept[slot], slot);
			free(kept[slot]);
		}
		kept[slot] = i % 20000 < 12000 ? malloc(BYTES) : NULL;
		if (kept[slot])
			fill(kept[slot], slot);
		atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed);
		if (i % 64 == 0)
			usleep(100); /* leave the core to others before the time is up */
	}
	for (size_t i = 0; i < KEPT; i++)
		free(kept[i]);
	free(kept);
	return NULL;
}

static struct hakmem_class read_class(void)
{
	static struct hakmem_class classes[256];
	size_t count = hakmem_read_classes(classes, sizeof(classes[0]), 256);
	for (size_t i = 0; i < count && i < 256; i++)
		if (classes[i].min_bytes <= BYTES && classes[i].max_bytes >= BYTES)
			return classes[i];
	abort();
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	size_t threads = argc > 2 ? (size_t)atoi(argv[2]) : 8;
	static pthread_t started[THREADS_MAX];
	struct hakmem_class seen = { .canary_samples = 0 }, now;
	time_t end = time(NULL) + (time_t)seconds + 1;

	if (!hakmem_read_classes || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: LD_PRELOAD=libhakmem.so migrate_guarded SECONDS [1..%d]\n",
			THREADS_MAX);
		return 2;
	}
	for (size_t i = 0; i < threads; i++)
		if (pthread_create(&started[i], NULL, work, (void *)i))
			return 2;
	do {
		usleep(20000);
		now = read_class();
		if (!now.latched)
			seen = now;
	} while (!now.latched && time(NULL) < end);
	/* The load goes on for as much again: rolled back, nothing may be hurt. */
	unsigned long before = atomic_load(&operations);
	while (atomic_load(&operations) < before + 20000 && time(NULL) < end + 30)
		usleep(1000);
	atomic_store(&going, false);
	for (size_t i = 0; i < threads; i++)
		pthread_join(started[i], NULL);
	printf("%lu operations; canary %llu samples, p99 %llu ns, old %llu samples, p99 %llu ns, ratio %.2f .. %.2f; "
	       "next holds %llu for %llu live; %s\n",
	       atomic_load(&operations), (unsigned long long)seen.canary_samples,
	       (unsigned long long)seen.canary_p99_ns, (unsigned long long)seen.old_samples,
	       (unsigned long long)seen.old_p99_ns, (double)seen.ratio_low / 1000,
	       seen.ratio_high == HAKMEM_UNKNOWN ? 0 : (double)seen.ratio_high / 1000,
	       (unsigned long long)seen.next_held_bytes, (unsigned long long)seen.next_live_bytes,
	       now.latched ? now.cause : "not rolled back");
	return !now.latched;
}
