/* SPDX-License-Identifier: MIT */
/* tests/verify/shadow.c - accesses that are not atomic: unordered ones are found, writes are undone
 *
 * For each byte and thread: the time of the thread's last write and last read, in events of the thread
 * (memory.h). An access lies between two events and has the number of the next one, so whoever knows of
 * that event knows of the access. Two accesses to a byte by two threads, one of them a write, of which the
 * second does not know of the first, are a data race.
 */
#include "tests/verify/shadow.h"

#include "tests/verify/explore.h"
#include "tests/verify/fibers.h"
#include "tests/verify/memory.h"
#include "tests/verify/search.h"

#include <stdio.h>
#include <string.h>

#define CELL_BYTES 8
#define CELLS	   (1 << 16)

struct cell {
	uintptr_t address; /* of its first byte; 0: an empty entry of the table */
	uint32_t saved_in, raced_in; /* executions in which the rest is meant */
	uint64_t saved;
	uint16_t written[THREADS_MAX][CELL_BYTES], read[THREADS_MAX][CELL_BYTES];
};

static struct cell cells[CELLS];
static struct cell *saved[CELLS];
static size_t cell_count, saved_count;
static uint32_t execution;

static struct cell *cell_at(uintptr_t address)
{
	size_t i = mix(address) % CELLS;
	while (cells[i].address && cells[i].address != address)
		i = (i + 1) % CELLS;
	if (!cells[i].address && ++cell_count > CELLS / 2)
		explore_fail("the explorer's own fault: too much memory in use");
	cells[i].address = address;
	return &cells[i];
}

void shadow_save(void *address, size_t bytes)
{
	uintptr_t end = (uintptr_t)address + bytes;
	for (uintptr_t at = (uintptr_t)address & ~(uintptr_t)(CELL_BYTES - 1);
	     execution && at < end; at += CELL_BYTES) {
		struct cell *cell = cell_at(at);
		if (cell->saved_in == execution)
			continue;
		cell->saved_in = execution;
		memcpy(&cell->saved, (const void *)at, CELL_BYTES);
		saved[saved_count++] = cell;
	}
}

static void check_byte(const uint16_t times[THREADS_MAX][CELL_BYTES], size_t byte, unsigned self,
		       uintptr_t address)
{
	const struct knowledge *mine = memory_knowledge(self);
	for (unsigned t = 0; t < THREADS_MAX; t++) {
		if (t == self || times[t][byte] <= mine->of[t])
			continue;
		char text[96];
		snprintf(text, sizeof(text), "a data race of T%u and T%u at %#jx", t + 1, self + 1,
			 (uintmax_t)(address + byte));
		explore_fail(text);
	}
}

static void use(uintptr_t address, size_t bytes, bool writes)
{
	unsigned self = explore_self() - 1;
	uint16_t now = (uint16_t)(memory_knowledge(self)->of[self] + 1);
	for (uintptr_t at = address & ~(uintptr_t)(CELL_BYTES - 1); at < address + bytes;
	     at += CELL_BYTES) {
		struct cell *cell = cell_at(at);
		if (cell->raced_in != execution) {
			cell->raced_in = execution;
			memset(cell->written, 0, sizeof(cell->written));
			memset(cell->read, 0, sizeof(cell->read));
		}
		for (size_t byte = 0; byte < CELL_BYTES; byte++) {
			if (at + byte < address || at + byte >= address + bytes)
				continue;
			check_byte((const uint16_t(*)[CELL_BYTES])cell->written, byte, self, at);
			if (writes)
				check_byte((const uint16_t(*)[CELL_BYTES])cell->read, byte, self, at);
			(writes ? cell->written : cell->read)[self][byte] = now;
		}
	}
}

static bool is_a_threads_own(const void *address)
{
	return explore_self() == 0 || fibers_own(address);
}

void shadow_read(const void *address, size_t bytes)
{
	fibers_step();
	if (!is_a_threads_own(address))
		use((uintptr_t)address, bytes, false);
}

void shadow_write(void *address, size_t bytes)
{
	fibers_step();
	if (fibers_own(address))
		return;
	if (explore_self() != 0)
		use((uintptr_t)address, bytes, true);
	shadow_save(address, bytes);
}

void shadow_start(void)
{
	execution++;
}

void shadow_undo(void)
{
	while (saved_count > 0) {
		struct cell *cell = saved[--saved_count];
		memcpy((void *)cell->address, &cell->saved, CELL_BYTES);
	}
}
