/* SPDX-License-Identifier: MIT */
/* migrate/plan.c - the parser of plans; the grammar stands in plan.h
 *
 * The text is cut at commas into items, an item at its first '=' into selector and target. Each
 * step works on a span of the text, and no step reads outside its span: that is the whole argument
 * for safety on hostile text. The bytes of an item are checked before anything else is.
 *
 * Three layers: read_*() turn a span into a value or into the reason why not; apply_*() put an
 * item into the plan; each_item() walks the items. The first error ends it.
 */
#include "migrate/plan.h"

#include <string.h>

/* Part of the text. */
struct span {
	const char *start;
	size_t length;
};

/* What a selector names: classes first to last. */
struct selection {
	unsigned first, last;
};

/* A reason to refuse, NULL for none, and the span to point at. */
struct fault {
	const char *reason;
	const char *at;
};

static const struct fault no_fault = { .reason = NULL, .at = NULL };

static const char no_system[] = "a static program has no system allocator to go to";
static const char empty_item[] = "an empty item: a comma too many";

static const char *const target_names[PLAN_TARGETS] = {
	[PLAN_OLD] = "old",
	[PLAN_NEXT] = "next",
	[PLAN_LEGACY] = "legacy",
	[PLAN_SYSTEM] = "system",
};

/* Bands from small to large; each begins behind the one before it. */
static const struct {
	const char *name;
	size_t max_bytes;
} bands[] = {
	{ .name = "tiny", .max_bytes = PLAN_TINY_MAX_BYTES },
	{ .name = "mid", .max_bytes = PLAN_MID_MAX_BYTES },
	{ .name = "large", .max_bytes = NEXT_CLASS_MAX_BYTES },
	{ .name = "huge", .max_bytes = PTRDIFF_MAX },
};
#define BANDS (sizeof(bands) / sizeof(bands[0]))

static struct fault fault_at(const char *at, const char *reason)
{
	return (struct fault){ .reason = reason, .at = at };
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct span span_trim(struct span span)
{
	while (span.length > 0 && is_blank(span.start[0])) {
		span.start++;
		span.length--;
	}
	while (span.length > 0 && is_blank(span.start[span.length - 1]))
		span.length--;
	return span;
}

static bool span_is(struct span span, const char *word)
{
	return span.length == strlen(word) && memcmp(span.start, word, span.length) == 0;
}

/* The same in any case; `word` is in small letters. */
static bool span_is_caseless(struct span span, const char *word)
{
	if (span.length != strlen(word))
		return false;
	for (size_t i = 0; i < span.length; i++) {
		char c = span.start[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != word[i])
			return false;
	}
	return true;
}

/* The part before the first `separator`, and in *rest the part behind. False if there is none. */
static bool span_split(struct span whole, char separator, struct span *before, struct span *rest)
{
	const char *found = memchr(whole.start, separator, whole.length);
	if (!found)
		return false;
	size_t length = (size_t)(found - whole.start);
	*before = (struct span){ .start = whole.start, .length = length };
	*rest = (struct span){ .start = found + 1, .length = whole.length - length - 1 };
	return true;
}

/* --- words ------------------------------------------------------------------------------------ */

static struct fault read_unit(struct span unit, size_t *factor)
{
	static const struct {
		const char *short_name, *long_name;
		size_t bytes;
	} units[] = {
		{ .short_name = "k", .long_name = "kib", .bytes = KIB },
		{ .short_name = "m", .long_name = "mib", .bytes = MIB },
		{ .short_name = "g", .long_name = "gib", .bytes = KIB * MIB },
	};

	*factor = 1;
	if (unit.length == 0)
		return no_fault;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		*factor = units[i].bytes;
		if (span_is_caseless(unit, units[i].short_name) ||
		    span_is_caseless(unit, units[i].long_name))
			return no_fault;
	}
	return fault_at(unit.start,
			"no such unit: a size ends in k, m, g, KiB, MiB, GiB or nothing");
}

static struct fault read_size(struct span span, size_t *bytes)
{
	size_t value = 0, factor = 1, digits = 0;
	bool too_large = false;

	for (; digits < span.length && is_digit(span.start[digits]); digits++) {
		too_large |= __builtin_mul_overflow(value, (size_t)10, &value);
		too_large |=
			__builtin_add_overflow(value, (size_t)(span.start[digits] - '0'), &value);
	}
	if (digits == 0)
		return fault_at(span.start, "a size begins with a digit");

