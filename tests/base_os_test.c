/* SPDX-License-Identifier: MIT */
/* tests/base_os_test.c - the memory calls: alignment, failure without errno, and nothing left over */
#include "shim/base/os.h"

#include "shim/base/atomic.h"
#include "tests/support.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static int64_t held_bytes;
static int unmaps_until_refusal; /* 0: never */
static uintptr_t misplace_by;
static bool hints_are_taken;
static int maps;

/* Maps at an address that is no multiple of 4 MiB, so that plain luck does not align it. */
static void *map(void *hint, size_t bytes, int prot, int extra_flags)
{
	maps++;
	if (hint && hints_are_taken) {
		held_bytes += (int64_t)bytes;
		return os_real.map(hint, bytes, prot, extra_flags);
	}
	char *p = os_real.map(hint, bytes + 8 * MIB, prot, extra_flags);
	if (!p)
		return NULL;
	char *start = (char *)align_up((uintptr_t)p, 4 * MIB) + misplace_by;
	os_real.unmap(p, (size_t)(start - p));
	os_real.unmap(start + bytes, (size_t)(p + 8 * MIB - start));
	held_bytes += (int64_t)bytes;
	return start;
}

static int unmap(void *start, size_t bytes)
{
	if (unmaps_until_refusal && --unmaps_until_refusal == 0)
		return -ENOMEM;
	held_bytes -= (int64_t)bytes;
	return os_real.unmap(start, bytes);
}

static const struct os_ops counting = { .map = map, .unmap = unmap };

static void aligned_mappings_are_aligned_behind_their_offset_and_trimmed(void **state)
{
	(void)state;
	os_swap(&counting);
	for (size_t alignment = 64 * KIB; alignment <= 64 * MIB; alignment *= 4) {
		for (size_t offset = 0; offset <= OS_PAGE_BYTES; offset += OS_PAGE_BYTES) {
			for (misplace_by = 0; misplace_by < 4 * MIB; misplace_by += 1020 * KIB) {
				char *p = os_map_aligned(5 * MIB, alignment, offset);
				assert_non_null(p);
				assert_int_equal(((uintptr_t)p + offset) % alignment, 0);
				assert_int_equal(held_bytes, 5 * MIB);
				p[0] = p[5 * MIB - 1] = 1;
				assert_int_equal(os_unmap(p, 5 * MIB), 0);
				assert_int_equal(held_bytes, 0);
			}
		}
	}
	os_swap(NULL);
}

static void an_aligned_mapping_goes_just_below_where_an_unaligned_one_went(void **state)
{
	(void)state;
	os_swap(&counting);
	hints_are_taken = true;
	for (size_t offset = 0; offset <= OS_PAGE_BYTES; offset += OS_PAGE_BYTES) {
		misplace_by = 64 * KIB;
		maps = 0;
		char *p = os_map_aligned(4 * MIB, 4 * MIB, offset);
		assert_non_null(p);
		assert_int_equal(((uintptr_t)p + offset) % (4 * MIB), 0);
		assert_int_equal(maps, 2);
		assert_int_equal(held_bytes, 4 * MIB);
		assert_int_equal(os_unmap(p, 4 * MIB), 0);
	}
	hints_are_taken = false;
	os_swap(NULL);
}

static void an_aligned_mapping_that_cannot_be_trimmed_is_given_back_whole(void **state)
{
	(void)state;
	os_swap(&counting);
	misplace_by = 64 * KIB;
	/* The first two unmaps are those of the plain try and of the one below; the trims come behind them. */
	for (int refused = 3; refused <= 4; refused++) {
		unmaps_until_refusal = refused;
		assert_null(os_map_aligned(5 * MIB, 4 * MIB, 0));
		assert_int_equal(unmaps_until_refusal, 0);
		assert_int_equal(held_bytes, 0);
	}
	os_swap(NULL);
}

