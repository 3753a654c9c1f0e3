/* SPDX-License-Identifier: MIT */
/* next/huge.c - blocks with a mapping of their own; see huge.h
 *
 * SYNCHRONIZATION: huge_lock is held while a header is looked at through an address that may be anybody's,
 * and while a mapping goes away: a stranger's address in a block's last slot leads to that block's header.
 * No system call that waits for a page is made under it but mmap, munmap, mremap and madvise themselves.
 */
#include "next/huge.h"

#include "next/misuse.h"
#include "next/next.h"
#include "next/types.h"
#include "shim/base/atomic.h"
#include "shim/base/lock.h"
#include "shim/base/map.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"

#include <errno.h>

struct huge {
	/* [huge_lock, but before the map knows of it] a multiple of 4 KiB; 0 while the block is free */
	_Atomic size_t block_bytes;
	size_t mapped_bytes; /* [huge_lock] behind the header: those of the block, and what is kept */
	struct huge *newer, *older; /* [huge_lock] in the list of mappings that keep something */
	uint32_t since;		    /* [huge_lock] the tick from which on it does */
	bool listed;		    /* [huge_lock] in that list: not if munmap() refused to take its rest */
	struct huge *next_unreturned; /* [huge_lock] */
};

/* --- what is kept ------------------------------------------------------------------------------
 *
 * The mapping of a freed block is kept for the next one, and so is what a smaller block leaves of a mapping
 * that it was given: a block grows into that by realloc() without a call of the system's and without a
 * fault; so does what was freed, for a block that is somewhat larger. The policy is that of slices (segment.c): live and kept
 * bytes together stay below the most that was live at once and an eighth of it, and what nobody wanted for half a second goes
 * back.
 */
#define LOOK_AT 64 /* kept mappings at most, when one is looked for */

static struct lock huge_lock = LOCK_INIT;
static _Atomic uint64_t huge_mallocs;	       /* so far */
static _Atomic size_t huge_blocks, huge_bytes; /* live */
static size_t high_water;	  /* [huge_lock] the most of huge_bytes since kept memory last went back */
static _Atomic size_t kept_bytes; /* [huge_lock; statistics read it any time] */
static struct huge *newest, *oldest; /* [huge_lock] */
static _Atomic uint32_t last_look;   /* [any thread] tick of huge_purge_old() */
static struct huge *unreturned; /* [huge_lock] mappings that munmap() refused so far */

void huge_init(void)
{
	lock_join_fork(&huge_lock, 1, sizeof(huge_lock));
}

static struct huge *header_of(const void *block)
{
	return (struct huge *)((uintptr_t)block - OS_PAGE_BYTES);
}

static size_t bytes_of(const void *block)
{
	return load_relaxed(&header_of(block)->block_bytes);
}

static void set_bytes(void *block, size_t bytes)
{
	store_relaxed(&header_of(block)->block_bytes, bytes);
}

static char *block_of(struct huge *huge)
{
	return (char *)huge + OS_PAGE_BYTES;
}

/* The map says that the block is there; the table has room for that, see map_prepare(). */
static void remember(void *block, size_t bytes)
{
	map_set(block, bytes, MAP_NEXT_HUGE_REST);
	map_set(block, 1, MAP_NEXT_HUGE);
}

/* The map forgets the block while its mapping is still there: once it is gone, anybody's may take the
 * place, and write its own kind into the map. */
static void forget(void *block, size_t bytes)
{
	map_release(block, bytes);
	map_set(block, 1, MAP_NEXT_HUGE_GONE);
}

/* [lock: huge_lock] Gives a mapping that the map does not know back. If the kernel refuses (a process has
 * only so many mappings), then at least its memory, and the rest at the next try. */
static void give_back(struct huge *huge)
{
	huge->next_unreturned = unreturned;
	unreturned = huge;
	while (unreturned) {
		struct huge *first = unreturned, *after = first->next_unreturned;
		size_t bytes = first->mapped_bytes;
		if (os_unmap(first, OS_PAGE_BYTES + bytes) != 0) {
			int refused = os_purge(block_of(first), bytes);
			(void)refused; /* then it stays as it is */
			return;
		}
		PROBE2(segment_unmapped, (char *)first + OS_PAGE_BYTES, bytes);
		unreturned = after;
	}
}

static size_t rest_of(const struct huge *huge)
{
	return huge->mapped_bytes - load_relaxed(&huge->block_bytes);
}

