/* SPDX-License-Identifier: MIT */
/* shim/guarded.c - guard pages for a sample of blocks; see guarded.h
 *
 *   one slot of the address map, 4 MiB:
 *   | none | page 0 | none | page 1 | none | ... | page 510 | none ...
 *
 * SYNCHRONIZATION: a page belongs to whoever moved its state from FREE or FREED to BUSY, or from LIVE to
 * BUSY. Its other fields are written while it is BUSY, and read by the owner of the block, or by the handler
 * of a fault, which reports what it finds.
 */
#include "shim/guarded.h"

#include "next/misuse.h"
#include "shim/base/atomic.h"
#include "shim/base/check.h"
#include "shim/base/map.h"
#include "shim/quarantine.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define GUARDED_PAGES 511
#define CANARY	      0xc7

enum state { FREE = 0, BUSY, LIVE, FREED };

struct guarded_page {
	_Atomic unsigned state;	 /* enum state */
	char *_Atomic block;	 /* [owner writes] where the last one began */
	_Atomic unsigned class;	 /* [owner writes] that its size is in */
	struct guarded_block is; /* [owner] */
};

static struct guarded_page pages[GUARDED_PAGES];
static char *_Atomic region; /* [const once there] 4 MiB, aligned */
static _Atomic uint32_t turn; /* the next page to be tried: round and round, so the last freed comes last */
static struct sigaction before; /* [const after start] */

static char *page_at(size_t number)
{
	/* acquire: pairs with the release in guarded_start() */
	return load_acquire(&region) + (2 * number + 1) * OS_PAGE_BYTES;
}

/* --- faults --------------------------------------------------------------------------------------- */

/* In the fault of a thread that touched the region. */
static COLD void report_fault(const char *address)
{
	size_t page = (size_t)(address - load_relaxed(&region)) / OS_PAGE_BYTES;
	/* Pages with even numbers are guards: whose block is nearer? */
	size_t behind = page / 2, here = page & 1 ? page / 2 : behind;
	if (page & 1) {
		if (here < GUARDED_PAGES && load_relaxed(&pages[here].state) == FREED)
			fatal_misuse("use of a block that is free", address, "found by a guard page");
	} else {
		bool first_half = (uintptr_t)address % OS_PAGE_BYTES < OS_PAGE_BYTES / 2;
		if (first_half && behind > 0 && load_relaxed(&pages[behind - 1].state) == LIVE)
			fatal_misuse("access past the end of a block", address, "found by a guard page");
		if (behind < GUARDED_PAGES && load_relaxed(&pages[behind].state) == LIVE)
			fatal_misuse("access before the start of a block", address, "found by a guard page");
	}
	fatal_misuse("access to no block at all", address, "found by a guard page");
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	char *base = load_relaxed(&region);
	uintptr_t address = (uintptr_t)info->si_addr;
	(void)context;
	if (address >= (uintptr_t)base && address < (uintptr_t)base + MAP_SLOT_BYTES)
		report_fault(info->si_addr);
	if (quarantine_covers(info->si_addr))
		fatal_misuse("use of a block that is free", info->si_addr, "its pages were taken away");
	/* Not ours: what was there before has its turn when the instruction is tried again. */
	sigaction(number, &before, NULL);
}

void guarded_start(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	char *base = os_map_aligned(MAP_SLOT_BYTES, MAP_SLOT_BYTES, 0);
	if (!base)
		return;
	if (os_make_untouchable(base, MAP_SLOT_BYTES) != 0 ||
	    !map_claim(base, MAP_SLOT_BYTES, MAP_NEXT_GUARDED)) {
		os_unmap(base, MAP_SLOT_BYTES);
		return;
	}
	sigemptyset(&action.sa_mask);
	sigaction(SIGSEGV, &action, &before);
	/* release: pairs with the acquires that look for it */
	store_release(&region, base);
}

/* --- blocks --------------------------------------------------------------------------------------- */

static bool claim(struct guarded_page *page)
{
	unsigned state = load_relaxed(&page->state);
	/* acquire: pairs with the release in guarded_free() */
	return (state == FREE || state == FREED) && cas_acquire(&page->state, &state, BUSY);
}

static char *place(char *page, size_t bytes, size_t alignment, bool at_end)
{
	size_t step = alignment > 16 ? alignment : 16;
	return at_end ? page + ((OS_PAGE_BYTES - (bytes + !bytes)) & ~(step - 1)) : page;
}

