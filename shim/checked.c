/* SPDX-License-Identifier: MIT */
/* shim/checked.c - seals, canaries and what a free is checked against; see checked.h
 *
 *   block                                        end of the pool's block
 *   | bytes asked for | canaries ............... | word | check |
 *
 * `check` binds `word` to the block's address and to a number that each process draws anew, so that it
 * cannot be copied or guessed. It lies below `word` in memory: a write that runs over the end meets canaries
 * or the check first, neither of which begins with a byte that overflows are made of.
 *
 *   level   canaries looked at   a freed block
 *   cheap   the first 16         goes back to its pool at once
 *   full    the first 4,096      is filled with junk and waits in the quarantine (quarantine.h); when it
 *                                leaves, and at the end of the process, the junk must still be there. A
 *                                block above 1 MiB is made untouchable instead, but for its ends
 *
 * Every so many mallocs get pages of their own with none before and behind (guarded.h).
 *
 * SYNCHRONIZATION: a live block's seal is its owner's, like the block. Of two frees that race one wins the
 * exchange of `word`, and the other has been found.
 */
#include "shim/checked.h"

#include "legacy/legacy.h"
#include "next/fast.h"
#include "next/huge.h"
#include "next/misuse.h"
#include "next/next.h"
#include "shim/base/atomic.h"
#include "shim/base/check.h"
#include "shim/guarded.h"
#include "shim/init.h"
#include "shim/quarantine.h"

#include <string.h>
#include <sys/auxv.h>

#define CANARIES_CHEAP 16
#define CANARIES_FULL  4096
#define FRESH_JUNK_MAX (64 * KIB) /* of a block: what a malloc may cost has a bound */
#define FRESH_JUNK     0xa5
#define FREED_JUNK     0xdf

/* One malloc in so many gets guard pages. */
#define GUARDED_EVERY_CHEAP 1024
#define GUARDED_EVERY_FULL  128

READ_MOSTLY enum checked_level shim_checked;

struct seal {
	uint64_t check;
	/* bit 63: freed; 62: from an aligned operator new; 56-61: log2 of the alignment, 0 for malloc's;
	 * 0-47: bytes */
	_Atomic uint64_t word;
};

#define SEAL_BYTES	 sizeof(struct seal)
#define WORD_FREED	 ((uint64_t)1 << 63)
#define WORD_NEW	 ((uint64_t)1 << 62)
#define WORD_ALIGN_SHIFT 56
#define WORD_BYTES_MASK	 (((uint64_t)1 << 48) - 1)

static uint64_t key;		  /* [const once on] */
static _Atomic uint32_t mallocs; /* counts to the next one with guard pages */

/* --- seals ---------------------------------------------------------------------------------------- */

/* Its lowest byte is none of those that overflows write: zero, text, all bits set. */
static uint64_t unlikely_text(uint64_t word)
{
	return (word & ~(uint64_t)1) | 0x80;
}

static uint64_t check_of(const void *block, uint64_t word)
{
	/* The finaliser of MurmurHash3: every bit of the key and the address turns over half of the result. */
	uint64_t h = (uint64_t)(uintptr_t)block ^ key ^ ((word & ~WORD_FREED) << 1);
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
	return unlikely_text(h ^ (h >> 33));
}

/* Eight canaries, over and over: they differ, so that no one byte written over several leaves all as they are. */
static uint64_t canaries_of(const void *block)
{
	uint64_t word = key ^ (((uint64_t)(uintptr_t)block >> 4) * 0x9e3779b97f4a7c15u);
	return (word & 0xfefefefefefefefeu) | 0x8080808080808080u;
}

static void write_canaries(const void *block, unsigned char *behind, size_t count)
{
	uint64_t canaries = canaries_of(block);
	for (; count >= sizeof(canaries); count -= sizeof(canaries), behind += sizeof(canaries))
		memcpy(behind, &canaries, sizeof(canaries));
	memcpy(behind, &canaries, count);
}

static bool canaries_intact(const void *block, const unsigned char *behind, size_t count)
{
	uint64_t canaries = canaries_of(block), found;
	for (; count >= sizeof(found); count -= sizeof(found), behind += sizeof(found)) {
		memcpy(&found, behind, sizeof(found));
		if (found != canaries)
			return false;
	}
	return memcmp(behind, &canaries, count) == 0;
}

/* Bytes of the pool's own block. 0 for a stranger; NEXT_MISUSED where next found misuse and an armed guard lets the
 * process go on (next/next.h). */