	struct span unit = { .start = span.start + digits, .length = span.length - digits };
	struct fault fault = read_unit(unit, &factor);
	if (fault.reason)
		return fault;
	too_large |= __builtin_mul_overflow(value, factor, &value);
	if (too_large || value > PTRDIFF_MAX)
		return fault_at(span.start, "the size is too large: no block can have it");
	if (value == 0)
		return fault_at(span.start, "sizes begin at 1");
	*bytes = value;
	return no_fault;
}

static struct fault read_range(struct span span, struct selection *selection)
{
	struct span first = span, last = span;
	size_t first_bytes = 0, last_bytes = 0;

	if (span_split(span, '-', &first, &last)) {
		first = span_trim(first);
		last = span_trim(last);
		if (first.length == 0 || last.length == 0)
			return fault_at(span.start, "a range has a size on either side: 2k-8k");
	}
	struct fault fault = read_size(first, &first_bytes);
	if (!fault.reason)
		fault = read_size(last, &last_bytes);
	if (fault.reason)
		return fault;
	if (first_bytes > last_bytes)
		return fault_at(span.start, "the range ends before it begins");
	selection->first = next_class_of(first_bytes);
	selection->last = next_class_of(last_bytes);
	return no_fault;
}

static struct fault read_selector(struct span span, struct selection *selection)
{
	unsigned first = 0;

	if (span_is(span, "all")) {
		*selection = (struct selection){ .first = 0, .last = NEXT_CLASSES - 1 };
		return no_fault;
	}
	for (size_t i = 0; i < BANDS; i++) {
		unsigned last = next_class_of(bands[i].max_bytes);
		if (span_is(span, bands[i].name)) {
			*selection = (struct selection){ .first = first, .last = last };
			return no_fault;
		}
		first = last + 1;
	}
	/* A word that begins like a size is explained as one, any other as a name. */
	if (is_digit(span.start[0]) || span.start[0] == '-')
		return read_range(span, selection);
	return fault_at(span.start,
			"no such selector: all, tiny, mid, large, huge, a size (4k) or a "
			"range of sizes (2k-8k)");
}

static struct fault read_target(struct span span, enum plan_target *target)
{
	for (unsigned i = 0; i < PLAN_TARGETS; i++) {
		if (span_is(span, target_names[i])) {
			*target = (enum plan_target)i;
			return no_fault;
		}
	}
	const char *arm = memchr(span.start, '/', span.length);
	if (arm)
		return fault_at(arm, "a control arm needs a share: next@5%:thread/control");
	if (memchr(span.start, '=', span.length))
		return fault_at(span.start, "a second '=': is a comma missing?");
	return fault_at(span.start, "no such target: next, old, legacy or system");
}

/* --- shares ----------------------------------------------------------------------------------- */

/* "0.5": what stands before "%". */
static struct fault read_percent(struct span span, uint32_t *size)
{
	struct span whole = span, decimals = { .start = NULL, .length = 0 };
	bool has_point = span_split(span, '.', &whole, &decimals);
	uint64_t value = 0;

	if (whole.length == 0 || (has_point && decimals.length == 0))
		return fault_at(span.start, "a share is a number of percent: 25%, 0.5%");
	if (decimals.length > SHARE_DECIMALS)
		return fault_at(span.start, "a share has 6 decimals at most");
	for (size_t i = 0; i < span.length; i++) {
		if (span.start[i] == '.' && span.start + i == whole.start + whole.length)
			continue;
		if (!is_digit(span.start[i]))
			return fault_at(span.start, "a share is a number of percent: 25%, 0.5%");
		if (value <= SHARE_WHOLE) /* more digits only make it larger */
			value = value * 10 + (uint64_t)(span.start[i] - '0');
	}
	for (size_t i = decimals.length; i < SHARE_DECIMALS; i++)
		value *= 10;
	if (value > SHARE_WHOLE)
		return fault_at(span.start, "a share is 100% at most");
	*size = (uint32_t)value;
	return no_fault;
}

static struct fault read_share_of(struct span span, enum share_of *of)
{
	for (unsigned i = SHARE_OF_ALL + 1; i < SHARE_OFS; i++) {
		if (span_is(span, share_of_name((enum share_of)i))) {
			*of = (enum share_of)i;
			return no_fault;
		}
	}
	return fault_at(span.start, "a share of what? :thread, :process or :host");
}

/* What stands behind "@". */
static struct fault read_share(struct span span, struct share *share)
{
	struct span percent, rest, of, arm = { .start = NULL, .length = 0 };