void *guarded_malloc(size_t bytes, size_t alignment)
{
	/* acquire: pairs with the release in guarded_start() */
	if (!load_acquire(&region))
		return NULL;
	for (unsigned tries = 0; tries < 8; tries++) {
		uint32_t number = fetch_add_relaxed(&turn, 1);
		struct guarded_page *page = &pages[number % GUARDED_PAGES];
		char *memory = page_at(number % GUARDED_PAGES);
		if (!claim(page))
			continue;
		if (os_make_writable(memory, OS_PAGE_BYTES) != 0) {
			store_release(&page->state, FREE);
			return NULL;
		}
		char *block = place(memory, bytes, alignment, number & 1);
		/* Behind a block that does not end where the page does there are bytes to be written over. */
		memset(block + bytes, CANARY, (size_t)(memory + OS_PAGE_BYTES - (block + bytes)));
		page->is = (struct guarded_block){ .bytes = bytes, .alignment = alignment };
		store_relaxed(&page->class, next_class_of(bytes));
		store_relaxed(&page->block, block);
		/* release: pairs with the acquire in page_of_block() */
		store_release(&page->state, LIVE);
		return block;
	}
	return NULL;
}

/* NULL where an address lies in none. */
static struct guarded_page *page_around(const void *address)
{
	size_t number = (size_t)((const char *)address - load_relaxed(&region)) / OS_PAGE_BYTES;
	return number & 1 && number / 2 < GUARDED_PAGES ? &pages[number / 2] : NULL;
}

void guarded_misuse(const void *block, const char *what, const char *detail)
{
	struct guarded_page *page = page_around(block);
	misuse_found_in(page ? load_relaxed(&page->class) : NEXT_CLASSES, what, block, detail);
}

/* The page whose block begins there; NULL if none does, and that was survived. */
static struct guarded_page *page_of_block(const void *block)
{
	struct guarded_page *page = page_around(block);
	if (!page) {
		guarded_misuse(block, "free of an address in no page",
			       "freed twice, or never allocated");
		return NULL;
	}
	/* acquire: pairs with the release in guarded_malloc() */
	unsigned state = load_acquire(&page->state);
	if (load_relaxed(&page->block) != block)
		guarded_misuse(block, "free of an address that is not a block's first byte",
			       "interior pointer");
	else if (state != LIVE)
		guarded_misuse(block, "free of a block that is free already", "double free");
	else
		return page;
	return NULL;
}

bool guarded_look(const void *block, struct guarded_block *is)
{
	struct guarded_page *page = page_of_block(block);
	if (!page)
		return false;
	*is = page->is;
	const unsigned char *behind = (const unsigned char *)block + is->bytes;
	for (; (uintptr_t)behind % OS_PAGE_BYTES; behind++)
		if (*behind != CANARY) {
			guarded_misuse(block, "write past the end of a block",
				       "found by the canary behind it");
			return false;
		}
	return true;
}

bool guarded_shrink(void *block, size_t bytes)
{
	struct guarded_page *page = page_of_block(block);
	if (!page || bytes > page->is.bytes)
		return false;
	memset((char *)block + bytes, CANARY, page->is.bytes - bytes);
	page->is.bytes = bytes;
	return true;
}

void guarded_mark_aligned_new(void *block, size_t alignment)
{
	struct guarded_page *page = page_of_block(block);
	if (!page)
		return;
	page->is.alignment = alignment;
	page->is.from_new = true;
}

void guarded_free(void *block)
{
	struct guarded_page *page = page_of_block(block);
	unsigned state = LIVE;
	char *memory = (char *)((uintptr_t)block & ~(OS_PAGE_BYTES - 1));
	if (!page)
		return;
	/* acq_rel: of two frees that race one gets the page */
	if (!cas_acq_rel(&page->state, &state, BUSY)) {
		guarded_misuse(block, "free of a block that is free already", "double free");
		return;
	}
	/* Gone first, so that the next block there begins with zeroes. */
	bool gone = os_purge(memory, OS_PAGE_BYTES) == 0 &&
		    os_make_untouchable(memory, OS_PAGE_BYTES) == 0;
	/* release: pairs with claim(). A page that the kernel does not take back is not used again. */
	store_release(&page->state, gone ? FREED : BUSY);
}
