/* SPDX-License-Identifier: MIT */
/* tests/workload.h - every function of the API, for processes to which the system gives little
 *
 * Each call gives what hakmem.h promises: a block that holds so much and is aligned, or NULL and ENOMEM. Anything else
 * ends the process with a line and status 1. errno is 4711 before and after each of these functions.
 */
#ifndef TESTS_WORKLOAD_H
#define TESTS_WORKLOAD_H

#include "shim/base/compiler.h"

#include <stdio.h>
#include <unistd.h>

#define WORKLOAD_REQUIRE(condition)                                                                \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct workload_block {
	char *start; /* NULL: there was no memory */
	size_t bytes;
	char mark;
};

#define WORKLOAD_BLOCKS 56

/* Every class takes another side at each step; set before there are threads. */
extern bool workload_flips;
void workload_flip(void); /* a step: nothing unless workload_flips */

/* What an allocating function gave, checked and marked; errno is what it left. */
struct workload_block workload_given(void *start, size_t bytes, char mark);
void workload_free(struct workload_block *block); /* looks at the marks; NULL is fine */
void workload_resize(struct workload_block *block, size_t bytes);

/* By every allocating function, of every band, at every kind of alignment. Gives how many. */
size_t workload_allocate(struct workload_block blocks[WORKLOAD_BLOCKS], char mark);

/* That, and resizing, trimming and freeing it all. */
void workload_every_function(char mark);

void workload_migrate(void); /* plans, rollback, kill switch, the control page */
void workload_ask(void);     /* statistics */

#endif