	_Static_assert(SHARE_DECIMALS == 6, "a reason names it");
	if (!span_split(span, '%', &percent, &rest))
		return fault_at(span.start, "a share is a number of percent: 25%, 0.5%");
	struct fault fault = read_percent(span_trim(percent), &share->size);
	if (fault.reason)
		return fault;
	rest = span_trim(rest);
	if (rest.length == 0 || rest.start[0] != ':')
		return fault_at(rest.start, "a share of what? :thread, :process or :host");
	of = (struct span){ .start = rest.start + 1, .length = rest.length - 1 };
	share->control = span_split(of, '/', &of, &arm);
	fault = read_share_of(span_trim(of), &share->of);
	if (fault.reason || !share->control)
		return fault;
	if (!span_is(span_trim(arm), "control"))
		return fault_at(arm.start, "no such arm: /control");
	if (share->size > SHARE_WHOLE / 2)
		return fault_at(span.start,
				"no room for a control arm of the same size: it takes 50% at most");
	return no_fault;
}

/* "next", "next@25%:thread/control". */
static struct fault read_target_and_share(struct span word, struct plan_class *class)
{
	struct span target = word, share;
	bool has_share = span_split(word, '@', &target, &share);
	struct fault fault = read_target(span_trim(target), &class->target);

	class->share = (struct share){ .of = SHARE_OF_ALL, .size = SHARE_WHOLE };
	if (fault.reason || !has_share)
		return fault;
	if (class->target != PLAN_NEXT)
		return fault_at(share.start - 1, "only next takes a share: the rest stays old");
	return read_share(span_trim(share), &class->share);
}

/* --- items ------------------------------------------------------------------------------------ */

static bool legacy_serves(struct selection selection)
{
	return selection.first > next_class_of(PLAN_TINY_MAX_BYTES) &&
	       selection.last <= next_class_of(PLAN_MID_MAX_BYTES);
}

/* old=legacy, old=system. Twice is a mistake: it holds for the whole plan, wherever it stands. */
static struct fault apply_old(struct plan *plan, struct span selector, struct span word)
{
	enum plan_target target;
	struct fault fault = read_target(word, &target);

	if (fault.reason)
		return fault;
	if (plan->old_named)
		return fault_at(selector.start, "the old side is named twice");
	if (target != PLAN_LEGACY && target != PLAN_SYSTEM)
		return fault_at(word.start, "the old side is legacy or system");
	if (target == PLAN_SYSTEM && !plan->has_system)
		return fault_at(word.start, no_system);
	plan->old_named = true;
	plan->old_mid = target;
	return no_fault;
}

static struct fault apply_salt(struct plan *plan, struct span selector, struct span word)
{
	_Static_assert(PLAN_SALT_MAX == 32, "the reason below names it");
	if (plan->salt_named)
		return fault_at(selector.start, "the salt is named twice");
	if (word.length > PLAN_SALT_MAX)
		return fault_at(word.start, "the salt is longer than 32 bytes");
	plan->salt_named = true;
	memcpy(plan->salt, word.start, word.length);
	plan->salt[word.length] = '\0';
	return no_fault;
}

static struct fault apply_classes(struct plan *plan, struct span selector, struct span word)
{
	struct selection selection = { 0 };
	struct plan_class said = { .named = true };
	struct fault fault = read_target_and_share(word, &said);

	if (fault.reason)
		return fault;
	if (said.target == PLAN_SYSTEM && !plan->has_system)
		return fault_at(word.start, no_system);
	fault = read_selector(selector, &selection);
	if (fault.reason)
		return fault;
	if (said.target == PLAN_LEGACY && !legacy_serves(selection)) {
		if (span_is(selector, "all"))
			return fault_at(selector.start, "legacy serves above 1 KiB to 32 KiB only; "
							"all=old is everything as it was");
		return fault_at(selector.start, "legacy serves above 1 KiB to 32 KiB only");
	}
	for (unsigned class = selection.first; class <= selection.last; class ++)
		plan->class[class] = said;
	return no_fault;
}

static struct fault apply_item(struct plan *plan, struct span item)
{
	struct span selector, word;

	if (item.length == 0)
		return fault_at(item.start, empty_item);
	if (!span_split(item, '=', &selector, &word))
		return fault_at(item.start, "no '=': an item reads SELECTOR=TARGET");
	selector = span_trim(selector);
	word = span_trim(word);
	if (selector.length == 0)
		return fault_at(item.start, "no selector before '='");
	if (word.length == 0)
		return fault_at(word.start, "nothing after '='");
	if (span_is(selector, "old"))
		return apply_old(plan, selector, word);
	if (span_is(selector, "salt"))
		return apply_salt(plan, selector, word);
	return apply_classes(plan, selector, word);
}

