/* SPDX-License-Identifier: MIT */
/* tests/migrate_plan_test.c - plans: what they mean, what is refused and in which words */
#include "migrate/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define PAGE ((size_t)4096)

static struct plan parsed(const char *text)
{
	struct plan_error error = { .reason = "" };
	struct plan plan;

	if (!plan_parse(&plan, text, strlen(text), true, &error))
		fail_msg("%s: %s", text, error.reason);
	return plan;
}

/* All classes from that of `first` bytes to that of `last`, and no other, have the target. */
static void assert_exactly(const char *text, size_t first, size_t last, enum plan_target target)
{
	struct plan plan = parsed(text);

	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		bool inside = class >= next_class_of(first) && class <= next_class_of(last);
		assert_int_equal(plan.class[class].target, inside ? target : PLAN_OLD);
	}
}

static void assert_refused_where(const char *text, size_t length, bool has_system,
				 const char *reason, size_t offset)
{
	struct plan_error error;
	struct plan plan;

	assert_false(plan_parse(&plan, text, length, has_system, &error));
	if (!strstr(error.reason, reason))
		fail_msg("%s: \"%s\" instead of \"%s\"", text, error.reason, reason);
	assert_int_equal(error.offset, offset);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		assert_int_equal(plan.class[class].target, PLAN_OLD);
	assert_int_equal(plan.old_mid, PLAN_LEGACY);
}

static void assert_refused(const char *text, const char *reason, size_t offset)
{
	assert_refused_where(text, strlen(text), true, reason, offset);
}

static void served_by(const struct plan *plan, size_t bytes, enum plan_target target)
{
	assert_int_equal(plan_served_by(plan, next_class_of(bytes)), target);
}

/* --- meaning ---------------------------------------------------------------------------------- */

static void without_a_plan_everything_is_old(void **state)
{
	(void)state;
	const char *const texts[] = { "", " ", " \t " };

	for (size_t i = 0; i < 3; i++) {
		struct plan plan = parsed(texts[i]);
		served_by(&plan, 1, PLAN_SYSTEM);
		served_by(&plan, 1024, PLAN_SYSTEM);
		served_by(&plan, 1025, PLAN_LEGACY);
		served_by(&plan, 32 * KIB, PLAN_LEGACY);
		served_by(&plan, 32 * KIB + 1, PLAN_SYSTEM);
		served_by(&plan, PTRDIFF_MAX, PLAN_SYSTEM);
	}
}

static void without_a_system_next_serves_what_legacy_does_not(void **state)
{
	(void)state;
	struct plan plan;

	plan_init(&plan, false);
	served_by(&plan, 1024, PLAN_NEXT);
	served_by(&plan, 1025, PLAN_LEGACY);
	served_by(&plan, 32 * KIB, PLAN_LEGACY);
	served_by(&plan, 32 * KIB + 1, PLAN_NEXT);
}

static void bands_end_where_they_say(void **state)
{
	(void)state;
	assert_exactly("all=next", 1, PTRDIFF_MAX, PLAN_NEXT);
	assert_exactly("tiny=next", 1, 1024, PLAN_NEXT);
	assert_exactly("mid=next", 1025, 32 * KIB, PLAN_NEXT);
	assert_exactly("large=next", 32 * KIB + 1, MIB, PLAN_NEXT);
	assert_exactly("huge=next", MIB + 1, PTRDIFF_MAX, PLAN_NEXT);
	assert_string_equal(plan_band_name(next_class_of(1024)), "tiny");
	assert_string_equal(plan_band_name(next_class_of(1025)), "mid");
	assert_string_equal(plan_band_name(next_class_of(32 * KIB)), "mid");
	assert_string_equal(plan_band_name(next_class_of(32 * KIB + 1)), "large");
	assert_string_equal(plan_band_name(next_class_of(MIB)), "large");
	assert_string_equal(plan_band_name(next_class_of(MIB + 1)), "huge");
}

