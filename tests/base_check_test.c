/* SPDX-License-Identifier: MIT */
/* tests/base_check_test.c - the one fatal exit: what it prints, and which checks are on */
#include "shim/base/check.h"

#include "tests/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void misuse(void *argument)
{
	fatal_misuse("free of nonsense", (void *)0x123456789abcdef0, argument);
}

static void misuse_prints_what_where_and_why_and_aborts(void **state)
{
	(void)state;
	assert_true(dies_with(misuse, "because",
			      "hakmem: free of nonsense: 0x123456789abcdef0: because\n"));
	assert_true(dies_with(misuse, NULL, "hakmem: free of nonsense: 0x123456789abcdef0\n"));
}

static void misuse_of_null(void *argument)
{
	(void)argument;
	fatal_misuse("x", NULL, NULL);
}

static void a_null_address_is_printed_as_zero(void **state)
{
	(void)state;
	assert_true(dies_with(misuse_of_null, NULL, "hakmem: x: 0x0\n"));
}

static void a_line_that_is_too_long_is_cut_and_ends(void **state)
{
	(void)state;
	static char long_text[2000];
	memset(long_text, 'y', sizeof(long_text) - 1);
	assert_true(dies_with(misuse, long_text, "free of nonsense|0x123456789abcdef0|yyyy\n"));
}

static void internal(void *argument)
{
	(void)argument;
	fatal_internal("1 == 2", "next/page.c", 4711);
}

static void an_internal_error_names_its_place(void **state)
{
	(void)state;
	assert_true(dies_with(internal, NULL, "hakmem: internal: 1 == 2 (next/page.c:4711)\n"));
}

/* What is written to stderr while act() runs. */
static void captured(void (*act)(void), char *text, size_t size)
{
	int fds[2], kept = dup(STDERR_FILENO);
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	act();
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(fds[1]);
	ssize_t n = read(fds[0], text, size - 1);
	close(fds[0]);
	text[n > 0 ? n : 0] = '\0';
}

static void report(void)
{
	errno = 4711;
	report_line("plan: ", "4k", " is ", "wrong", (char *)NULL);
	assert_int_equal(errno, 4711);
	report_line("short", (char *)NULL);
}

static void a_report_is_one_line_of_all_its_pieces_and_keeps_errno(void **state)
{
	(void)state;
	char text[200];
	captured(report, text, sizeof(text));
	assert_string_equal(text, "hakmem: plan: 4k is wrong\nhakmem: short\n");
}

static void cheap_check(void *argument)
{
	CHECK_CHEAP(argument != NULL);
}

static void full_check(void *argument)
{
	CHECK_FULL(argument != NULL);
}

static void checks_are_on_in_their_tier(void **state)
{
	(void)state;
	cheap_check(state);
	full_check(state);
	if (HAKMEM_CHECKS >= 1)
		assert_true(dies_with(cheap_check, NULL,
				      "internal: argument != NULL|base_check_test.c"));
	else
		cheap_check(NULL);
	if (HAKMEM_CHECKS >= 2)
		assert_true(dies_with(full_check, NULL,
				      "internal: argument != NULL|base_check_test.c"));
	else
		full_check(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misuse_prints_what_where_and_why_and_aborts),
		cmocka_unit_test(a_null_address_is_printed_as_zero),
		cmocka_unit_test(a_line_that_is_too_long_is_cut_and_ends),
		cmocka_unit_test(an_internal_error_names_its_place),
		cmocka_unit_test(a_report_is_one_line_of_all_its_pieces_and_keeps_errno),
		cmocka_unit_test(checks_are_on_in_their_tier),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
