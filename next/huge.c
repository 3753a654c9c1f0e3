/* SPDX-License-Identifier: MIT */
/* next/huge.c - blocks with a mapping of their own; see huge.h
 *
 * SYNCHRONIZATION: huge_lock is held while a header is looked at through an address that may be anybody's,
 * and while a mapping goes away: a stranger's address in a block's last slot leads to that block's header.
 * No system call that waits for a page is made under it but munmap and mremap themselves.
 */
#include "next/huge.h"

#include "next/misuse.h"
#include "next/next.h"
#include "shim/base/atomic.h"
#include "shim/base/lock.h"
#include "shim/base/map.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"

#include <errno.h>

struct huge {
	_Atomic size_t block_bytes; /* [huge_lock, but before the map knows of it] a multiple of 4 KiB */
	struct huge *next_unreturned;	/* [huge_lock] */
};

static struct lock huge_lock = LOCK_INIT;
static _Atomic uint64_t huge_mallocs;
static _Atomic size_t huge_blocks, huge_bytes;
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

/* [lock: huge_lock] Gives the mapping of a block that the map does not know back. If the kernel refuses
 * (a process has only so many mappings), then at least its memory, and the rest at the next try. */
static void give_back(void *block, size_t bytes)
{
	set_bytes(block, bytes);
	header_of(block)->next_unreturned = unreturned;
	unreturned = header_of(block);
	while (unreturned) {
		struct huge *first = unreturned, *after = first->next_unreturned;
		bytes = load_relaxed(&first->block_bytes);
		if (os_unmap(first, OS_PAGE_BYTES + bytes) != 0) {
			int refused = os_purge((char *)first + OS_PAGE_BYTES, bytes);
			(void)refused; /* then it stays as it is */
			return;
		}
		PROBE2(segment_unmapped, (char *)first + OS_PAGE_BYTES, bytes);
		unreturned = after;
	}
}

void *huge_malloc(size_t bytes, size_t alignment)
{
	if (alignment < MAP_SLOT_BYTES)
		alignment = MAP_SLOT_BYTES;
	if (bytes > PTRDIFF_MAX - alignment - 2 * OS_PAGE_BYTES)
		return NULL;
	bytes = align_up(bytes ? bytes : 1, OS_PAGE_BYTES);
	char *mapping = os_map_aligned(OS_PAGE_BYTES + bytes, alignment, OS_PAGE_BYTES);
	if (!mapping)
		return NULL;
	void *block = mapping + OS_PAGE_BYTES;
	if (!map_prepare(block, bytes)) {
		lock_acquire(&huge_lock);
		give_back(block, bytes);
		lock_release(&huge_lock);
		return NULL;
	}
	set_bytes(block, bytes);
	remember(block, bytes);
	fetch_add_relaxed(&huge_mallocs, 1);
	fetch_add_relaxed(&huge_blocks, 1);
	fetch_add_relaxed(&huge_bytes, bytes);
	PROBE2(segment_mapped, block, bytes);
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
	return (const char *)address < block + bytes_of(block) ? block : NULL;
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
	return BLOCK;
}

bool huge_free(void *block)
{
	lock_acquire(&huge_lock);
	enum found found = find(block);
	if (found == BLOCK) {
		size_t bytes = bytes_of(block);
		forget(block, bytes);
		fetch_sub_relaxed(&huge_blocks, 1);
		fetch_sub_relaxed(&huge_bytes, bytes);
		give_back(block, bytes);
	}
	lock_release(&huge_lock);
	return found != STRANGER;
}

size_t huge_usable_bytes(const void *block)
{
	lock_acquire(&huge_lock);
	enum found found = find(block);
	size_t bytes = found == BLOCK ? bytes_of(block) : found == STRANGER ? 0 : NEXT_MISUSED;
	lock_release(&huge_lock);
	return bytes;
}

/* [lock: huge_lock] Changes the length without moving; 0 or a negative errno, and nothing changed. */
static int resize_in_place(char *block, size_t old_bytes, size_t bytes)
{
	int error;
	if (bytes > old_bytes) {
		if (!map_prepare(block, bytes))
			return -EAGAIN;
		error = os_remap(header_of(block), OS_PAGE_BYTES + old_bytes, OS_PAGE_BYTES + bytes,
				 NULL);
		if (error == 0)
			remember(block, bytes);
		return error;
	}
	/* Slots that the block leaves are forgotten first, as in forget(). */
	char *rest = (char *)align_up((uintptr_t)block + bytes, MAP_SLOT_BYTES);
	if (rest < block + old_bytes)
		map_release(rest, (size_t)(block + old_bytes - rest));
	set_bytes(block, bytes);
	error = os_unmap(block + bytes, old_bytes - bytes);
	if (error != 0) {
		set_bytes(block, old_bytes);
		remember(block, old_bytes);
	}
	return error;
}

/* [lock: huge_lock] Moves the mapping, pages and all, to where there is room. Only after resize_in_place()
 * failed for want of room: mremap() unmaps the place it is to go to before it looks for other reasons to
 * refuse, such as a block that the program split by its own madvise() or mprotect(), and whoever maps
 * something then may be given that place. So the map knows of the new place when the block is there. */
static char *resize_by_moving(char *block, size_t old_bytes, size_t bytes)
{
	char *mapping = os_map_aligned(OS_PAGE_BYTES + bytes, MAP_SLOT_BYTES, OS_PAGE_BYTES);
	if (!mapping)
		return NULL;
	char *moved = mapping + OS_PAGE_BYTES;
	if (!map_prepare(moved, bytes)) {
		give_back(moved, bytes);
		return NULL;
	}
	forget(block, old_bytes);
	if (os_remap(header_of(block), OS_PAGE_BYTES + old_bytes, OS_PAGE_BYTES + bytes, mapping) !=
	    0) {
		remember(block, old_bytes);
		os_unmap(mapping, OS_PAGE_BYTES + bytes);
		return NULL;
	}
	remember(moved, bytes);
	return moved;
}

void *huge_resize(void *block, size_t bytes)
{
	char *result = NULL;
	if (bytes > PTRDIFF_MAX - 2 * MAP_SLOT_BYTES)
		return NULL;
	bytes = align_up(bytes ? bytes : 1, OS_PAGE_BYTES);
	lock_acquire(&huge_lock);
	if (find(block) == BLOCK) {
		size_t old_bytes = bytes_of(block);
		int error = bytes == old_bytes ? 0 : resize_in_place(block, old_bytes, bytes);
		if (error == 0)
			result = block;
		else if (bytes > old_bytes && error == -ENOMEM)
			result = resize_by_moving(block, old_bytes, bytes);
		if (result) {
			set_bytes(result, bytes);
			fetch_add_relaxed(&huge_bytes, bytes - old_bytes);
		}
	}
	lock_release(&huge_lock);
	return result;
}

void huge_count_span(void)
{
	fetch_add_relaxed(&huge_mallocs, 1);
}

void huge_read_counts(struct huge_counts *counts)
{
	counts->blocks = load_relaxed(&huge_blocks);
	counts->bytes = load_relaxed(&huge_bytes);
	counts->mallocs = load_relaxed(&huge_mallocs);
}