/* [lock: huge_lock] The block has less than its whole mapping now, or is free. */
static void keep_rest(struct huge *huge)
{
	if (rest_of(huge) == 0)
		return;
	huge->listed = true;
	store_relaxed(&kept_bytes, load_relaxed(&kept_bytes) + rest_of(huge));
	huge->since = os_ticks();
	huge->newer = NULL;
	huge->older = newest;
	*(newest ? &newest->newer : &oldest) = huge;
	newest = huge;
}

/* [lock: huge_lock] */
static void take_rest(struct huge *huge)
{
	if (!huge->listed)
		return;
	huge->listed = false;
	store_relaxed(&kept_bytes, load_relaxed(&kept_bytes) - rest_of(huge));
	*(huge->newer ? &huge->newer->older : &newest) = huge->older;
	*(huge->older ? &huge->older->newer : &oldest) = huge->newer;
}

/* [lock: huge_lock] The mapping ends after `bytes`. 0 or a negative errno, and nothing changed. */
static int cut(struct huge *huge, size_t bytes)
{
	char *end = block_of(huge) + huge->mapped_bytes;
	/* Slots that the mapping leaves are forgotten first, as in forget(). */
	char *rest = (char *)align_up((uintptr_t)block_of(huge) + bytes, MAP_SLOT_BYTES);
	if (rest < end)
		map_release(rest, (size_t)(end - rest));
	int error = os_unmap(block_of(huge) + bytes, huge->mapped_bytes - bytes);
	if (error != 0)
		remember(block_of(huge), huge->mapped_bytes);
	else
		huge->mapped_bytes = bytes;
	return error;
}

/* [lock: huge_lock] */
static void give_rest_back(struct huge *huge)
{
	size_t live = load_relaxed(&huge->block_bytes);
	take_rest(huge);
	if (live == 0) {
		forget(block_of(huge), huge->mapped_bytes);
		give_back(huge);
	} else if (cut(huge, live) != 0) {
		int refused = os_purge(block_of(huge) + live, huge->mapped_bytes - live);
		(void)refused; /* then it stays as it is, until the block is freed */
	}
}

/* [lock: huge_lock] */
static void count_live(size_t more, size_t less)
{
	size_t live = load_relaxed(&huge_bytes) + more - less;
	store_relaxed(&huge_bytes, live);
	if (live > high_water)
		high_water = live;
}

/* [lock: huge_lock] What is too old or too much goes back, the oldest first. */
static void purge_kept(void)
{
	uint32_t now = oldest ? os_ticks() : 0;
	size_t live = load_relaxed(&huge_bytes);
	while (oldest && (now - oldest->since >= NEXT_RESERVE_TICKS ||
			  load_relaxed(&kept_bytes) > high_water - live + high_water / 8)) {
		size_t left = live + load_relaxed(&kept_bytes) - rest_of(oldest);
		if (now - oldest->since >= NEXT_RESERVE_TICKS && left < high_water)
			high_water = left;
		give_rest_back(oldest);
	}
}

/* [lock: huge_lock] Makes a mapping that keeps nothing longer, where it is; 0 or a negative errno, and nothing
 * changed. */
static int extend(struct huge *huge, size_t bytes)
{
	if (!map_prepare(block_of(huge), bytes))
		return -EAGAIN;
	int error = os_remap(huge, OS_PAGE_BYTES + huge->mapped_bytes, OS_PAGE_BYTES + bytes, NULL);
	if (error == 0) {
		huge->mapped_bytes = bytes;
		remember(block_of(huge), bytes);
	}
	return error;
}

/* [lock: huge_lock] Moves the mapping, pages and all, to where there is room. Only after extend() failed for
 * want of room: mremap() unmaps the place it is to go to before it looks for other reasons to refuse, such
 * as a block that the program split by its own madvise() or mprotect(), and whoever maps something then may
 * be given that place. So the map knows of the new place when the block is there. */
static struct huge *extend_by_moving(struct huge *huge, size_t bytes)
{
	size_t old_bytes = huge->mapped_bytes;
	struct huge *moved = os_map_aligned(OS_PAGE_BYTES + bytes, MAP_SLOT_BYTES, OS_PAGE_BYTES);
	if (!moved)
		return NULL;
	moved->mapped_bytes = bytes;
	if (!map_prepare(block_of(moved), bytes)) {
		give_back(moved);
		return NULL;
	}
	forget(block_of(huge), old_bytes);
	if (os_remap(huge, OS_PAGE_BYTES + old_bytes, OS_PAGE_BYTES + bytes, moved) != 0) {
		remember(block_of(huge), old_bytes);
		os_unmap(moved, OS_PAGE_BYTES + bytes);
		return NULL;
	}
	moved->mapped_bytes = bytes;
	remember(block_of(moved), bytes);
	PROBE2(segment_unmapped, block_of(huge), old_bytes);
	PROBE2(segment_mapped, block_of(moved), bytes);
	return moved;
}

