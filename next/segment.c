/* SPDX-License-Identifier: MIT */
/* next/segment.c - slices; see segment.h */
#include "next/segment.h"

#include "next/huge.h"
#include "next/misuse.h"
#include "next/next.h"
#include "shim/base/check.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"

/* The tables come in groups of one page, mapped as the process grows: 8,192 groups of 128 segments are 4 TiB. */
#define GROUP_SEGMENTS 128
#define GROUPS	       8192

/* A guard makes two mappings of one for the kernel, of which a process has 65,530 by default: the first 32 GiB use a quarter
 * of them, and the program has the rest. */
#define GUARDED_SEGMENTS 8192

struct group {
	_Atomic uint64_t free[GROUP_SEGMENTS];	    /* [any thread] */
	_Atomic uint64_t dirty[GROUP_SEGMENTS];	    /* [any thread] */
	/* [any thread] no run of free slices is longer than the low byte says; the rest counts the
	 * releases, so that a bound found before a release is not written after it */
	_Atomic uint32_t room[GROUP_SEGMENTS];
	_Atomic uint32_t touched[GROUP_SEGMENTS];   /* [any thread] os_ticks() of the last release */
	_Atomic(struct next_segment *) base[GROUP_SEGMENTS]; /* [const once free was not 0] */
};

enum map_kind next_segment_kind = MAP_NEXT;

static _Atomic(struct group *) groups[GROUPS];
static _Atomic uint32_t segment_count; /* ids given out; those being set up have free == 0 */

#define ALL_SLICES (~(uint64_t)0 << HEADER_SLICES)

/* --- the resident reserve --------------------------------------------------------------------
 *
 * Slices in use and slices in the reserve together stay below the most that were in use at once of late (plus
 * a little): in this half of a second or in the one before. So the reserve keeps a burst's memory for the next
 * burst, but never makes the peak higher than the program made it, and what a program needed once, when it
 * started, it does not hold for ever: when fresh slices are claimed beyond the mark, as many go back.
 */
#define RESERVE_SLACK	   32 /* 2 MiB, and an eighth of the most in use: runs do not always fit */

static _Atomic int64_t used_slices;    /* claimed; a moment's estimate, like the next two */
static _Atomic int64_t reserve_slices; /* free and dirty */
static _Atomic int64_t high_water;     /* the most of used_slices in this period */
static _Atomic int64_t high_before;    /* and in the one before */
static uint32_t period_began;	       /* [lock: purge_lock] tick */
static _Atomic size_t purged_bytes[NEXT_CLASSES]; /* by the class whose memory it was last */
static _Atomic uint32_t last_purge_tick;
static struct lock purge_lock = LOCK_INIT;

void segment_init(void)
{
	lock_join_fork(&purge_lock, 1, sizeof(purge_lock));
}

static uint32_t segment_limit(void)
{
	return load_relaxed(&segment_count);
}

static struct group *group_of(uint32_t id)
{
	/* acquire: pairs with the release in group_make() */
	return load_acquire(&groups[id / GROUP_SEGMENTS]);
}

static struct group *group_make(uint32_t id)
{
	struct group *group = group_of(id);
	if (group)
		return group;
	group = os_map(NULL, sizeof(*group));
	if (!group)
		return NULL;
	struct group *other = NULL;
	/* acq_rel: publishes the zeroed group; pairs with the acquire in group_of() */
	if (!cas_acq_rel(&groups[id / GROUP_SEGMENTS], &other, group)) {
		os_unmap(group, sizeof(*group));
		return other;
	}
	return group;
}

#define ROOM_MASK    0xffu
#define ROOM_VERSION 0x100u

/* After slices were freed: anything may fit again. */
static void room_open(struct group *group, size_t i)
{
	uint32_t room = load_relaxed(&group->room[i]);
	while (!cas_release(&group->room[i], &room,
			    ((room & ~ROOM_MASK) + ROOM_VERSION) | SEGMENT_SLICES))
		;
}

/* --- claiming ---------------------------------------------------------------------------------- */

static uint64_t run_mask(unsigned first, size_t slices)
{
	return (slices == 64 ? ~(uint64_t)0 : ((uint64_t)1 << slices) - 1) << first;
}

/* Bit i of the result: slices i .. i + n - 1 are all in mask. Doubles the known length each step. */
static uint64_t runs_of(uint64_t mask, size_t n)
{
	size_t known = 1;
	while (known < n && mask) {
		size_t step = n - known < known ? n - known : known;
		mask &= mask >> step;
		known += step;
	}
	return mask;
}

