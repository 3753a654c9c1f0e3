/* SPDX-License-Identifier: MIT */
/* tests/legacy_oom_test.c - every call to the kernel fails in turn: NULL, no crash, no loss */
#include "legacy/legacy.h"

#include "shim/base/os.h"
#include "tests/legacy_support.h"

#include <errno.h>

/* Calls are numbered from 1. Those in [fail_from, fail_until) fail; unmap never does. */
static unsigned calls, fail_from, fail_until;

static bool fails(void)
{
	calls++;
	return calls >= fail_from && calls < fail_until;
}

static void *map(void *hint, size_t bytes, int prot, int extra_flags)
{
	return fails() ? NULL : os_real.map(hint, bytes, prot, extra_flags);
}

static int unmap(void *start, size_t bytes)
{
	/* Whoever asks about memory that is gone must hear that it is a stranger's. */
	MUST(map_kind_of(start) == MAP_STRANGER);
	return os_real.unmap(start, bytes);
}

static int protect(void *start, size_t bytes, int prot)
{
	return fails() ? -ENOMEM : os_real.protect(start, bytes, prot);
}

static int advise(void *start, size_t bytes, int advice)
{
	return fails() ? -EINVAL : os_real.advise(start, bytes, advice);
}

static int remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to)
{
	return fails() ? -12 : os_real.remap(start, old_bytes, new_bytes, fixed_to);
}

static size_t page_bytes(void)
{
	return os_real.page_bytes();
}

static const struct os_ops failing = {
	.map = map,
	.unmap = unmap,
	.protect = protect,
	.advise = advise,
	.remap = remap,
	.page_bytes = page_bytes,
};

#define BLOCKS 1600

/* Enough for a few chunks and for the table to grow its buckets. */
static void use_everything(unsigned *refused)
{
	static char *blocks[BLOCKS];
	struct legacy_thread *t = legacy_thread_start();
	uint32_t seed = 1;
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t bytes = random_bytes(&seed);
		blocks[i] = legacy_malloc(i % 50 ? t : NULL, bytes, i);
		if (!blocks[i])
			(*refused)++;
		else
			pattern_write(blocks[i], bytes, i);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (!blocks[i])
			continue;
		MUST(pattern_holds(blocks[i]));
		legacy_free(i % 3 ? t : NULL, blocks[i]);
	}
	if (t)
		legacy_thread_exit(t);
	struct legacy_counters c = counters_now();
	MUST(c.pages == 0 && c.threads == 0);
}

static void with_failures(const char *argument)
{
	unsigned refused = 0, refused_later = 0;
	MUST(sscanf(argument, "%u %u", &fail_from, &fail_until) == 2);
	os_swap(&failing);
	if (!map_init() || !legacy_init())
		return;
	use_everything(&refused);
	legacy_trim();
	if (calls < fail_until && fail_until != ~0u)
		return;
	/* Once the kernel relents, everything works. */
	fail_from = ~0u;
	use_everything(&refused_later);
	MUST(refused_later == 0);
	MUST(fail_until != ~0u || refused > 0);
	legacy_trim();
	MUST(counters_now().resident_free_bytes == 0);
}

static unsigned calls_in_all(void)
{
	unsigned refused = 0;
	fail_from = ~0u;
	os_swap(&failing);
	MUST(map_init() && legacy_init());
	use_everything(&refused);
	legacy_trim();
	MUST(refused == 0);
	os_swap(NULL);
	return calls;
}

/* The children start before legacy does here. The first 200 calls reach past everything that the
 * workload maps; what comes after is advice. */
static void any_one_call_may_fail(void **state)
{
	(void)state;
	char range[32];
	for (unsigned n = 1; n <= 200; n++) {
		snprintf(range, sizeof(range), "%u %u", n, n + 1);
		if (!succeeds_in_child(with_failures, range))
			fail_msg("call %u", n);
	}
}

static void all_calls_may_fail_from_any_one_on(void **state)
{
	(void)state;
	char range[32];
	for (unsigned n = 1; n <= 30; n++) {
		snprintf(range, sizeof(range), "%u %u", n, ~0u);
		if (!succeeds_in_child(with_failures, range))
			fail_msg("from call %u on", n);
	}
}

static void the_workload_reaches_what_it_is_meant_to(void **state)
{
	(void)state;
	unsigned all = calls_in_all();
	struct legacy_counters c = counters_now();
	assert_true(c.chunks > 8); /* more than 512 pages: the table has doubled */
	assert_true(all > 30);
	assert_true(c.purged_bytes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_one_call_may_fail),
		cmocka_unit_test(all_calls_may_fail_from_any_one_on),
		cmocka_unit_test(the_workload_reaches_what_it_is_meant_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