static size_t pool_bytes(const void *block, enum map_kind kind)
{
	return HAKMEM_MIGRATION && kind == MAP_LEGACY ? legacy_usable_bytes(block)
						      : next_usable_bytes(block);
}

static struct seal *seal_of(const void *block, size_t pool_block_bytes)
{
	return (struct seal *)((uintptr_t)block + pool_block_bytes - SEAL_BYTES);
}

static size_t canaries_in(size_t bytes, size_t pool_block_bytes)
{
	size_t count = pool_block_bytes - SEAL_BYTES - bytes;
	size_t most = shim_checked == CHECKED_FULL ? CANARIES_FULL : CANARIES_CHEAP;
	return count < most ? count : most;
}

static void seal(void *block, size_t pool_block_bytes, size_t bytes, uint64_t flags)
{
	struct seal *end = seal_of(block, pool_block_bytes);
	uint64_t word = bytes | flags;
	write_canaries(block, (unsigned char *)block + bytes, canaries_in(bytes, pool_block_bytes));
	end->check = check_of(block, word);
	store_relaxed(&end->word, word);
}

/* Returns false, and only where the block is next's and a guard is armed: then the caller leaves everything as it is. */
static COLD bool tell_misuse(const void *block, enum map_kind kind, const char *what, const char *detail)
{
	if (HAKMEM_MIGRATION && kind == MAP_LEGACY)
		fatal_misuse(what, block, detail);
	else if (kind == MAP_NEXT_GUARDED)
		guarded_misuse(block, what, detail);
	else
		misuse_found_at(block, what, detail);
	return false;
}

static COLD bool tell_overflow(const void *block, enum map_kind kind)
{
	return tell_misuse(block, kind, "write past the end of a block", "found by the canary behind it");
}

static COLD bool tell_double_free(const void *block, enum map_kind kind)
{
	return tell_misuse(block, kind, "free of a block that is free already", "double free");
}

/* True, and the word, of a block that is intact. */
static bool check_seal(const void *block, enum map_kind kind, size_t pool_block_bytes, uint64_t *word)
{
	const struct seal *end = seal_of(block, pool_block_bytes);
	*word = load_relaxed(&end->word);
	size_t bytes = *word & WORD_BYTES_MASK;
	if (unlikely(end->check != check_of(block, *word) || bytes > pool_block_bytes - SEAL_BYTES))
		return tell_overflow(block, kind);
	if (unlikely(*word & WORD_FREED))
		return tell_double_free(block, kind);
	if (unlikely(!canaries_intact(block, (const unsigned char *)block + bytes,
				      canaries_in(bytes, pool_block_bytes))))
		return tell_overflow(block, kind);
	return true;
}

static bool check_claim(const void *block, enum map_kind kind, const struct guarded_block *is,
			struct checked_claim claim)
{
	static const char other[] = "the free or delete says another one than the malloc or new";
	if (unlikely(claim.bytes != CLAIM_NOTHING && claim.bytes != is->bytes))
		return tell_misuse(block, kind, "mismatched size", other);
	if (claim.alignment == CLAIM_NOTHING)
		return true;
	/* C frees aligned blocks without saying so; C++ has a delete of its own for them. */
	bool by_delete = claim.alignment & CLAIM_DELETE;
	size_t said = claim.alignment & ~CLAIM_DELETE;
	if (unlikely(by_delete ? said != (is->from_new ? is->alignment : 0)
			       : is->alignment && said != is->alignment))
		return tell_misuse(block, kind, "mismatched alignment", other);
	return true;
}

/* --- the quarantine ------------------------------------------------------------------------------- */

static void give_to_pool(void *block, enum map_kind kind)
{
	if (HAKMEM_MIGRATION && kind == MAP_LEGACY)
		legacy_free(shim_legacy_thread(), block);
	else
		(void)next_free(block);
}

/* The whole pages of a block, which the block's first bytes and its seal are not part of. */
static size_t whole_pages(const void *block, size_t room, char **first)
{
	*first = (char *)align_up((uintptr_t)block + 1, OS_PAGE_BYTES);
	char *end = (char *)(((uintptr_t)block + room - SEAL_BYTES) & ~(OS_PAGE_BYTES - 1));
	return (size_t)(end - *first);
}

static bool take_pages_away(void *block, size_t room)
{
	char *first;
	size_t bytes = whole_pages(block, room, &first);
	return os_purge(first, bytes) == 0 && os_make_untouchable(first, bytes) == 0;
}

static bool give_pages_back(void *block, size_t room)
{
	char *first;
	size_t bytes = whole_pages(block, room, &first);
	return os_make_writable(first, bytes) == 0;
}