static uint64_t aligned_starts(size_t align_slices)
{
	uint64_t starts = 0;
	for (size_t i = 0; i < SEGMENT_SLICES; i += align_slices)
		starts |= (uint64_t)1 << i;
	return starts;
}

/* The run was claimed: it leaves the reserve, and its slices lead to the page. True if it reads as zero. */
static bool take(struct group *group, size_t i, uint64_t run, struct next_page *page)
{
	struct next_segment *segment = segment_of(page);
	int64_t slices = __builtin_popcountll(run);
	uint64_t dirty = load_relaxed(&group->dirty[i]) & run;
	if (dirty)
		fetch_sub_relaxed(&reserve_slices, (int64_t)__builtin_popcountll(dirty));
	int64_t used = fetch_add_relaxed(&used_slices, slices) + slices;
	if (used > load_relaxed(&high_water))
		store_relaxed(&high_water, used);
	uint32_t first = (uint32_t)lowest_bit(run);
	for (uint32_t s = first; s < first + (uint32_t)slices; s++)
		/* release: pairs with the address dependency in page_in(), see take_page() */
		store_release(&segment->page_at[s], page);
	return dirty == 0;
}

/* A whole run was claimed: it becomes the page of its first slice. */
static struct next_page *take_page(struct group *group, size_t i, uint64_t run, bool *zero)
{
	struct next_segment *segment = load_relaxed(&group->base[i]);
	struct next_page *page = &segment->pages[lowest_bit(run)];
	page->first_slice = (uint8_t)lowest_bit(run);
	store_relaxed(&page->slices, (uint8_t)__builtin_popcountll(run));
	/* Nothing passes for a block before page_make(), which may be a while: a wild address is found out meanwhile, and
	 * what the last page here left does not lead it to words that are no bits. */
	page->start = NULL;
	page->magic = MAGIC_OF_NO_BLOCK;
	*zero = take(group, i, run, page);
	return page;
}

/* Tries to claim from one segment; resident memory first, since it costs no fault. */
static struct next_page *claim_from(struct group *group, size_t i, size_t slices, uint64_t starts,
				    bool dirty_only, bool *zero)
{
	/* acquire: pairs with room_open(), so that free is not older than the version */
	uint32_t room = load_acquire(&group->room[i]);
	if ((room & ROOM_MASK) < slices)
		return NULL;
	uint64_t free = load_relaxed(&group->free[i]), fits;
	while ((fits = runs_of(free, slices)) != 0) {
		uint64_t found = runs_of(free & load_relaxed(&group->dirty[i]), slices) & starts;
		if (!found && !dirty_only)
			found = fits & starts;
		if (!found)
			return NULL;
		uint64_t run = run_mask((unsigned)lowest_bit(found), slices);
		/* acquire: pairs with the release in segment_release() and segment_make(), so that the
		 * descriptors and the slices' contents are ours as the last owner left them */
		if (cas_acquire(&group->free[i], &free, free & ~run))
			return take_page(group, i, run, zero);
	}
	/* No run at all: note it, unless something was freed since. */
	cas_relaxed(&group->room[i], &room, (room & ~ROOM_MASK) | (uint32_t)(slices - 1));
	return NULL;
}

static struct next_page *claim_scan(size_t slices, uint64_t starts, bool dirty_only, bool *zero)
{
	uint32_t count = segment_limit();
	for (uint32_t id = 0; id < count; id++) {
		struct group *group = group_of(id);
		struct next_page *page = group ? claim_from(group, id % GROUP_SEGMENTS, slices,
							    starts, dirty_only, zero) :
						 NULL;
		if (page)
			return page;
	}
	return NULL;
}

struct next_page *segment_claim_existing(size_t slices, size_t align_slices, bool *zero)
{
	uint64_t starts = aligned_starts(align_slices);
	struct next_page *page = NULL;
	if (load_relaxed(&reserve_slices) >= (int64_t)slices)
		page = claim_scan(slices, starts, true, zero);
	if (page)
		return page;
	page = claim_scan(slices, starts, false, zero);
	if (page)
		segment_purge_some();
	return page;
}

/* The tables come first: an id that was given out is never taken back. */
static bool id_make(uint32_t *id)
{
	*id = load_relaxed(&segment_count);
	do {
		if (*id == GROUPS * GROUP_SEGMENTS || !group_make(*id))
			return false;
	} while (!cas_relaxed(&segment_count, id, *id + 1));
	return true;
}

