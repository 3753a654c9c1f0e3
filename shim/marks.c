/* SPDX-License-Identifier: MIT */
/* shim/marks.c - which blocks are watched; see marks.h */
#include "shim/marks.h"

#include "shim/base/map.h"
#include "shim/base/os.h"

#define SLOT_WORDS (MAP_SLOT_BYTES >> (MARKS_GRANULE_SHIFT + 6))
#define SLOT_BYTES (SLOT_WORDS * sizeof(uint64_t))

marks_entry marks_leaves[MARKS_LEAVES];

/* What the entry leads to, zeroed memory if it led nowhere; NULL without memory. */
static void *make(marks_entry *entry, size_t bytes)
{
	void *there = load_acquire(entry);
	if (there)
		return there;
	void *mine = os_map(NULL, bytes);
	/* release: it is zeroed; acquire: another thread's is */
	if (!mine || cas_acq_rel(entry, &there, mine))
		return mine;
	(void)!os_unmap(mine, bytes);
	return there;
}

static COLD marks_word *make_words(uintptr_t slot)
{
	if (slot >= MAP_SLOTS)
		return NULL;
	marks_entry *leaf = make(&marks_leaves[slot / MARKS_LEAF_SLOTS],
				 MARKS_LEAF_SLOTS * sizeof(marks_entry));
	return leaf ? make(&leaf[slot % MARKS_LEAF_SLOTS], SLOT_BYTES) : NULL;
}

bool marks_set(const void *block)
{
	uintptr_t address = (uintptr_t)block;
	marks_word *words = marks_words_of(address >> MAP_SLOT_SHIFT);
	if (address % (1 << MARKS_GRANULE_SHIFT))
		return false;
	if (unlikely(!words))
		words = make_words(address >> MAP_SLOT_SHIFT);
	if (unlikely(!words || !map_watch(block)))
		return false;
	/* seq_cst: before the second look at the generation, see migrate/record.c */
	fetch_or_seq_cst(&words[marks_word_at(address)], marks_bit_at(address));
	return true;
}

void marks_clear(const void *block)
{
	uintptr_t address = (uintptr_t)block;
	marks_word *words = marks_words_of(address >> MAP_SLOT_SHIFT);
	if (words)
		fetch_and_relaxed(&words[marks_word_at(address)], ~marks_bit_at(address));
}

static void for_each_slot(void (*act)(uintptr_t slot, marks_word *words))
{
	for (size_t i = 0; i < MARKS_LEAVES; i++) {
		marks_entry *leaf = load_acquire(&marks_leaves[i]);
		for (size_t j = 0; leaf && j < MARKS_LEAF_SLOTS; j++) {
			marks_word *words = load_acquire(&leaf[j]);
			if (words)
				act(i * MARKS_LEAF_SLOTS + j, words);
		}
	}
}

static void unwatch(uintptr_t slot, marks_word *words)
{
	(void)words;
	map_unwatch((const void *)(slot << MAP_SLOT_SHIFT));
}

static void clear(uintptr_t slot, marks_word *words)
{
	(void)slot;
	if (os_purge((void *)words, SLOT_BYTES) == 0)
		return;
	for (size_t i = 0; i < SLOT_WORDS; i++)
		store_relaxed(&words[i], 0);
}

void marks_unwatch(void)
{
	for_each_slot(unwatch);
}

void marks_clear_all(void)
{
	for_each_slot(clear);
}