static void a_size_names_the_class_that_serves_it(void **state)
{
	(void)state;
	const char *const texts[] = { "4k=system", "4096=system", "4KiB=system",
				      "4K=system", "4kib=system", "3841=system" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_exactly(texts[i], 4096, 4096, PLAN_SYSTEM);
	assert_exactly("1m=next", MIB, MIB, PLAN_NEXT);
	assert_exactly("1=next", 1, 16, PLAN_NEXT);
	assert_exactly("3G=next", PTRDIFF_MAX, PTRDIFF_MAX, PLAN_NEXT);
	assert_exactly("9223372036854775807=next", MIB + 1, MIB + 1, PLAN_NEXT);
}

static void a_range_includes_both_its_ends(void **state)
{
	(void)state;
	assert_exactly("2k-8k=legacy", 2048, 8192, PLAN_LEGACY);
	assert_exactly("64 - 64=next", 64, 64, PLAN_NEXT);
	assert_exactly("1-9223372036854775807=system", 1, PTRDIFF_MAX, PLAN_SYSTEM);
	assert_exactly("1025-32k=legacy", 1025, 32 * KIB, PLAN_LEGACY);
}

static void later_items_override_earlier_ones(void **state)
{
	(void)state;
	struct plan plan = parsed("all=next, mid=old, 4k=system, 4k=next");

	served_by(&plan, 64, PLAN_NEXT);
	served_by(&plan, 2048, PLAN_LEGACY);
	served_by(&plan, 4096, PLAN_NEXT);
	assert_exactly("4k=next,all=old", 1, PTRDIFF_MAX, PLAN_OLD);
}

static void the_old_side_holds_wherever_it_is_named(void **state)
{
	(void)state;
	const char *const texts[] = { "old=system,mid=old", "mid=old,old=system", "old=system" };

	for (size_t i = 0; i < 3; i++) {
		struct plan plan = parsed(texts[i]);
		served_by(&plan, 2048, PLAN_SYSTEM);
		served_by(&plan, 16, PLAN_SYSTEM);
	}
	struct plan plan = parsed("old=legacy");
	served_by(&plan, 2048, PLAN_LEGACY);
	plan = parsed("old=system, 4k=legacy");
	served_by(&plan, 4096, PLAN_LEGACY);
	assert_int_equal(plan_old_side(&plan, next_class_of(4096)), PLAN_SYSTEM);
}

static void blanks_may_stand_around_every_word(void **state)
{
	(void)state;
	assert_exactly("\t 2k\t- 8k  =\tlegacy ", 2048, 8192, PLAN_LEGACY);
}

static void assert_share(const char *text, enum share_of of, uint32_t size, bool control)
{
	struct plan plan = parsed(text);
	const struct plan_class *class = &plan.class[next_class_of(4096)];

	assert_int_equal(class->target, PLAN_NEXT);
	assert_int_equal(class->share.of, of);
	assert_int_equal(class->share.size, size);
	assert_int_equal(class->share.control, control);
}

static void a_share_says_how_much_of_what(void **state)
{
	(void)state;
	assert_share("4k=next", SHARE_OF_ALL, SHARE_WHOLE, false);
	assert_share("4k=next@25%:thread", SHARE_OF_THREADS, 25 * SHARE_PERCENT, false);
	assert_share("4k=next@0.5%:process", SHARE_OF_PROCESSES, SHARE_PERCENT / 2, false);
	assert_share("4k=next@007.25%:host", SHARE_OF_HOSTS, 7250000, false);
	assert_share("4k=next@0.000001%:thread", SHARE_OF_THREADS, 1, false);
	assert_share("4k=next@0%:thread", SHARE_OF_THREADS, 0, false);
	assert_share("4k=next@100.000000%:thread", SHARE_OF_THREADS, SHARE_WHOLE, false);
	assert_share("4k=next@5%:thread/control", SHARE_OF_THREADS, 5 * SHARE_PERCENT, true);
	assert_share("4k=next@50%:host/control", SHARE_OF_HOSTS, SHARE_WHOLE / 2, true);
	assert_share("4k = next @ 25 % : thread / control", SHARE_OF_THREADS, 25 * SHARE_PERCENT,
		     true);
	/* The last item is the whole word on a class. */
	assert_share("4k=next@5%:thread/control,4k=next", SHARE_OF_ALL, SHARE_WHOLE, false);
	assert_share("4k=next,4k=next@5%:host", SHARE_OF_HOSTS, 5 * SHARE_PERCENT, false);
}

static void a_class_is_written_as_it_was_read(void **state)
{
	(void)state;
	const char *const texts[] = {
		"next",
		"old",
		"legacy",
		"system",
		"next@25%:thread",
		"next@0.5%:process/control",
		"next@100%:host",
		"next@0%:thread",
		"next@0.000001%:thread",
		"next@12.345678%:process/control",
		"next@50%:thread/control",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[64] = "4k=", back[PLAN_CLASS_TEXT_BYTES];
		strcat(text, texts[i]);
		struct plan plan = parsed(text);
		plan_class_text(&plan.class[next_class_of(4096)], back);
		assert_string_equal(back, texts[i]);
	}
}

static void a_salt_is_any_text_and_holds_for_the_plan(void **state)
{
	(void)state;
	struct plan plan = parsed("tiny=next");
	assert_string_equal(plan.salt, "");
	assert_false(plan.salt_named);
	plan = parsed("salt = spring 26: a=b@c%/d , tiny=next");
	assert_string_equal(plan.salt, "spring 26: a=b@c%/d");
	assert_true(plan.salt_named);
	plan = parsed("tiny=next,salt=12345678901234567890123456789012");
	assert_string_equal(plan.salt, "12345678901234567890123456789012");
}

static void a_plan_over_another_replaces_what_it_names(void **state)
{
	(void)state;
	struct plan plan = parsed("all=next@5%:host,old=system,salt=a");
	struct plan upper = parsed("tiny=old,4k=next@25%:thread");

	plan_overlay(&plan, &upper);
	assert_int_equal(plan.class[0].target, PLAN_OLD);
	assert_int_equal(plan.class[next_class_of(4096)].share.of, SHARE_OF_THREADS);
	assert_int_equal(plan.class[next_class_of(8192)].share.of, SHARE_OF_HOSTS);
	assert_int_equal(plan.old_mid, PLAN_SYSTEM);
	assert_string_equal(plan.salt, "a");
	upper = parsed("old=legacy,salt=b");
	plan_overlay(&plan, &upper);
	assert_int_equal(plan.old_mid, PLAN_LEGACY);
	assert_string_equal(plan.salt, "b");
	assert_int_equal(plan.class[next_class_of(8192)].target, PLAN_NEXT);
	upper = parsed("");
	plan_overlay(&plan, &upper);
	assert_string_equal(plan.salt, "b");
}

static void classes_alone_are_read_as_in_a_plan(void **state)
{
	(void)state;
	const char *text = "tiny, 4k,16k - 32k";
	bool named[NEXT_CLASSES] = { false };
	struct plan_error error;

	assert_true(plan_parse_classes(named, text, strlen(text), &error));
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		assert_int_equal(named[class], class <= next_class_of(1024) ||
						       class == next_class_of(4096) ||
						       (class >= next_class_of(16 * KIB) &&
							class <= next_class_of(32 * KIB)));
	const char *const wrong[] = { "", ",", "tiny,", "tiny=next", "tiny mid", "0", "x" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(plan_parse_classes(named, wrong[i], strlen(wrong[i]), &error));
}

/* --- refusals --------------------------------------------------------------------------------- */

static void legacy_outside_its_band_is_refused(void **state)
{
	(void)state;
	const char *reason = "legacy serves above 1 KiB to 32 KiB only";

	assert_refused("tiny=legacy", reason, 0);
	assert_refused("all=legacy", "all=old", 0);
	assert_refused("large=legacy", reason, 0);
	assert_refused("huge=legacy", reason, 0);
	assert_refused("4k=legacy, 1k=legacy", reason, 11);
	assert_refused("1024-2k=legacy", reason, 0);
	assert_refused("32k-32769=legacy", reason, 0);
}

static void words_that_do_not_exist_are_refused(void **state)
{
	(void)state;
	assert_refused("small=next", "no such selector", 0);
	assert_refused("Tiny=next", "no such selector", 0);
	assert_refused("tiny=new", "no such target", 5);
	assert_refused("tiny=NEXT", "no such target", 5);
	assert_refused("tiny=next, mid= nexT", "no such target", 16);
	assert_refused("tiny-mid=next", "no such selector", 0);
	assert_refused("tiny next", "no '='", 0);
	assert_refused("tiny=next mid=next", "a second '='", 5);
	assert_refused("=next", "no selector", 0);
	assert_refused(" tiny= ", "nothing after '='", 6);
	assert_refused("old=", "nothing after '='", 4);
	assert_refused("salt= ,tiny=next", "nothing after '='", 5);
}

static void empty_items_are_refused(void **state)
{
	(void)state;
	assert_refused(",", "an empty item", 0);
	assert_refused("tiny=next,", "an empty item", 10);
	assert_refused("tiny=next,,mid=next", "an empty item", 10);
	assert_refused(" , tiny=next", "an empty item", 1);
	assert_refused("tiny=next, ", "an empty item", 11);
}

static void wrong_sizes_are_refused(void **state)
{
	(void)state;
	assert_refused("0=next", "sizes begin at 1", 0);
	assert_refused("0k-4k=next", "sizes begin at 1", 0);
	assert_refused("4kb=next", "no such unit", 1);
	assert_refused("4t=next", "no such unit", 1);
	assert_refused("4 k=next", "no such unit", 1);
	assert_refused("4.5k=next", "no such unit", 1);
	assert_refused("9223372036854775808=next", "too large", 0);
	assert_refused("18446744073709551616=next", "too large", 0);
	assert_refused("18446744073709551617=next", "too large", 0);
	assert_refused("99999999999999999999999999999999=next", "too large", 0);
	assert_refused("8589934592g=next", "too large", 0);
	assert_refused("17179869185g=next", "too large", 0);
	assert_refused("1-99999999999999999999=next", "too large", 2);
}

static void wrong_ranges_are_refused(void **state)
{
	(void)state;
	assert_refused("8k-2k=next", "ends before it begins", 0);
	assert_refused("2k-=next", "a size on either side", 0);
	assert_refused("-2k=next", "a size on either side", 0);
	assert_refused("-=next", "a size on either side", 0);
	assert_refused("2k-4k-8k=next", "no such unit", 4);
	assert_refused("2k-tiny=next", "begins with a digit", 3);
}

static void a_wrong_old_side_is_refused(void **state)
{
	(void)state;
	assert_refused("old=next", "the old side is legacy or system", 4);
	assert_refused("old=old", "the old side is legacy or system", 4);
	assert_refused("old=system, old=legacy", "named twice", 12);
	assert_refused("old=system, old=system", "named twice", 12);
}

static void wrong_shares_are_refused(void **state)
{
	(void)state;
	const char *number = "a share is a number of percent", *what = "a share of what?";

	assert_refused("4k=next@", number, 8);
	assert_refused("4k=next@:thread", number, 8);
	assert_refused("4k=next@%:thread", number, 8);
	assert_refused("4k=next@25:thread", number, 8);
	assert_refused("4k=next@.5%:thread", number, 8);
	assert_refused("4k=next@5.%:thread", number, 8);
	assert_refused("4k=next@-5%:thread", number, 8);
	assert_refused("4k=next@5e1%:thread", number, 8);
	assert_refused("4k=next@1.2.3%:thread", number, 8);
	assert_refused("4k=next@ 2 5%:thread", number, 9);
	assert_refused("4k=next@0.1234567%:thread", "6 decimals at most", 8);
	assert_refused("4k=next@100.000001%:thread", "100% at most", 8);
	assert_refused("4k=next@101%:thread", "100% at most", 8);
	assert_refused("4k=next@99999999999999999999999999%:thread", "100% at most", 8);
	assert_refused("4k=next@25%", what, 11);
	assert_refused("4k=next@25% thread", what, 12);
	assert_refused("4k=next@25%:", what, 12);
	assert_refused("4k=next@25%:threads", what, 12);
	assert_refused("4k=next@25%:Host", what, 12);
	assert_refused("4k=next@25%/control", what, 11);
	assert_refused("4k=next@@25%:thread", number, 8);
	assert_refused("4k=legacy@25%:thread", "only next takes a share", 9);
	assert_refused("4k=old@25%:thread", "only next takes a share", 6);
	assert_refused("old=system@25%:host", "no such target", 4);
	assert_refused("tiny=nxt@25%:host", "no such target", 5);
}

static void wrong_control_arms_are_refused(void **state)
{
	(void)state;
	assert_refused("4k=next/control", "a control arm needs a share", 7);
	assert_refused("4k=next@5%:thread/", "no such arm", 18);
	assert_refused("4k=next@5%:thread/canary", "no such arm", 18);
	assert_refused("4k=next@5%:thread/control/control", "no such arm", 18);
	assert_refused("4k=next@50.000001%:thread/control", "no room for a control arm", 8);
	assert_refused("4k=next@100%:host/control", "no room for a control arm", 8);
}

static void wrong_salts_are_refused(void **state)
{
	(void)state;
	assert_refused("salt=a,salt=a", "the salt is named twice", 7);
	assert_refused("salt=123456789012345678901234567890123", "longer than 32 bytes", 5);
}

static void system_is_refused_where_there_is_none(void **state)
{
	(void)state;
	const char *reason = "a static program has no system";
	struct plan_error error;
	struct plan plan;

	assert_refused_where("16k=system", 10, false, reason, 4);
	assert_refused_where("old=system", 10, false, reason, 4);
	assert_refused_where("16k=system,16k=next", 19, false, reason, 4);
	assert_true(plan_parse(&plan, "mid=next,8k=old", 15, false, &error));
	served_by(&plan, 8192, PLAN_LEGACY);
}

static void bytes_that_no_plan_has_are_refused(void **state)
{
	(void)state;
	const char *reason = "a byte that no plan has";

	assert_refused("tiny=next\n", reason, 9);
	assert_refused("tiny=next,\033[2Jmid=next", reason, 10);
	assert_refused("t\x7fny=next", reason, 1);
	assert_refused("tiny=n\xc3\xa9xt", reason, 6);
	assert_refused_where("tiny=next\0,mid=next", 19, true, reason, 9);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
	(void)state;
	static char text[PLAN_TEXT_MAX + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, "tiny=next", 9);
	assert_refused_where(text, PLAN_TEXT_MAX + 1, true, "longer than 4096 bytes", 0);
	struct plan_error error;
	struct plan plan;
	assert_true(plan_parse(&plan, text, PLAN_TEXT_MAX, true, &error));
}

/* --- errors as text ---------------------------------------------------------------------------- */

static void an_error_is_one_line_with_the_item_and_the_reason(void **state)
{
	(void)state;
	const char *text = "mid=next,  tiny=legacy ";
	char line[PLAN_ERROR_BYTES];
	struct plan_error error;
	struct plan plan;

	assert_false(plan_parse(&plan, text, strlen(text), true, &error));
	size_t length = plan_error_text(&error, line);
	assert_string_equal(line,
			    "\"tiny=legacy\": legacy serves above 1 KiB to 32 KiB only (byte 11)");
	assert_int_equal(length, strlen(line));
}

static void an_item_is_quoted_so_that_a_terminal_can_take_it(void **state)
{
	(void)state;
	const char *text = "a\"b\\\033\xff=next";
	struct plan_error error;
	struct plan plan;

	assert_false(plan_parse(&plan, text, strlen(text), true, &error));
	assert_string_equal(error.item, "a\\\"b\\\\\\x1b\\xff=next");
}

/* For every length around the cut: whole or ended in dots, never over the end. */
static void a_long_item_is_cut(void **state)
{
	(void)state;
	char text[200], line[PLAN_ERROR_BYTES];
	struct plan_error error;
	struct plan plan;

	memset(text, 'x', sizeof(text));
	for (size_t length = 1; length <= sizeof(text); length++) {
		assert_false(plan_parse(&plan, text, length, true, &error));
		size_t shown = strlen(error.item);
		assert_true(shown < PLAN_ITEM_BYTES);
		if (shown < length)
			assert_string_equal(error.item + shown - 3, "...");
		else
			assert_memory_equal(error.item, text, length);
		assert_true(plan_error_text(&error, line) < PLAN_ERROR_BYTES - 1);
	}
}

/* --- properties -------------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned random_below(unsigned end)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((random_state >> 33) % end);
}

/* Half pieces of the grammar, half any bytes: pure noise would never pass the first check. */
static size_t random_text(char *text, size_t room)
{
	static const char *const pieces[] = {
		"all",	 "tiny",   "mid",     "large",	  "huge", "old",
		"next",	 "legacy", "=",	      "=",	  "=",	  ",",
		",",	 "-",	   " ",	      "system",	  "4k",	  "2k",
		"32KiB", "1m",	   "0",	      "1025",	  "@25%", "18446744073709551616",
		"/",	 "\t",	   "4096",    "g",	  "salt", "@0.5%:thread/control",
		":host", "%",	   "control", ":process",
	};
	size_t used = 0;
	unsigned count = random_below(14);

	for (unsigned i = 0; i < count; i++) {
		const char *piece = pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))];
		char noise[2] = { (char)random_below(256), '\0' };
		if (random_below(16) == 0)
			piece = noise;
		size_t length = piece == noise ? 1 : strlen(piece);
		if (used + length > room)
			break;
		memcpy(text + used, piece, length);
		used += length;
	}
	return used;
}