/* Of a block that waited long enough: true if nobody wrote to it. */
static bool check_junk(void *block, enum map_kind kind, size_t room)
{
	const struct seal *end = seal_of(block, room);
	uint64_t word = load_relaxed(&end->word);
	size_t bytes = word & WORD_BYTES_MASK;
	bool intact = end->check == check_of(block, word) && bytes <= room - SEAL_BYTES;
	const unsigned char *text = block;
	if (intact && room <= QUARANTINE_BLOCK_MAX && bytes > 0)
		intact = text[0] == FREED_JUNK && memcmp(text, text + 1, bytes - 1) == 0;
	return intact || tell_misuse(block, kind, "write to a block that is free", "found by the junk in it");
}

static void let_go(const struct quarantined *oldest)
{
	if (!check_junk(oldest->block, oldest->kind, oldest->bytes))
		return;
	/* A kernel that has no room to give the pages back keeps the block. */
	if (oldest->bytes <= QUARANTINE_BLOCK_MAX || give_pages_back(oldest->block, oldest->bytes))
		give_to_pool(oldest->block, oldest->kind);
}

/* Memory has run out. True if that may have helped. */
static COLD bool let_all_go(void)
{
	struct quarantined oldest;
	bool some = false;
	for (; quarantine_take_any(&oldest); some = true)
		let_go(&oldest);
	return some;
}

static void put_into_quarantine(void *block, enum map_kind kind, size_t bytes, size_t room)
{
	struct quarantined oldest;
	if (room <= QUARANTINE_BLOCK_MAX) {
		memset(block, FREED_JUNK, bytes);
	} else if (!take_pages_away(block, room)) {
		give_to_pool(block, kind);
		return;
	}
	quarantine_put((struct quarantined){ .block = block, .bytes = room, .kind = kind });
	while (quarantine_take(&oldest))
		let_go(&oldest);
}

/* --- malloc --------------------------------------------------------------------------------------- */

/* A block of a pool with `room` bytes and the kind of its slot. */
static void *pool_malloc(size_t room, size_t alignment, bool zero, bool legacy, enum map_kind *kind)
{
	void *block = NULL;
	if (HAKMEM_MIGRATION && legacy && !alignment) {
		block = legacy_malloc(shim_legacy_thread(), room, 0);
		*kind = MAP_LEGACY;
		if (block && zero)
			memset(block, 0, room);
	}
	if (!block) {
		block = alignment ? next_aligned(alignment, room) :
			zero	  ? next_calloc(room) :
				    next_malloc(room);
		*kind = MAP_NEXT_CHECKED;
	}
	return block;
}

static bool is_sampled(size_t bytes, size_t alignment)
{
	uint32_t every = shim_checked == CHECKED_FULL ? GUARDED_EVERY_FULL : GUARDED_EVERY_CHEAP;
	return bytes <= GUARDED_MAX_BYTES && alignment <= OS_PAGE_BYTES &&
	       fetch_add_relaxed(&mallocs, 1) % every == every - 1;
}

void *checked_malloc(size_t bytes, size_t alignment, bool zero, bool legacy)
{
	enum map_kind kind;
	void *block = is_sampled(bytes, alignment) ? guarded_malloc(bytes, alignment) : NULL;
	if (block) {
		if (!zero && shim_checked == CHECKED_FULL)
			memset(block, FRESH_JUNK, bytes);
		return block;
	}
	if (unlikely(bytes > PTRDIFF_MAX - SEAL_BYTES))
		return NULL;
	do
		block = pool_malloc(bytes + SEAL_BYTES, alignment, zero, legacy, &kind);
	while (unlikely(!block) && let_all_go());
	if (unlikely(!block))
		return NULL;
	if (!zero && shim_checked == CHECKED_FULL)
		memset(block, FRESH_JUNK, bytes < FRESH_JUNK_MAX ? bytes : FRESH_JUNK_MAX);
	seal(block, pool_bytes(block, kind), bytes,
	     alignment ? lowest_bit(alignment) << WORD_ALIGN_SHIFT : 0);
	return block;
}

void checked_mark_aligned_new(void *block, size_t alignment)
{
	enum map_kind kind = map_kind_of(block);
	if (kind == MAP_NEXT_GUARDED) {
		guarded_mark_aligned_new(block, alignment);
	} else if (kind == MAP_NEXT_CHECKED || kind == MAP_LEGACY || kind == MAP_NEXT_HUGE) {
		size_t room = pool_bytes(block, kind);
		size_t bytes = load_relaxed(&seal_of(block, room)->word) & WORD_BYTES_MASK;
		seal(block, room, bytes, WORD_NEW | lowest_bit(alignment) << WORD_ALIGN_SHIFT);
	}
}