/* A new segment, its slices all free except the run that the caller wants and gets. */
static struct next_page *segment_make(size_t slices, uint64_t starts, bool *zero)
{
	uint32_t id;
	char *base = os_map_aligned(SEGMENT_BYTES, SEGMENT_BYTES, 0);
	if (!base)
		return NULL;
	struct next_segment *segment = segment_at(base);
	/* Without it where the kernel refuses. Before the header is touched, so that no huge page comes to lie across both. */
	if (segment_limit() < GUARDED_SEGMENTS)
		(void)!os_make_untouchable(base, GUARD_BYTES);
	/* Before the map knows: whoever frees a wild address there is told so, whenever it is. */
	segment->pages[0].magic = MAGIC_OF_NO_BLOCK;
	for (size_t s = 0; s < SEGMENT_SLICES; s++)
		store_relaxed(&segment->page_at[s], &segment->pages[0]);
	bool claimed = map_claim(base, SEGMENT_BYTES, next_segment_kind);
	if (!claimed || !id_make(&id)) {
		/* A slot that was never claimed may have no memory in the map to write to. */
		if (claimed)
			map_release(base, SEGMENT_BYTES);
		os_unmap(base, SEGMENT_BYTES);
		return NULL;
	}
	struct group *group = group_of(id);
	PROBE2(segment_mapped, base, SEGMENT_BYTES);
	segment->id = id;
	size_t i = id % GROUP_SEGMENTS;
	uint64_t run = run_mask((unsigned)lowest_bit(runs_of(ALL_SLICES, slices) & starts), slices);
	/* release: the mapping and page_at[]; pairs with the acquire in segment_each_page() */
	store_release(&group->base[i], segment);
	struct next_page *page = take_page(group, i, run, zero);
	/* release: pairs with the acquire in claim_from() */
	store_release(&group->free[i], ALL_SLICES & ~run);
	room_open(group, i);
	segment_purge_some();
	return page;
}

struct next_page *segment_claim(size_t slices, size_t align_slices, bool *zero)
{
	struct next_page *page = segment_claim_existing(slices, align_slices, zero);
	return page ? page : segment_make(slices, aligned_starts(align_slices), zero);
}

/* --- giving back ------------------------------------------------------------------------------- */

/* Slices of a run that belongs to the caller, and held a page of the class, are nobody's any more. */
static void give_back(struct next_segment *segment, uint32_t first, uint32_t slices, unsigned class)
{
	struct group *group = group_of(segment->id);
	size_t i = segment->id % GROUP_SEGMENTS;
	uint64_t run = run_mask(first, slices);
	for (uint32_t s = first; s < first + slices; s++) {
		store_relaxed(&segment->page_at[s], &segment->pages[0]);
		segment->last_class[s] = (uint8_t)class;
	}
	store_relaxed(&group->touched[i], os_ticks());
	fetch_or_relaxed(&group->dirty[i], run);
	fetch_add_relaxed(&reserve_slices, (int64_t)slices);
	fetch_sub_relaxed(&used_slices, (int64_t)slices);
	/* release: pairs with the acquire in claim_from() */
	fetch_or_release(&group->free[i], run);
	room_open(group, i);
	segment_purge_some();
}

void segment_release(struct next_page *page)
{
	if (misuse_suspects(page)) {
		misuse_quarantine(page);
		return;
	}
	store_relaxed(&page->owner, OWNER_NONE);
	give_back(segment_of(page), page->first_slice, load_relaxed(&page->slices),
		  load_relaxed(&page->bin));
}

bool segment_resize(struct next_page *page, size_t slices)
{
	struct next_segment *segment = segment_of(page);
	uint32_t first = page->first_slice, now = load_relaxed(&page->slices);
	if (first + slices > SEGMENT_SLICES)
		return false;
	if (slices < now) {
		store_relaxed(&page->slices, (uint8_t)slices);
		give_back(segment, first + (uint32_t)slices, now - (uint32_t)slices,
			  load_relaxed(&page->bin));
		return true;
	}
	struct group *group = group_of(segment->id);
	size_t i = segment->id % GROUP_SEGMENTS;
	uint64_t run = run_mask(first + now, slices - now);
	uint64_t free = load_relaxed(&group->free[i]);
	do {
		if ((free & run) != run)
			return false;
		/* acquire: as in claim_from() */
	} while (!cas_acquire(&group->free[i], &free, free & ~run));
	take(group, i, run, page);
	store_relaxed(&page->slices, (uint8_t)slices);
	segment_purge_some();
	return true;
}

void segment_count_purged(unsigned class, size_t bytes)
{
	fetch_add_relaxed(&purged_bytes[class], bytes);
}

