/* SPDX-License-Identifier: MIT */
/* legacy/remote.c - layer 7: a stack a thread of blocks that others freed; see remote.h */
#include "legacy/remote.h"

#include "legacy/block.h"

bool legacy_remote_push(uintptr_t owner, struct legacy_page *page, unsigned index, void *block)
{
	struct legacy_thread *t = word_address(owner);
	if (!t)
		return false;
	uintptr_t head = load_relaxed(&t->remote);
	do {
		if (word_tag(head) != word_tag(owner))
			return false;
		store_relaxed(&page->link[index], word_address(head));
		/* release: pairs with the acquire in legacy_remote_take() and _close(), for the
		 * link and for what the program last wrote to the block */
	} while (!cas_release(&t->remote, &head, word_make(word_tag(owner), block)));
	return true;
}

void *legacy_remote_take(struct legacy_thread *owner)
{
	uintptr_t head = load_relaxed(&owner->remote);
	/* A CAS and not an exchange, because the tag may change under anyone but the owner.
	 * acquire: pairs with the release in legacy_remote_push(); later pushes continue the
	 * release sequences of the earlier ones, so the last head covers the whole stack */
	while (word_address(head) &&
	       !cas_acquire(&owner->remote, &head, word_make(word_tag(head), NULL)))
		;
	return word_address(head);
}

void *legacy_remote_close(struct legacy_thread *owner)
{
	uintptr_t next_tag = word_tag(load_relaxed(&owner->remote)) + 1;
	/* acquire: as in legacy_remote_take() */
	return word_address(exchange_acquire(&owner->remote, word_make(next_tag, NULL)));
}

void *legacy_remote_next(struct legacy_thread *t, const void *block, struct legacy_page **page,
			 unsigned *index)
{
	*page = locate(t, block, index);
	return load_relaxed(&(*page)->link[*index]);
}
