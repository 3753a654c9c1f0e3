/* SPDX-License-Identifier: MIT */
/* legacy/table.c - the uthash table of page descriptors; see table.h */
#include "legacy/table.h"

#include "legacy/counters.h"
#include "shim/base/check.h"
#include "shim/base/os.h"

/* A struct lock and not a pthread mutex: it knows its owner, which the child of a fork out of a
 * signal handler needs (see lock.h). The same holds for every lock of legacy. */
static struct {
	CACHE_ALIGN struct lock lock;
	struct legacy_page *root; /* [lock] */
} table;

void legacy_table_init(void)
{
	lock_join_fork(&table.lock, 1, sizeof(table.lock));
}

bool legacy_table_interrupted(void)
{
	return lock_held_by_self(&table.lock);
}

/* uthash asks for a header once and for arrays of buckets that double, so there are never more than
 * three pieces: each may have pages of its own. */
void *legacy_table_memory(size_t bytes)
{
	return os_map(NULL, align_up(bytes, OS_PAGE_BYTES));
}

void legacy_table_memory_back(void *p, size_t bytes)
{
	os_unmap(p, align_up(bytes, OS_PAGE_BYTES));
}

struct legacy_page *legacy_table_find(struct legacy_thread *t, const void *address)
{
	uintptr_t number = (uintptr_t)address >> PAGE_SHIFT;
	struct legacy_page *page;
	COUNT(t, hash_lookups);
	if (lock_acquire(&table.lock))
		COUNT(t, table_waits);
	HASH_FIND(hh, table.root, &number, sizeof(number), page);
	lock_release(&table.lock);
	return page;
}

static bool add_page(struct legacy_page *page)
{
	bool out_of_memory = false;
	HASH_ADD(hh, table.root, number, sizeof(page->number), page);
	return !out_of_memory;
}

static void remove_page(struct legacy_page *page)
{
	HASH_DELETE(hh, table.root, page);
}

bool legacy_table_add(struct legacy_chunk *chunk)
{
	unsigned added = 0;
	lock_acquire(&table.lock);
	while (added < CHUNK_PAGES && add_page(&chunk->pages[added]))
		added++;
	bool all = added == CHUNK_PAGES;
	while (!all && added > 0)
		remove_page(&chunk->pages[--added]);
	lock_release(&table.lock);
	return all;
}