static size_t purge_segment(struct group *group, size_t i)
{
	size_t slices = 0;
	uint64_t free = load_relaxed(&group->free[i]), mine;
	do {
		mine = free & load_relaxed(&group->dirty[i]);
		if (!mine)
			return 0;
		/* acquire: pairs with segment_release(), as in claim_from() */
	} while (!cas_acquire(&group->free[i], &free, free & ~mine));

	struct next_segment *segment = load_relaxed(&group->base[i]);
	char *base = segment_base(segment);
	for (uint64_t left = mine; left;) {
		unsigned first = (unsigned)__builtin_ctzll(left);
		uint64_t after = ~(left >> first);
		unsigned length = after ? (unsigned)__builtin_ctzll(after) : 64 - first;
		uint64_t run = run_mask(first, length);
		if (os_purge(base + ((size_t)first << SLICE_SHIFT), (size_t)length << SLICE_SHIFT) == 0) {
			fetch_and_relaxed(&group->dirty[i], ~run);
			slices += length;
			for (unsigned s = first; s < first + length; s++)
				segment_count_purged(segment->last_class[s], SLICE_BYTES);
			PROBE2(page_purged, base + ((size_t)first << SLICE_SHIFT),
			       (size_t)length << SLICE_SHIFT);
		}
		left &= ~run;
	}
	fetch_sub_relaxed(&reserve_slices, (int64_t)slices);
	/* release: pairs with the acquire in claim_from(): who claims next sees the slices as clean */
	fetch_or_release(&group->free[i], mine);
	room_open(group, i);
	return slices;
}

/* Purges segments nobody released to for `min_age` ticks, from the last to the first (claims go the other
 * way), until `keep` slices of the reserve are left. */
static size_t purge(uint32_t min_age, int64_t keep)
{
	size_t slices = 0;
	uint32_t now = os_ticks();
	for (uint32_t id = segment_limit(); id-- > 0;) {
		if (load_relaxed(&reserve_slices) <= keep)
			break;
		struct group *group = group_of(id);
		size_t i = id % GROUP_SEGMENTS;
		if (group && now - load_relaxed(&group->touched[i]) >= min_age)
			slices += purge_segment(group, i);
	}
	return slices;
}

/* Resident free slices that may wait for the next burst. */
static int64_t reserve_limit(void)
{
	int64_t most = load_relaxed(&high_water), before = load_relaxed(&high_before);
	if (before > most)
		most = before;
	int64_t room = most - load_relaxed(&used_slices);
	return RESERVE_SLACK + (room > 0 ? room : 0) + most / 8;
}

/* [lock: purge_lock] */
static void turn_period(uint32_t now)
{
	if (now - period_began < NEXT_RESERVE_TICKS)
		return;
	period_began = now;
	store_relaxed(&high_before, load_relaxed(&high_water));
	store_relaxed(&high_water, load_relaxed(&used_slices));
}

void segment_purge_some(void)
{
	int64_t reserve = load_relaxed(&reserve_slices);
	if (reserve <= 0) {
		huge_purge_old();
		return;
	}
	bool too_much = reserve > reserve_limit();
	uint32_t now = os_ticks();
	bool old = now - load_relaxed(&last_purge_tick) >= NEXT_RESERVE_TICKS / 4;
	/* One purge at a time: whoever comes second has nothing to add. */
	if ((!too_much && !old) || !lock_try(&purge_lock))
		return;
	store_relaxed(&last_purge_tick, now);
	if (old) {
		(void)purge(NEXT_RESERVE_TICKS, 0);
		turn_period(now);
	}
	if (too_much)
		(void)purge(0, reserve_limit());
	lock_release(&purge_lock);
	if (old)
		huge_purge_old();
}

size_t segment_purge_all(void)
{
	return purge(0, 0) << SLICE_SHIFT;
}

/* --- looking ----------------------------------------------------------------------------------- */

void segment_read_counts(struct segment_counts *counts)
{
	int64_t reserve = load_relaxed(&reserve_slices);
	counts->segments = segment_limit();
	counts->resident_free_bytes = reserve > 0 ? (size_t)reserve << SLICE_SHIFT : 0;
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		counts->purged_bytes[class] = load_relaxed(&purged_bytes[class]);
}

void segment_each_page(void (*visit)(struct next_page *page, void *argument), void *argument)
{
	uint32_t count = segment_limit();
	for (uint32_t id = 0; id < count; id++) {
		struct group *group = group_of(id);
		/* acquire: pairs with the release in segment_make() */
		struct next_segment *segment =
			group ? load_acquire(&group->base[id % GROUP_SEGMENTS]) : NULL;
		for (size_t s = HEADER_SLICES; segment && s < SEGMENT_SLICES; s++) {
			struct next_page *page = page_of(segment_base(segment) + (s << SLICE_SHIFT));
			if (page == &segment->pages[s])
				visit(page, argument);
		}
	}
}
