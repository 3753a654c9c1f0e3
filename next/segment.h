/* SPDX-License-Identifier: MIT */
/* next/segment.h - slices: where pages and spans get their memory, and when it goes back
 *
 * A segment's state is two words, kept beside those of its neighbours in dense tables:
 *
 *   free   bit set: the slice belongs to nobody; whoever clears the bit by CAS owns it
 *   dirty  bit set: the slice may hold resident memory with old contents
 *
 * A third word, room, is a bound on the longest free run, so that a search passes over segments without a
 * look at what is free in them; 16 of these in a cache line.
 *
 * Claiming and giving back are one CAS or fetch_or each, so no thread ever waits for another here, and a
 * fork at any moment finds both words sound.
 *
 * Free and dirty slices are the resident reserve. It is bounded in bytes (by what was once in use) and in
 * time (what nobody claimed for a while goes), never by a count of frees: a fault costs as much as 150
 * malloc/free pairs.
 */
#ifndef NEXT_SEGMENT_H
#define NEXT_SEGMENT_H

#include "next/types.h"

void segment_init(void); /* once, by one thread */

/* Claims `slices` neighbouring slices that begin at a multiple of `align_slices` (a power of two up to
 * 32) within their segment. The descriptor of the first, with page_at[] leading to it from each, and
 * *zero set if all of it reads as zero; NULL if the system has no more. Any thread. */
MUST_USE struct next_page *segment_claim(size_t slices, size_t align_slices, bool *zero);

/* The same, but only from segments there are. */
MUST_USE struct next_page *segment_claim_existing(size_t slices, size_t align_slices, bool *zero);

/* Gives the page's slices back; its descriptor belongs to nobody afterwards. */
void segment_release(struct next_page *page);

/* Makes the claimed run longer or shorter at its end, its beginning stays. False, and nothing changed, if
 * the slices behind it are not free. */
MUST_USE bool segment_resize(struct next_page *page, size_t slices);

/* Gives free resident slices back to the kernel: all of them (and says how many bytes), or as many as the
 * bound and the clock say. */
size_t segment_purge_all(void);
void segment_purge_some(void);

struct segment_counts {
	size_t segments, resident_free_bytes;
	size_t purged_bytes[NEXT_CLASSES]; /* by the class whose memory it was last */
};
void segment_read_counts(struct segment_counts *counts);

/* So much of the class's memory went back to the kernel by other means than the above. Any thread. */
void segment_count_purged(unsigned class, size_t bytes);

/* Calls visit for every page in use, those of a segment one after the other; the pages may change meanwhile. */
void segment_each_page(void (*visit)(struct next_page *page, void *argument), void *argument);

#endif