/* --- free ----------------------------------------------------------------------------------------- */

bool checked_free(void *block, enum map_kind kind, struct checked_claim claim)
{
	if (kind == MAP_NEXT_GUARDED) {
		struct guarded_block was;
		if (guarded_look(block, &was) && check_claim(block, kind, &was, claim))
			guarded_free(block);
		return true;
	}
	size_t room = pool_bytes(block, kind);
	if (room == 0 || room == NEXT_MISUSED)
		return room != 0;
	uint64_t word;
	if (!check_seal(block, kind, room, &word))
		return true;
	uint64_t align_log2 = word >> WORD_ALIGN_SHIFT & 63;
	struct guarded_block was = { .bytes = word & WORD_BYTES_MASK, .from_new = word & WORD_NEW };
	was.alignment = align_log2 || was.from_new ? (size_t)1 << align_log2 : 0;
	if (!check_claim(block, kind, &was, claim))
		return true;
	/* acq_rel: of two frees that race one finds the other's mark */
	if (fetch_or_acq_rel(&seal_of(block, room)->word, WORD_FREED) & WORD_FREED)
		(void)tell_double_free(block, kind);
	else if (shim_checked == CHECKED_FULL)
		put_into_quarantine(block, kind, was.bytes, room);
	else
		give_to_pool(block, kind);
	return true;
}

bool checked_bytes(const void *block, enum map_kind kind, size_t *bytes)
{
	if (kind == MAP_NEXT_GUARDED) {
		struct guarded_block is;
		*bytes = guarded_look(block, &is) ? is.bytes : NEXT_MISUSED;
		return true;
	}
	size_t room = pool_bytes(block, kind);
	uint64_t word;
	*bytes = NEXT_MISUSED;
	if (room != 0 && room != NEXT_MISUSED && check_seal(block, kind, room, &word))
		*bytes = word & WORD_BYTES_MASK;
	return room != 0;
}

bool checked_resize(void *block, enum map_kind kind, size_t bytes, bool at_any_price)
{
	if (kind == MAP_NEXT_GUARDED)
		return at_any_price && guarded_shrink(block, bytes);
	size_t room = pool_bytes(block, kind);
	uint64_t word;
	if (room == NEXT_MISUSED || !check_seal(block, kind, room, &word) ||
	    bytes > room - SEAL_BYTES)
		return false;
	/* A block that moves each time finds those who kept its address. */
	if (!at_any_price && (shim_checked == CHECKED_FULL || bytes < room / 2))
		return false;
	seal(block, room, bytes, 0);
	return true;
}

/* --- start and end -------------------------------------------------------------------------------- */

static uint64_t draw_key(void)
{
	const void *bytes = (const void *)getauxval(AT_RANDOM);
	uint64_t random[2] = { 0 };
	/* 16 of them, at whatever address. */
	if (bytes)
		memcpy(random, bytes, sizeof(random));
	return random[0] ^ random[1] ^ os_now_ns();
}

static enum checked_level level_of(const char *text)
{
	if (strcmp(text, "cheap") == 0)
		return CHECKED_CHEAP;
	if (strcmp(text, "full") == 0)
		return CHECKED_FULL;
	if (strcmp(text, "no") != 0)
		report_line("HAKMEM_CHECK ignored: it can be no, cheap or full", NULL);
	return CHECKED_OFF;
}

void checked_start(void)
{
	struct huge_counts huge;
	const char *text = shim_setting("HAKMEM_CHECK");
	enum checked_level level = text && *text ? level_of(text) : CHECKED_OFF;
	if (level == CHECKED_OFF)
		return;
	/* Somebody allocated before there was an environment. Small blocks of then lie in segments of their own
	 * kind, but a huge one could not be told from one with a seal. */
	huge_read_counts(&huge);
	if (huge.blocks) {
		report_line("HAKMEM_CHECK ignored: the program allocates too early", NULL);
		return;
	}
	key = draw_key();
	quarantine_start();
	next_segment_kind = MAP_NEXT_CHECKED;
	shim_checked = level;
}

void checked_at_load(void)
{
	if (checked_on())
		guarded_start();
}

/* What still waits in the quarantine was never looked at. */
__attribute__((destructor)) static void at_end(void)
{
	struct quarantined oldest;
	while (shim_checked == CHECKED_FULL && quarantine_take_any(&oldest))
		(void)check_junk(oldest.block, oldest.kind, oldest.bytes);
}
