/* SPDX-License-Identifier: MIT */
/* legacy/block.h - the inline header, and from a trusted pointer to its page */
#ifndef LEGACY_BLOCK_H
#define LEGACY_BLOCK_H

#include "legacy/counters.h"
#include "legacy/table.h"
#include "legacy/types.h"

INLINE struct block_header *header_of(const void *block)
{
	return (struct block_header *)((uintptr_t)block - HEADER_BYTES);
}

INLINE uint32_t header_magic(const void *block)
{
	return HEADER_MAGIC ^ (uint32_t)((uintptr_t)block >> 4);
}

/* Rank 4 of the plan's bottlenecks: 16 bytes of a line that the program has yet to touch. */
INLINE void header_write(struct legacy_thread *t, void *block, unsigned class, size_t bytes,
			 uint32_t site)
{
	struct block_header *header = header_of(block);
	header->size_bytes = (uint32_t)bytes;
	header->site = site;
	header->class = class;
	header->magic = header_magic(block);
	COUNT(t, headers_written);
}

/* False if something wrote below the block. */
INLINE bool header_intact(const void *block, unsigned class)
{
	const struct block_header *header = header_of(block);
	return header->magic == header_magic(block) && header->class == class;
}

/* The page and the index of a block that one of our own caches holds; so its page is in service. */
INLINE struct legacy_page *locate(struct legacy_thread *t, const void *block, unsigned *index)
{
	struct legacy_page *page = load_relaxed(&legacy_table_find(t, block)->head);
	*index = block_index(page, block);
	return page;
}

#endif
