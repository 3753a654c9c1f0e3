/* SPDX-License-Identifier: MIT */
/* next/misuse.h - misuse of memory, or damage, found in next
 *
 * Where nobody has asked for anything else (next_on_misuse) it is the end of the process. Else it is told, and these return:
 * the caller leaves everything as it is, so that the block in question is leaked, and goes on. The page is suspect from then
 * on: the next time that it comes into the hands of its owner it is quarantined, with all that is free in it.
 */
#ifndef NEXT_MISUSE_H
#define NEXT_MISUSE_H

#include "next/types.h"

/* page NULL: not known. Any thread. */
COLD void misuse_found(struct next_page *page, const char *what, const void *block,
		       const char *detail);

/* The same where there is no page: the class of huge blocks, or NEXT_CLASSES. */
COLD void misuse_found_in(unsigned class, const char *what, const void *block, const char *detail);

COLD void misuse_double_free(struct next_page *page, const void *block);

/* The same of a live block, where it was found by what the layer above keeps in its blocks. */
COLD void misuse_found_at(const void *block, const char *what, const char *detail);

/* [owner] The page, in no queue, no list and no slot, and not pushed on a ready stack, is nobody's any more. */
COLD void misuse_quarantine(struct next_page *page);

INLINE bool misuse_suspects(const struct next_page *page)
{
	/* relaxed: who found it out has shut the class's door before; a block that is handed out meanwhile is one of
	 * a malloc in flight */
	return unlikely(load_relaxed(&page->suspect));
}

/* Pages in quarantine. */
MUST_USE size_t misuse_quarantined(void);

#endif