/* --- plans ------------------------------------------------------------------------------------ */

void plan_init(struct plan *plan, bool has_system)
{
	*plan = (struct plan){ .old_mid = PLAN_LEGACY, .has_system = has_system };
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		plan->class[class] = (struct plan_class){
			.target = PLAN_OLD,
			.share = { .of = SHARE_OF_ALL, .size = SHARE_WHOLE },
		};
}

/* Control bytes and what lies outside ASCII can only be an accident or an attack. */
static struct fault check_characters(struct span item)
{
	for (size_t i = 0; i < item.length; i++) {
		unsigned char byte = (unsigned char)item.start[i];
		if ((byte < 0x20 && byte != '\t') || byte >= 0x7f)
			return fault_at(item.start + i, "a byte that no plan has");
	}
	return no_fault;
}

/* Cuts the text at its commas and hands every item to `apply`, until one is refused. */
static bool each_item(const char *text, size_t length, struct plan_error *error,
		      struct fault (*apply)(void *context, struct span item), void *context)
{
	struct span rest = { .start = text, .length = length }, item = rest;
	struct fault fault = no_fault;
	bool more = true;

	_Static_assert(PLAN_TEXT_MAX == 4096, "the reason below names it");
	if (length > PLAN_TEXT_MAX) {
		fault = fault_at(text, "the plan is longer than 4096 bytes");
		more = false;
	}
	while (more && !fault.reason) {
		more = span_split(rest, ',', &item, &rest);
		if (!more)
			item = rest;
		item = span_trim(item);
		fault = check_characters(item);
		if (!fault.reason)
			fault = apply(context, item);
	}
	if (fault.reason)
		plan_error_set(error, text, item.start, item.length, fault.at, fault.reason);
	return !fault.reason;
}

static bool is_blank_text(const char *text, size_t length)
{
	return span_trim((struct span){ .start = text, .length = length }).length == 0 &&
	       length <= PLAN_TEXT_MAX;
}

static struct fault apply_to_plan(void *context, struct span item)
{
	return apply_item(context, item);
}

bool plan_parse(struct plan *plan, const char *text, size_t length, bool has_system,
		struct plan_error *error)
{
	plan_init(plan, has_system);
	if (is_blank_text(text, length) || each_item(text, length, error, apply_to_plan, plan))
		return true;
	plan_init(plan, has_system);
	return false;
}

static struct fault name_classes(void *context, struct span item)
{
	struct selection selection = { 0 };
	bool *named = context;

	if (item.length == 0)
		return fault_at(item.start, empty_item);
	struct fault fault = read_selector(item, &selection);
	for (unsigned class = selection.first; !fault.reason && class <= selection.last; class ++)
		named[class] = true;
	return fault;
}

bool plan_parse_classes(bool named[NEXT_CLASSES], const char *text, size_t length,
			struct plan_error *error)
{
	return each_item(text, length, error, name_classes, named);
}

void plan_overlay(struct plan *plan, const struct plan *upper)
{
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		if (upper->class[class].named)
			plan->class[class] = upper->class[class];
	if (upper->old_named) {
		plan->old_mid = upper->old_mid;
		plan->old_named = true;
	}
	if (upper->salt_named) {
		memcpy(plan->salt, upper->salt, sizeof(plan->salt));
		plan->salt_named = true;
	}
}

enum plan_target plan_old_side(const struct plan *plan, unsigned class)
{
	if (legacy_serves((struct selection){ .first = class, .last = class }))
		return plan->old_mid;
	return plan->has_system ? PLAN_SYSTEM : PLAN_NEXT;
}

enum plan_target plan_served_by(const struct plan *plan, unsigned class)
{
	enum plan_target target = plan->class[class].target;
	return target == PLAN_OLD ? plan_old_side(plan, class) : target;
}

const char *plan_target_name(enum plan_target target)
{
	return target_names[target];
}

void plan_class_text(const struct plan_class *class, char out[PLAN_CLASS_TEXT_BYTES])
{
	const char *target = target_names[class->target];
	size_t length = strlen(target);

	memcpy(out, target, length);
	(void)share_text(&class->share, out + length);
}

const char *plan_band_name(unsigned class)
{
	size_t i = 0;
	while (i + 1 < BANDS && class > next_class_of(bands[i].max_bytes))
		i++;
	return bands[i].name;
}