/* [lock: huge_lock] Gives a block that keeps nothing another length; where it is then, or NULL. */
static struct huge *resize(struct huge *huge, size_t bytes)
{
	if (bytes < load_relaxed(&huge->block_bytes))
		return cut(huge, bytes) == 0 ? huge : NULL;
	if (bytes <= huge->mapped_bytes)
		return huge;
	int error = extend(huge, bytes);
	if (error == -ENOMEM)
		return extend_by_moving(huge, bytes);
	return error == 0 ? huge : NULL;
}

/* [lock: huge_lock] A free mapping with that much room, the smallest of those looked at; else the largest of them that has half
 * of it, to be made longer; NULL if there is none. */
static struct huge *find_kept(size_t bytes, size_t alignment)
{
	struct huge *best = NULL;
	unsigned looked = 0;
	/* One that moves comes to be aligned to a slot only. */
	size_t least = alignment > MAP_SLOT_BYTES ? bytes : bytes / 2;
	for (struct huge *huge = newest; huge && looked < LOOK_AT; huge = huge->older, looked++) {
		size_t room = huge->mapped_bytes, best_room = best ? best->mapped_bytes : 0;
		if (load_relaxed(&huge->block_bytes) != 0 || room < least ||
		    (uintptr_t)block_of(huge) % alignment != 0)
			continue;
		if (best_room < bytes ? room > best_room : room >= bytes && room < best_room)
			best = huge;
	}
	return best;
}

/* A mapping that is too short is made longer: what it has need not be faulted in anew. */
static void *malloc_kept(size_t bytes, size_t alignment)
{
	if (load_relaxed(&kept_bytes) < bytes / 2)
		return NULL;
	lock_acquire(&huge_lock);
	struct huge *kept = find_kept(bytes, alignment), *huge = NULL;
	if (kept) {
		take_rest(kept);
		huge = resize(kept, bytes);
	}
	if (huge) {
		set_bytes(block_of(huge), bytes);
		count_live(bytes, 0);
		fetch_add_relaxed(&huge_blocks, 1);
		keep_rest(huge);
	} else if (kept) {
		/* Nor will it grow for the next one, who may need its address space. */
		forget(block_of(kept), kept->mapped_bytes);
		give_back(kept);
	}
	purge_kept();
	lock_release(&huge_lock);
	return huge ? block_of(huge) : NULL;
}

static void *malloc_fresh(size_t bytes, size_t alignment)
{
	struct huge *huge = os_map_aligned(OS_PAGE_BYTES + bytes, alignment, OS_PAGE_BYTES);
	if (!huge)
		return NULL;
	void *block = block_of(huge);
	bool prepared = map_prepare(block, bytes);
	huge->mapped_bytes = bytes;
	lock_acquire(&huge_lock);
	if (prepared) {
		set_bytes(block, bytes);
		remember(block, bytes);
		count_live(bytes, 0);
		fetch_add_relaxed(&huge_blocks, 1);
		purge_kept();
	} else {
		give_back(huge);
	}
	lock_release(&huge_lock);
	if (prepared)
		PROBE2(segment_mapped, block, bytes);
	return prepared ? block : NULL;
}

void *huge_malloc(size_t bytes, size_t alignment, bool *zero)
{
	if (alignment < MAP_SLOT_BYTES)
		alignment = MAP_SLOT_BYTES;
	if (bytes > PTRDIFF_MAX - alignment - 2 * OS_PAGE_BYTES)
		return NULL;
	bytes = align_up(bytes ? bytes : 1, OS_PAGE_BYTES);
	void *block = malloc_kept(bytes, alignment);
	*zero = !block;
	if (!block)
		block = malloc_fresh(bytes, alignment);
	fetch_add_relaxed(&huge_mallocs, block != NULL);
	return block;
}

/* [lock: huge_lock] The block that covers the address; NULL for a stranger. */
static char *block_covering(const void *address)
{
	uintptr_t slot = (uintptr_t)address >> MAP_SLOT_SHIFT;
	while (map_kind_of((void *)(slot << MAP_SLOT_SHIFT)) == MAP_NEXT_HUGE_REST)
		slot--;
	char *block = (char *)(slot << MAP_SLOT_SHIFT);
	if (map_kind_of(block) != MAP_NEXT_HUGE)
		return NULL;
	return (const char *)address < block + header_of(block)->mapped_bytes ? block : NULL;
}

