/* SPDX-License-Identifier: MIT */
/* migrate/record_marks.c - which blocks are in the recording; see record_marks.h */
#include "migrate/record_marks.h"

#include "shim/base/map.h"
#include "shim/base/os.h"

#define GRANULE_SHIFT 3
#define SLOT_WORDS    (MAP_SLOT_BYTES >> (GRANULE_SHIFT + 6))
#define SLOT_BYTES    (SLOT_WORDS * sizeof(uint64_t))
#define LEAF_SLOTS    4096
#define LEAVES	      (MAP_SLOTS / LEAF_SLOTS)

typedef _Atomic uint64_t mark_word;

/* Two levels of pointers, to leaves and from them to a slot's words. */
typedef _Atomic(void *) table_entry;
static table_entry leaves[LEAVES];

static mark_word *words_of(uintptr_t slot)
{
	if (unlikely(slot >= map_bound))
		return NULL;
	/* acquire: both pair with the exchange in make() */
	table_entry *leaf = load_acquire(&leaves[slot / LEAF_SLOTS]);
	return likely(leaf != NULL) ? load_acquire(&leaf[slot % LEAF_SLOTS]) : NULL;
}

/* What the entry leads to, zeroed memory if it led nowhere; NULL without memory. */
static void *make(table_entry *entry, size_t bytes)
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

static COLD mark_word *make_words(uintptr_t slot)
{
	if (slot >= map_bound)
		return NULL;
	table_entry *leaf = make(&leaves[slot / LEAF_SLOTS], LEAF_SLOTS * sizeof(table_entry));
	return leaf ? make(&leaf[slot % LEAF_SLOTS], SLOT_BYTES) : NULL;
}

static size_t word_of(uintptr_t address)
{
	return (address & MAP_SLOT_MASK) >> (GRANULE_SHIFT + 6);
}

static uint64_t bit_of(uintptr_t address)
{
	return (uint64_t)1 << (address >> GRANULE_SHIFT) % 64;
}

bool record_mark_is_set(const void *block)
{
	uintptr_t address = (uintptr_t)block;
	mark_word *words = words_of(address >> MAP_SLOT_SHIFT);
	/* relaxed: whoever has the block was handed it after the mark */
	return words && (load_relaxed(&words[word_of(address)]) & bit_of(address)) &&
	       address % (1 << GRANULE_SHIFT) == 0;
}

bool record_mark_set(const void *block)
{
	uintptr_t address = (uintptr_t)block;
	mark_word *words = words_of(address >> MAP_SLOT_SHIFT);
	if (address % (1 << GRANULE_SHIFT))
		return false;
	if (unlikely(!words))
		words = make_words(address >> MAP_SLOT_SHIFT);
	if (unlikely(!words || !map_watch(block)))
		return false;
	/* seq_cst: before the second look at the generation, see record.c */
	fetch_or_seq_cst(&words[word_of(address)], bit_of(address));
	return true;
}

void record_mark_clear(const void *block)
{
	uintptr_t address = (uintptr_t)block;
	mark_word *words = words_of(address >> MAP_SLOT_SHIFT);
	if (words)
		fetch_and_relaxed(&words[word_of(address)], ~bit_of(address));
}

static void for_each_slot(void (*act)(uintptr_t slot, mark_word *words))
{
	for (size_t i = 0; i < LEAVES; i++) {
		table_entry *leaf = load_acquire(&leaves[i]);
		for (size_t j = 0; leaf && j < LEAF_SLOTS; j++) {
			mark_word *words = load_acquire(&leaf[j]);
			if (words)
				act(i * LEAF_SLOTS + j, words);
		}
	}
}

static void unwatch(uintptr_t slot, mark_word *words)
{
	(void)words;
	map_unwatch((const void *)(slot << MAP_SLOT_SHIFT));
}

static void clear(uintptr_t slot, mark_word *words)
{
	(void)slot;
	if (os_purge((void *)words, SLOT_BYTES) == 0)
		return;
	for (size_t i = 0; i < SLOT_WORDS; i++)
		store_relaxed(&words[i], 0);
}

void record_marks_unwatch(void)
{
	for_each_slot(unwatch);
}

void record_marks_clear_all(void)
{
	for_each_slot(clear);
}
