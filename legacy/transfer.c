/* SPDX-License-Identifier: MIT */
/* legacy/transfer.c - layer 5: batches of blocks on their way between threads; see transfer.h */
#include "legacy/transfer.h"

enum slot_state { SLOT_EMPTY = 0, SLOT_BUSY, SLOT_FULL };

struct slot {
	_Atomic unsigned state; /* [any thread] enum slot_state */
	_Atomic uintptr_t
		owner; /* [who made it BUSY] owner word of who spilled; others read a hint */
	_Atomic(void *) blocks[REFILL_BLOCKS]; /* [who made it BUSY] */
} CACHE_ALIGN;

static struct slot slots[LEGACY_CLASSES][TRANSFER_SLOTS];

/* acquire: pairs with slot_settle(), so that the blocks (or their having been read) are seen */
static bool slot_claim(struct slot *slot, unsigned state)
{
	return load_relaxed(&slot->state) == state && cas_acquire(&slot->state, &state, SLOT_BUSY);
}

static void slot_settle(struct slot *slot, enum slot_state state)
{
	/* release: pairs with slot_claim() */
	store_release(&slot->state, (unsigned)state);
}

bool legacy_transfer_put(struct legacy_thread *t, unsigned class, void *const *blocks)
{
	for (unsigned i = 0; i < TRANSFER_SLOTS; i++) {
		struct slot *slot = &slots[class][(t->shard + i) % TRANSFER_SLOTS];
		if (!slot_claim(slot, SLOT_EMPTY))
			continue;
		store_relaxed(&slot->owner, t->word);
		for (unsigned b = 0; b < REFILL_BLOCKS; b++)
			store_relaxed(&slot->blocks[b], blocks[b]);
		slot_settle(slot, SLOT_FULL);
		return true;
	}
	return false;
}

static bool take_from(struct slot *slot, void **blocks)
{
	if (!slot_claim(slot, SLOT_FULL))
		return false;
	for (unsigned b = 0; b < REFILL_BLOCKS; b++)
		blocks[b] = load_relaxed(&slot->blocks[b]);
	slot_settle(slot, SLOT_EMPTY);
	return true;
}

unsigned legacy_transfer_take_own(uintptr_t owner, unsigned class, void **blocks)
{
	for (unsigned i = 0; i < TRANSFER_SLOTS; i++) {
		struct slot *slot = &slots[class][i];
		if (load_relaxed(&slot->owner) == owner && take_from(slot, blocks))
			return REFILL_BLOCKS;
	}
	return 0;
}

unsigned legacy_transfer_take(uintptr_t owner, unsigned class, void **blocks)
{
	unsigned count = legacy_transfer_take_own(owner, class, blocks);
	for (unsigned i = 0; i < TRANSFER_SLOTS && count == 0; i++)
		if (take_from(&slots[class][i], blocks))
			count = REFILL_BLOCKS;
	return count;
}

unsigned legacy_transfer_salvage(unsigned class, unsigned i, void **blocks)
{
	struct slot *slot = &slots[class][i];
	if (load_relaxed(&slot->state) == SLOT_EMPTY)
		return 0;
	for (unsigned b = 0; b < REFILL_BLOCKS; b++)
		blocks[b] = load_relaxed(&slot->blocks[b]);
	slot_settle(slot, SLOT_EMPTY);
	return REFILL_BLOCKS;
}
