/* SPDX-License-Identifier: MIT */
/* next/misuse.c - misuse of memory, or damage, found in next; see misuse.h */
#include "next/misuse.h"

#include "next/next.h"
#include "shim/base/check.h"

_Atomic(next_misuse_hook *) next_on_misuse;

static _Atomic size_t quarantined;

void misuse_found_in(unsigned class, const char *what, const void *block, const char *detail)
{
	/* acquire: what the hook relies on was there before it; pairs with the release of who set it */
	next_misuse_hook *hook = load_acquire(&next_on_misuse);
	if (!hook || !hook(class, what, block, detail))
		fatal_misuse(what, block, detail);
}

void misuse_found(struct next_page *page, const char *what, const void *block, const char *detail)
{
	/* Before anybody is told: it does not come too late for who then looks. */
	if (page)
		store_relaxed(&page->suspect, true);
	misuse_found_in(page ? load_relaxed(&page->bin) : NEXT_CLASSES, what, block, detail);
}

void misuse_double_free(struct next_page *page, const void *block)
{
	misuse_found(page, "free of a block that is free already", block, "double free");
}

void misuse_found_at(const void *block, const char *what, const char *detail)
{
	if (map_is_huge(block))
		misuse_found_in(NEXT_CLASS_HUGE, what, block, detail);
	else
		misuse_found(page_of(block), what, block, detail);
}

void misuse_quarantine(struct next_page *page)
{
	page->in_slot = false;
	fetch_add_relaxed(&quarantined, 1);
	/* seq_cst, as every change of an owner: the flags that others set before go with it, those that they set
	 * later lead nowhere, since the page is not FULL */
	exchange_seq_cst(&page->owner, OWNER_QUARANTINE);
}

size_t misuse_quarantined(void)
{
	return load_relaxed(&quarantined);
}