static void check_plan(const struct plan *plan, bool has_system)
{
	assert_non_null(memchr(plan->salt, '\0', sizeof(plan->salt)));
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		const struct share *share = &plan->class[class].share;
		assert_true(share->size <= (share->control ? SHARE_WHOLE / 2 : SHARE_WHOLE));
		assert_true(share->of == SHARE_OF_ALL || plan->class[class].target == PLAN_NEXT);
		enum plan_target target = plan_served_by(plan, class);
		assert_true(target == PLAN_NEXT || target == PLAN_LEGACY || target == PLAN_SYSTEM);
		assert_false(target == PLAN_SYSTEM && !has_system);
		if (target == PLAN_LEGACY)
			assert_string_equal(plan_band_name(class), "mid");
	}
}

static void check_error(const struct plan_error *error, size_t length)
{
	char line[PLAN_ERROR_BYTES];

	assert_true(error->offset <= length);
	assert_non_null(error->reason);
	assert_non_null(memchr(error->item, '\0', sizeof(error->item)));
	size_t used = plan_error_text(error, line);
	assert_true(used < PLAN_ERROR_BYTES - 1);
	for (size_t i = 0; i < used; i++)
		assert_in_range(line[i], 0x20, 0x7e);
}

/* The text ends where an unmapped page begins: a read past it is a fault. */
static void a_hundred_thousand_texts_parse_or_are_refused(void **state)
{
	(void)state;
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned accepted = 0;

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
	random_state = 20251024;
	for (unsigned i = 0; i < 100000; i++) {
		char made[256];
		size_t length = random_text(made, sizeof(made));
		char *text = pages + PAGE - length;
		bool has_system = random_below(2);
		struct plan_error error;
		struct plan plan;

		memcpy(text, made, length);
		memset(&plan, 0xee, sizeof(plan));
		memset(&error, 0xee, sizeof(error));
		if (plan_parse(&plan, text, length, has_system, &error))
			accepted += length > 0;
		else
			check_error(&error, length);
		check_plan(&plan, has_system);
	}
	/* Else the generator only ever makes nonsense, and the test tells nothing. */
	assert_true(accepted > 500);
	munmap(pages, 2 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_plan_everything_is_old),
		cmocka_unit_test(without_a_system_next_serves_what_legacy_does_not),
		cmocka_unit_test(bands_end_where_they_say),
		cmocka_unit_test(a_size_names_the_class_that_serves_it),
		cmocka_unit_test(a_range_includes_both_its_ends),
		cmocka_unit_test(later_items_override_earlier_ones),
		cmocka_unit_test(the_old_side_holds_wherever_it_is_named),
		cmocka_unit_test(blanks_may_stand_around_every_word),
		cmocka_unit_test(a_share_says_how_much_of_what),
		cmocka_unit_test(a_class_is_written_as_it_was_read),
		cmocka_unit_test(a_salt_is_any_text_and_holds_for_the_plan),
		cmocka_unit_test(a_plan_over_another_replaces_what_it_names),
		cmocka_unit_test(classes_alone_are_read_as_in_a_plan),
		cmocka_unit_test(legacy_outside_its_band_is_refused),
		cmocka_unit_test(words_that_do_not_exist_are_refused),
		cmocka_unit_test(empty_items_are_refused),
		cmocka_unit_test(wrong_sizes_are_refused),
		cmocka_unit_test(wrong_ranges_are_refused),
		cmocka_unit_test(a_wrong_old_side_is_refused),
		cmocka_unit_test(wrong_shares_are_refused),
		cmocka_unit_test(wrong_control_arms_are_refused),
		cmocka_unit_test(wrong_salts_are_refused),
		cmocka_unit_test(system_is_refused_where_there_is_none),
		cmocka_unit_test(bytes_that_no_plan_has_are_refused),
		cmocka_unit_test(a_text_that_is_too_long_is_refused),
		cmocka_unit_test(an_error_is_one_line_with_the_item_and_the_reason),
		cmocka_unit_test(an_item_is_quoted_so_that_a_terminal_can_take_it),
		cmocka_unit_test(a_long_item_is_cut),
		cmocka_unit_test(a_hundred_thousand_texts_parse_or_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
