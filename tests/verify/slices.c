/* SPDX-License-Identifier: MIT */
/* tests/verify/slices.c - next/segment.c: no slice has two owners, none is lost, and none is dirty unseen
 *
 * Each slice has a plain word that its owner writes, in place of its memory and its descriptor.
 */
#include "tests/verify/explore.h"
#include "tests/verify/world.h"

#include "next/segment.h"

#define PAGES  6
#define SLICES (2 * PAGES)

static unsigned owner[SEGMENT_SLICES];

static struct next_page *claim(size_t slices)
{
	bool zero;
	struct next_page *page = segment_claim(slices, 1, &zero);
	for (size_t s = 0; page && s < slices; s++) {
		REQUIRE(owner[page->first_slice + s] == 0, "a slice is claimed that another has");
		owner[page->first_slice + s] = explore_self() + 1;
	}
	return page;
}

static void release(struct next_page *page, size_t slices)
{
	for (size_t s = 0; s < slices; s++)
		owner[page->first_slice + s] = 0;
	segment_release(page);
}

static void claim_release(size_t slices)
{
	struct next_page *page = claim(slices);
	if (page)
		release(page, slices);
}

static void large(void)
{
	claim_release(SLICES);
}

static void half(void)
{
	claim_release(SLICES / 2);
}

static void half_twice(void)
{
	half();
	half();
}

static void half_kept(void)
{
	half();
	(void)claim(SLICES / 2);
}

/* A run that grows over slices that others claim, and shrinks again. */
static void resize(void)
{
	struct next_page *page = claim(4);
	if (!page)
		return;
	size_t slices = 4;
	if (segment_resize(page, 8)) {
		for (size_t s = 4; s < 8; s++) {
			REQUIRE(owner[page->first_slice + s] == 0,
				"a run grows over a slice that another has");
			owner[page->first_slice + s] = explore_self() + 1;
		}
		slices = 8;
	}
	release(page, slices);
}

static void purge(void)
{
	(void)segment_purge_all();
}

static void every_slice_can_be_claimed_once(void)
{
	while (claim(1))
		;
	for (size_t s = HEADER_SLICES; s < HEADER_SLICES + SLICES; s++)
		REQUIRE(owner[s] != 0, "a slice is lost");
}

static void threads(void (*first)(void), void (*second)(void), void (*third)(void))
{
	world_begin(WORLD_FEW, PAGES);
	explore_thread(first);
	explore_thread(second);
	if (third)
		explore_thread(third);
}

static void setup_two(void)
{
	threads(half_twice, half_kept, NULL);
}

static void setup_mixed(void)
{
	threads(half, large, NULL);
}

static void setup_purged(void)
{
	threads(half_kept, purge, NULL);
}

static void setup_resized(void)
{
	threads(resize, half, NULL);
}

#define PROMISE "a slice has one owner or is free, and comes with its contents"
#define ALL	{ UNBOUNDED, UNBOUNDED }

static const struct scenario scenarios[] = {
	{ "two", PROMISE, setup_two, every_slice_can_be_claimed_once, { 3, 1 }, { 2, 1 } },
	{ "mixed", PROMISE, setup_mixed, every_slice_can_be_claimed_once, ALL, ALL },
	{ "purged", PROMISE, setup_purged, every_slice_can_be_claimed_once, ALL, ALL },
	{ "resized", PROMISE, setup_resized, every_slice_can_be_claimed_once, ALL, { 2, 1 } },
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
