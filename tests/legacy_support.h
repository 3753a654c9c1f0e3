/* SPDX-License-Identifier: MIT */
/* tests/legacy_support.h - what the tests of legacy share: start, children, patterns in blocks */
#ifndef TESTS_LEGACY_SUPPORT_H
#define TESTS_LEGACY_SUPPORT_H

#include "legacy/legacy.h"
#include "shim/base/map.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In children and in threads, where cmocka's jump back would end in the wrong place. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline void legacy_begin(const char *tunables)
{
	const char *error = NULL;
	MUST(map_init() && legacy_init());
	MUST(legacy_configure(tunables, &error));
}

/* True if `act` comes to its end in a child: legacy starts and is configured once a process. */
static inline bool succeeds_in_child(void (*act)(const char *), const char *argument)
{
	int status;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		act(argument);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static inline struct legacy_counters counters_now(void)
{
	struct legacy_counters c;
	legacy_read_counters(&c);
	return c;
}

/* A block that says who made it, in its first and last words: handed out twice or cut short, it
 * no longer does. */
struct pattern {
	struct pattern *self;
	size_t bytes;
	uint64_t maker;
};

static inline void pattern_write(void *block, size_t bytes, uint64_t maker)
{
	struct pattern p = { .self = block, .bytes = bytes, .maker = maker };
	memcpy(block, &p, sizeof(p));
	memcpy((char *)block + bytes - sizeof(maker), &maker, sizeof(maker));
}

static inline bool pattern_holds(const void *block)
{
	struct pattern p;
	uint64_t last;
	memcpy(&p, block, sizeof(p));
	if (p.self != block || p.bytes > LEGACY_MAX_BYTES)
		return false;
	memcpy(&last, (const char *)block + p.bytes - sizeof(last), sizeof(last));
	return last == p.maker;
}

/* Numbers that look random, the same in every run. */
static inline uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static inline size_t random_bytes(uint32_t *state)
{
	return LEGACY_MIN_BYTES + next_random(state) % (LEGACY_MAX_BYTES - LEGACY_MIN_BYTES + 1);
}

#endif
