/* SPDX-License-Identifier: MIT */
/* tests/next_bin_test.c - size classes: every size to 1 MiB and beyond */
#include "next/bin.h"

#include "tests/support.h"

static void every_size_is_served_by_the_smallest_class_that_holds_it(void **state)
{
	(void)state;
	for (size_t bytes = 1; bytes <= NEXT_CLASS_MAX_BYTES; bytes++) {
		unsigned class = next_class_of(bytes);
		if (class >= NEXT_CLASS_HUGE || next_class_bytes(class) < bytes)
			fail_msg("%zu bytes do not fit in class %u", bytes, class);
		if (class > 0 && next_class_bytes(class - 1) >= bytes)
			fail_msg("%zu bytes would fit in class %u", bytes, class - 1);
	}
	assert_int_equal(next_class_of(0), 0);
	assert_int_equal(next_class_of(NEXT_CLASS_MAX_BYTES + 1), NEXT_CLASS_HUGE);
	assert_int_equal(next_class_of(PTRDIFF_MAX), NEXT_CLASS_HUGE);
	assert_int_equal(next_class_of(SIZE_MAX), NEXT_CLASS_HUGE);
}

static void classes_grow_and_a_class_serves_its_own_size(void **state)
{
	(void)state;
	for (unsigned class = 0; class < NEXT_CLASS_HUGE; class ++) {
		assert_int_equal(next_class_of(next_class_bytes(class)), class);
		assert_int_equal(next_class_of(next_class_bytes(class) + 1), class + 1);
		assert_int_equal(next_class_bytes(class) % 16, 0);
	}
	assert_int_equal(next_class_bytes(NEXT_BINS - 1), NEXT_BIN_MAX_BYTES);
	assert_int_equal(next_class_bytes(NEXT_CLASS_HUGE - 1), NEXT_CLASS_MAX_BYTES);
}

static void the_waste_is_bounded(void **state)
{
	(void)state;
	double waste = 0;
	size_t sizes = 0;
	for (size_t bytes = 256; bytes <= 32 * KIB; bytes++, sizes++) {
		size_t block = next_class_bytes(next_class_of(bytes));
		if ((block - bytes) * 8 >= block)
			fail_msg("%zu bytes in a block of %zu", bytes, block);
		waste += (double)(block - bytes) / (double)block;
	}
	assert_true(waste / (double)sizes < 0.05);
	/* Address space, and a page of the kernel's at the border at most. */
	for (size_t bytes = 32 * KIB + 1; bytes <= NEXT_CLASS_MAX_BYTES; bytes++)
		if (next_class_bytes(next_class_of(bytes)) - bytes > bytes / 2)
			fail_msg("%zu bytes in a block of %zu", bytes,
				 next_class_bytes(next_class_of(bytes)));
	for (size_t bytes = 1; bytes <= 256; bytes++)
		assert_true(next_class_bytes(next_class_of(bytes)) - bytes < 16);
}

static void no_class_straddles_a_border_of_legacys_classes(void **state)
{
	(void)state;
	static const size_t borders_kib[] = { 1, 2, 4, 6, 8, 12, 16, 32 };
	for (size_t i = 0; i < sizeof(borders_kib) / sizeof(borders_kib[0]); i++) {
		size_t border = borders_kib[i] * KIB;
		assert_int_equal(next_class_bytes(next_class_of(border)), border);
		assert_int_equal(next_class_of(border + 1), next_class_of(border) + 1);
	}
}

static void a_power_of_two_is_a_class_of_its_own(void **state)
{
	(void)state;
	for (size_t bytes = 16; bytes <= NEXT_CLASS_MAX_BYTES; bytes *= 2)
		assert_int_equal(next_class_bytes(next_class_of(bytes)), bytes);
}

static void every_unit_has_a_slot_of_its_class_and_every_slot_one_class(void **state)
{
	(void)state;
	unsigned slots = 0;
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		assert_int_equal(slot_first(bin), slots);
		assert_true(slot_last(bin) >= slot_first(bin));
		slots = slot_last(bin) + 1;
	}
	assert_int_equal(slots, SLOT_OF_NONE);
	for (size_t unit = 0; unit < NEXT_BIN_MAX_BYTES / 16; unit++) {
		unsigned bin = next_class_of((unit + 1) * 16);
		size_t slot = unit < SLOT_UNITS ? unit : slot_of_large_unit(unit);
		assert_in_range(slot, slot_first(bin), slot_last(bin));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_served_by_the_smallest_class_that_holds_it),
		cmocka_unit_test(classes_grow_and_a_class_serves_its_own_size),
		cmocka_unit_test(the_waste_is_bounded),
		cmocka_unit_test(no_class_straddles_a_border_of_legacys_classes),
		cmocka_unit_test(a_power_of_two_is_a_class_of_its_own),
		cmocka_unit_test(every_unit_has_a_slot_of_its_class_and_every_slot_one_class),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
