/* SPDX-License-Identifier: MIT */
/* tests/verify/memory.h - atomic accesses as C11 allows them, and what every thread knows */
#ifndef VERIFY_MEMORY_H
#define VERIFY_MEMORY_H

#include "tests/verify/explore.h"

enum operation {
	LOAD,
	STORE,
	EXCHANGE,
	FETCH_ADD,
	FETCH_SUB,
	FETCH_OR,
	FETCH_AND,
	FETCH_XOR,
	CAS,
};

/* One atomic access by the code under test; order is a memory_order. Gives the value before. A CAS that
 * finds another value than *expected stores that one there; all others leave it alone. PC: who asked. */
struct access {
	enum operation operation;
	unsigned bytes;
	void *address;
	uint64_t operand, *expected;
	int order, failure_order;
	const void *pc;
};
uint64_t memory_access(const struct access *access);

/* What a thread knows of each thread: the number of its events that happened before. */
struct knowledge {
	uint16_t of[THREADS_MAX];
};
const struct knowledge *memory_knowledge(unsigned thread);

void memory_start(void);	       /* of an execution */
uint64_t memory_state(void);	       /* a hash of all that decides how the execution can go on */
size_t memory_shared_count(void);      /* places that threads share, as far as is known */
void memory_print_events(void);	       /* of this execution, on stderr */
uint64_t memory_newest(const void *word, unsigned bytes);

#endif