enum found { STRANGER, BLOCK, MISUSED };

/* [lock: huge_lock] A handler of SIGABRT may well allocate: the lock is not held when it runs. Where misuse is survived
 * nothing is done to what begins there, or does not. */
static COLD enum found misuse(const char *what, const void *address, const char *detail)
{
	lock_release(&huge_lock);
	misuse_found_in(NEXT_CLASS_HUGE, what, address, detail);
	lock_acquire(&huge_lock);
	return MISUSED;
}

/* [lock: huge_lock] Whether a block begins there. */
static enum found find(const void *address)
{
	if (map_kind_of(address) == MAP_NEXT_HUGE_GONE) {
		/* Something of the system's may live here by now; nothing does where nothing is mapped,
		 * and the system would fault on it. */
		if (!os_is_mapped(address))
			return misuse("free of a block that is free already", address,
				      "double free");
		return STRANGER;
	}
	char *block = block_covering(address);
	if (!block)
		return STRANGER;
	if (block != address)
		return misuse("free of an address that is not a block's first byte", address,
			      "interior pointer");
	if (bytes_of(block) == 0)
		return misuse("free of a block that is free already", address, "double free");
	return BLOCK;
}

bool huge_free(void *block)
{
	lock_acquire(&huge_lock);
	enum found found = find(block);
	if (found == BLOCK) {
		struct huge *huge = header_of(block);
		take_rest(huge);
		count_live(0, bytes_of(block));
		fetch_sub_relaxed(&huge_blocks, 1);
		set_bytes(block, 0);
		keep_rest(huge);
		purge_kept();
	}
	lock_release(&huge_lock);
	return found != STRANGER;
}

bool huge_covers(const void *address)
{
	lock_acquire(&huge_lock);
	bool covers = block_covering(address) != NULL;
	lock_release(&huge_lock);
	return covers;
}

size_t huge_usable_bytes(const void *block)
{
	lock_acquire(&huge_lock);
	enum found found = find(block);
	size_t bytes = found == BLOCK ? bytes_of(block) : found == STRANGER ? 0 : NEXT_MISUSED;
	lock_release(&huge_lock);
	return bytes;
}

void *huge_resize(void *block, size_t bytes)
{
	struct huge *resized = NULL;
	if (bytes > PTRDIFF_MAX - 2 * MAP_SLOT_BYTES)
		return NULL;
	bytes = align_up(bytes ? bytes : 1, OS_PAGE_BYTES);
	lock_acquire(&huge_lock);
	if (find(block) == BLOCK) {
		struct huge *huge = header_of(block);
		size_t old_bytes = bytes_of(block);
		take_rest(huge);
		resized = resize(huge, bytes);
		if (resized) {
			set_bytes(block_of(resized), bytes);
			count_live(bytes, old_bytes);
		}
		keep_rest(resized ? resized : huge);
		purge_kept();
	}
	lock_release(&huge_lock);
	return resized ? block_of(resized) : NULL;
}

size_t huge_count(void)
{
	return load_relaxed(&huge_blocks);
}

size_t huge_purge_all(void)
{
	lock_acquire(&huge_lock);
	size_t kept = load_relaxed(&kept_bytes);
	while (oldest)
		give_rest_back(oldest);
	high_water = load_relaxed(&huge_bytes);
	lock_release(&huge_lock);
	return kept;
}

void huge_purge_old(void)
{
	/* relaxed: hints; what was kept this moment is not old, and one thread is enough */
	if (load_relaxed(&kept_bytes) == 0)
		return;
	uint32_t now = os_ticks();
	if (now - load_relaxed(&last_look) < NEXT_RESERVE_TICKS / 4)
		return;
	store_relaxed(&last_look, now);
	lock_acquire(&huge_lock);
	purge_kept();
	lock_release(&huge_lock);
}

void huge_count_span(void)
{
	fetch_add_relaxed(&huge_mallocs, 1);
}

void huge_read_counts(struct huge_counts *counts)
{
	counts->blocks = load_relaxed(&huge_blocks);
	counts->bytes = load_relaxed(&huge_bytes);
	counts->kept_bytes = load_relaxed(&kept_bytes);
	counts->mallocs = load_relaxed(&huge_mallocs);
}