static void failures_are_told_by_value_and_errno_is_kept(void **state)
{
	(void)state;
	void *nowhere = (void *)(uintptr_t)1; /* no multiple of a page */
	errno = 4711;
	assert_null(os_map(NULL, (size_t)1 << 60));
	assert_null(os_reserve((size_t)1 << 60));
	assert_null(os_map_aligned((size_t)1 << 60, 4 * MIB, 0));
	assert_null(os_map_aligned(SIZE_MAX - 4096, 4 * MIB, 0));
	assert_int_equal(os_unmap(nowhere, 4096), -EINVAL);
	assert_int_equal(os_make_writable(nowhere, 4096), -EINVAL);
	assert_int_equal(os_purge(nowhere, 4096), -EINVAL);
	assert_int_equal(os_remap(nowhere, 4096, 8192, NULL), -EINVAL);
	assert_int_equal(errno, 4711);
}

static void purged_memory_reads_as_zero(void **state)
{
	(void)state;
	char *p = os_map(NULL, 64 * KIB);
	assert_non_null(p);
	memset(p, 1, 64 * KIB);
	assert_int_equal(os_purge(p + 4096, 8192), 0);
	assert_int_equal(p[4095], 1);
	assert_int_equal(p[4096], 0);
	assert_int_equal(p[12287], 0);
	assert_int_equal(p[12288], 1);
	os_unmap(p, 64 * KIB);
}

static void a_mapping_grows_in_place_or_says_why_not_and_moves_with_its_bytes(void **state)
{
	(void)state;
	char *p = os_map(NULL, 2 * MIB);
	assert_non_null(p);
	memset(p, 7, 4096);
	/* Something is behind the first MiB. */
	assert_int_equal(os_remap(p, 1 * MIB, 2 * MIB, NULL), -ENOMEM);
	os_unmap(p + 1 * MIB, 1 * MIB);
	assert_int_equal(os_remap(p, 1 * MIB, 2 * MIB, NULL), 0);
	p[2 * MIB - 1] = 8;
	char *to = os_map(NULL, 3 * MIB);
	assert_int_equal(os_remap(p, 2 * MIB, 3 * MIB, to), 0);
	assert_int_equal(to[0], 7);
	assert_int_equal(to[2 * MIB - 1], 8);
	assert_int_equal(to[3 * MIB - 1], 0);
	os_unmap(to, 3 * MIB);
}

static void a_mapping_that_is_several_to_the_kernel_is_refused_with_another_reason(void **state)
{
	(void)state;
	char *p = os_map(NULL, 2 * MIB);
	assert_non_null(p);
	assert_int_equal(mprotect(p + 4096, 4096, PROT_READ), 0);
	int error = os_remap(p, 2 * MIB, 4 * MIB, NULL);
	/* What huge.c goes by: want of room alone sends a block elsewhere. */
	assert_true(error < 0 && error != -ENOMEM);
	os_unmap(p, 2 * MIB);
}

static void what_is_mapped_is_known(void **state)
{
	(void)state;
	char *p = os_map(NULL, 8192);
	errno = 4711;
	assert_true(os_is_mapped(p));
	assert_true(os_is_mapped(p + 8191));
	os_unmap(p + 4096, 4096);
	assert_true(os_is_mapped(p));
	assert_false(os_is_mapped(p + 4096));
	assert_int_equal(errno, 4711);
	os_unmap(p, 4096);
	assert_true(os_is_mapped(state));
}

static void the_clock_does_not_go_back(void **state)
{
	(void)state;
	uint64_t before = os_now_ns();
	for (int i = 0; i < 1000; i++) {
		uint64_t now = os_now_ns();
		assert_true(now >= before);
		before = now;
	}
	assert_true(before > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned_mappings_are_aligned_behind_their_offset_and_trimmed),
		cmocka_unit_test(an_aligned_mapping_goes_just_below_where_an_unaligned_one_went),
		cmocka_unit_test(an_aligned_mapping_that_cannot_be_trimmed_is_given_back_whole),
		cmocka_unit_test(failures_are_told_by_value_and_errno_is_kept),
		cmocka_unit_test(purged_memory_reads_as_zero),
		cmocka_unit_test(a_mapping_grows_in_place_or_says_why_not_and_moves_with_its_bytes),
		cmocka_unit_test(
			a_mapping_that_is_several_to_the_kernel_is_refused_with_another_reason),
		cmocka_unit_test(what_is_mapped_is_known),
		cmocka_unit_test(the_clock_does_not_go_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
