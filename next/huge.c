/* SPDX-License-Identifier: MIT */
/* next/huge.c - blocks with a mapping of their own; see huge.h
 *
 * SYNCHRONIZATION: huge_lock is held while a header is looked at through an address that may be anybody's,
 * and while a mapping goes away: a stranger's address in a block's last slot leads to that block's header.
 * No system call that waits for a page is made under it but munmap and mremap themselves.
 */
#include "next/huge.h"

#include "shim/base/atomic.h"
#include "shim/base/check.h"
#include "shim/base/lock.h"
#include "shim/base/map.h"
#include "shim/base/os.h"

struct huge {
	_Atomic size_t block_bytes; /* [huge_lock, but before the map knows of it] a multiple of 4 KiB */
};

static struct lock huge_lock = LOCK_INIT;
static _Atomic size_t huge_blocks, huge_bytes;

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

/* The mapping is there, and the map says so from here on. */
static bool claim(void *block, size_t bytes)
{
	if (!map_claim(block, bytes, MAP_NEXT_HUGE_REST))
		return false;
	if (map_claim(block, 1, MAP_NEXT_HUGE))
		return true;
	map_release(block, bytes);
	return false;
}

/* The map forgets the block while its mapping is still there: once it is gone, anybody's may take the
 * place, and write its own kind into the map. A claimed slot's byte is writable, so this cannot fail. */
static void forget(void *block, size_t bytes)
{
	map_release(block, bytes);
	if (!map_claim(block, 1, MAP_NEXT_HUGE_GONE))
		fatal_internal("a claimed slot is writable", __FILE__, __LINE__);
}

static void remember(void *block, size_t bytes)
{
	if (!claim(block, bytes))
		fatal_internal("a claimed slot is writable", __FILE__, __LINE__);
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
	set_bytes(block, bytes);
	if (!claim(block, bytes)) {
		os_unmap(mapping, OS_PAGE_BYTES + bytes);
		return NULL;
	}
	fetch_add_relaxed(&huge_blocks, 1);
	fetch_add_relaxed(&huge_bytes, bytes);
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

/* [lock: huge_lock] True if a block begins there, false for a stranger. */
static bool is_block(const void *address)
{
	if (map_kind_of(address) == MAP_NEXT_HUGE_GONE) {
		/* Something of the system's may live here by now, and begin at such an address too. */
		if (((uintptr_t)address & MAP_SLOT_MASK) == 0 && !os_is_mapped(address))
			fatal_misuse("free of a block that is free already", address, "double free");
		return false;
	}
	char *block = block_covering(address);
	if (!block)
		return false;
	if (block != address)
		fatal_misuse("free of an address that is not a block's first byte", address,
			     "interior pointer");
	return true;
}

bool huge_free(void *block)
{
	lock_acquire(&huge_lock);
	bool ours = is_block(block);
	if (ours) {
		size_t bytes = bytes_of(block);
		forget(block, bytes);
		fetch_sub_relaxed(&huge_blocks, 1);
		fetch_sub_relaxed(&huge_bytes, bytes);
		os_unmap(header_of(block), OS_PAGE_BYTES + bytes);
	}
	lock_release(&huge_lock);
	return ours;
}

size_t huge_usable_bytes(const void *block)
{
	lock_acquire(&huge_lock);
	size_t bytes = is_block(block) ? bytes_of(block) : 0;
	lock_release(&huge_lock);
	return bytes;
}

/* [lock: huge_lock] Changes the length without moving. */
static bool resize_in_place(char *block, size_t old_bytes, size_t bytes)
{
	char *mapping = (char *)header_of(block);
	if (bytes > old_bytes) {
		if (!os_remap(mapping, OS_PAGE_BYTES + old_bytes, OS_PAGE_BYTES + bytes, NULL))
			return false;
		if (claim(block, bytes))
			return true;
		remember(block, old_bytes);
		os_unmap(block + old_bytes, bytes - old_bytes);
		return false;
	}
	/* Slots that the block leaves are forgotten first, as in forget(). */
	char *rest = (char *)align_up((uintptr_t)block + bytes, MAP_SLOT_BYTES);
	if (rest < block + old_bytes)
		map_release(rest, (size_t)(block + old_bytes - rest));
	set_bytes(block, bytes);
	if (os_unmap(block + bytes, old_bytes - bytes) == 0)
		return true;
	set_bytes(block, old_bytes);
	remember(block, old_bytes);
	return false;
}

/* [lock: huge_lock] Moves the mapping, pages and all, to where there is room. */
static char *resize_by_moving(char *block, size_t old_bytes, size_t bytes)
{
	char *mapping = os_map_aligned(OS_PAGE_BYTES + bytes, MAP_SLOT_BYTES, OS_PAGE_BYTES);
	if (!mapping)
		return NULL;
	char *moved = mapping + OS_PAGE_BYTES;
	if (!claim(moved, bytes)) {
		os_unmap(mapping, OS_PAGE_BYTES + bytes);
		return NULL;
	}
	forget(block, old_bytes);
	if (os_remap(header_of(block), OS_PAGE_BYTES + old_bytes, OS_PAGE_BYTES + bytes, mapping))
		return moved;
	remember(block, old_bytes);
	forget(moved, bytes);
	os_unmap(mapping, OS_PAGE_BYTES + bytes);
	return NULL;
}

void *huge_resize(void *block, size_t bytes)
{
	char *result = NULL;
	if (bytes > PTRDIFF_MAX - 2 * MAP_SLOT_BYTES)
		return NULL;
	bytes = align_up(bytes ? bytes : 1, OS_PAGE_BYTES);
	lock_acquire(&huge_lock);
	if (is_block(block)) {
		size_t old_bytes = bytes_of(block);
		if (bytes == old_bytes || resize_in_place(block, old_bytes, bytes))
			result = block;
		else if (bytes > old_bytes)
			result = resize_by_moving(block, old_bytes, bytes);
		if (result) {
			set_bytes(result, bytes);
			fetch_add_relaxed(&huge_bytes, bytes - old_bytes);
		}
	}
	lock_release(&huge_lock);
	return result;
}

void huge_read_counts(struct huge_counts *counts)
{
	counts->blocks = load_relaxed(&huge_blocks);
	counts->bytes = load_relaxed(&huge_bytes);
}
