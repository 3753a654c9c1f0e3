/* SPDX-License-Identifier: MIT */
/* legacy/remote.h - layer 7: a stack a thread of blocks that others freed, without a lock
 *
 *                  push                         take                      close
 *   push     CAS decides the order;     the CAS fails and sees      the CAS fails, the new tag
 *            the loser tries again      an empty stack              shows: the block goes home
 *   take     -                          one gets all, the other     one gets all, the other
 *                                       finds it empty              finds it empty
 *
 * No ABA: nobody pops one block. A stack is taken whole, and the links are read after that, by
 * who took it. A push compares the head only to link to it, and whatever the head was meanwhile,
 * if it is that again then the link is right. The tag in the head is the owner's incarnation, so
 * a push that was slow never ends up with the next thread that uses the record.
 *
 * The links lie in page descriptors, not in the blocks: freed memory that a program still writes to
 * changes nothing.
 */
#ifndef LEGACY_REMOTE_H
#define LEGACY_REMOTE_H

#include "legacy/types.h"

/* True if `owner` (an owner word, 0 for none) names a thread that can be pushed to. A hint: the
 * thread may exit before the next instruction. */
INLINE bool legacy_remote_open(uintptr_t owner)
{
	struct legacy_thread *t = word_address(owner);
	return t && word_tag(load_relaxed(&t->remote)) == word_tag(owner);
}

/* Any thread: hands a free block to its owner. False (and nothing happened) if the owner is gone.
 * After true the page may not be touched. */
MUST_USE bool legacy_remote_push(uintptr_t owner, struct legacy_page *page, unsigned index,
				 void *block);

/* Any thread: takes all blocks off a stack; the first, or NULL. */
MUST_USE void *legacy_remote_take(struct legacy_thread *owner);

/* The owner, or the only thread of a fork's child: the same, and from now on only the owner word
 * with the next tag may push. */
MUST_USE void *legacy_remote_close(struct legacy_thread *owner);

/* The block below `block`, of those that the caller took; page and index are those of `block`. */
MUST_USE void *legacy_remote_next(struct legacy_thread *t, const void *block,
				  struct legacy_page **page, unsigned *index);

#endif
