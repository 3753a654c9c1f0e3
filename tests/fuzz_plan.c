/* SPDX-License-Identifier: MIT */
/* tests/fuzz_plan.c - libFuzzer target: any text is a plan or is refused in one printable line
 *
 * The first byte says whether there is a system; the rest is the text, which libFuzzer hands over in
 * a block of exactly its length.
 */
#include "migrate/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_error(const struct plan_error *error, size_t length)
{
	char line[PLAN_ERROR_BYTES];

	require(error->offset <= length && error->reason);
	require(memchr(error->item, '\0', sizeof(error->item)) != NULL);
	size_t used = plan_error_text(error, line);
	require(used == strlen(line) && used < PLAN_ERROR_BYTES - 1);
	for (size_t i = 0; i < used; i++)
		require(line[i] >= 0x20 && line[i] < 0x7f);
}

/* What a class is written as is read as the same class again. */
static void check_class(const struct plan *plan, unsigned class, bool has_system)
{
	const struct plan_class *said = &plan->class[class];
	char text[8 + PLAN_CLASS_TEXT_BYTES] = "all=";
	struct plan_error error;
	struct plan again;

	require(said->share.size <= (said->share.control ? SHARE_WHOLE / 2 : SHARE_WHOLE));
	if (said->target == PLAN_LEGACY)
		memcpy(text, "mid=", 4);
	plan_class_text(said, text + 4);
	require(plan_parse(&again, text, strlen(text), has_system, &error));
	const struct plan_class *back = &again.class[next_class_of(4096)];
	require(back->target == said->target && back->share.of == said->share.of &&
		back->share.size == said->share.size && back->share.control == said->share.control);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct plan_error error;
	struct plan plan;

	if (bytes == 0)
		return 0;
	bool has_system = data[0] & 1;
	if (!plan_parse(&plan, (const char *)data + 1, bytes - 1, has_system, &error)) {
		check_error(&error, bytes - 1);
		for (unsigned class = 0; class < NEXT_CLASSES; class ++)
			require(plan.class[class].target == PLAN_OLD);
	}
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		enum plan_target target = plan_served_by(&plan, class);
		require(target == PLAN_NEXT || target == PLAN_LEGACY || target == PLAN_SYSTEM);
		require(target != PLAN_SYSTEM || has_system);
		require(target != PLAN_LEGACY || strcmp(plan_band_name(class), "mid") == 0);
		/* Classes of one item are alike. */
		if (class == 0 ||
		    memcmp(&plan.class[class], &plan.class[class - 1], sizeof(plan.class[0])) != 0)
			check_class(&plan, class, has_system);
	}
	return 0;
}
