/* SPDX-License-Identifier: MIT */
/* migrate/plan.c - the parser of plans; the grammar stands in plan.h
 *
 * The text is cut at commas into items, an item at its first '=' into selector and target. Each
 * step works on a span of the text, and no step reads outside its span: that is the whole argument
 * for safety on hostile text. The bytes of an item are checked before anything else is.
 *
 * Three layers: read_*() turn a span into a value or into the reason why not; apply_item() puts an
 * item into the plan; plan_parse() walks the items. The first error ends it.
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
	const char *share = memchr(span.start, '@', span.length);
	if (share)
		return fault_at(share, "shares (@) are not supported: a class moves as a whole");
	const char *arm = memchr(span.start, '/', span.length);
	if (arm)
		return fault_at(arm,
				"control arms (/) are not supported: a class moves as a whole");
	if (memchr(span.start, '=', span.length))
		return fault_at(span.start, "a second '=': is a comma missing?");
	return fault_at(span.start, "no such target: next, old, legacy or system");
}

/* --- items ------------------------------------------------------------------------------------ */

static bool legacy_serves(struct selection selection)
{
	return selection.first > next_class_of(PLAN_TINY_MAX_BYTES) &&
	       selection.last <= next_class_of(PLAN_MID_MAX_BYTES);
}

/* old=legacy, old=system. Twice is a mistake: it holds for the whole plan, wherever it stands. */
static struct fault apply_old(struct plan *plan, struct span selector, struct span word,
			      enum plan_target target, bool *old_named)
{
	if (*old_named)
		return fault_at(selector.start, "the old side is named twice");
	if (target != PLAN_LEGACY && target != PLAN_SYSTEM)
		return fault_at(word.start, "the old side is legacy or system");
	*old_named = true;
	plan->old_mid = target;
	return no_fault;
}

static struct fault apply_item(struct plan *plan, struct span item, bool *old_named)
{
	struct span selector, word;
	struct selection selection = { 0 };
	enum plan_target target;

	if (item.length == 0)
		return fault_at(item.start, "an empty item: a comma too many");
	if (!span_split(item, '=', &selector, &word))
		return fault_at(item.start, "no '=': an item reads SELECTOR=TARGET");
	selector = span_trim(selector);
	word = span_trim(word);
	if (selector.length == 0)
		return fault_at(item.start, "no selector before '='");
	if (word.length == 0)
		return fault_at(word.start, "no target after '='");

	struct fault fault = read_target(word, &target);
	if (fault.reason)
		return fault;
	if (target == PLAN_SYSTEM && !plan->has_system)
		return fault_at(word.start, "a static program has no system allocator to go to");
	if (span_is(selector, "old"))
		return apply_old(plan, selector, word, target, old_named);

	fault = read_selector(selector, &selection);
	if (fault.reason)
		return fault;
	if (target == PLAN_LEGACY && !legacy_serves(selection)) {
		if (span_is(selector, "all"))
			return fault_at(selector.start, "legacy serves above 1 KiB to 32 KiB only; "
							"all=old is everything as it was");
		return fault_at(selector.start, "legacy serves above 1 KiB to 32 KiB only");
	}
	for (unsigned class = selection.first; class <= selection.last; class++)
		plan->class[class].target = target;
	return no_fault;
}

/* --- errors ----------------------------------------------------------------------------------- */

/* One byte as it may be shown: itself, \" and \\, or \xNN. Returns how many characters. */
static size_t escape(char c, char out[4])
{
	unsigned char byte = (unsigned char)c;
	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = c;
		return 2;
	}
	if (byte >= 0x20 && byte < 0x7f) {
		out[0] = c;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = "0123456789abcdef"[byte >> 4];
	out[3] = "0123456789abcdef"[byte & 15];
	return 4;
}

static size_t escaped_length(struct span span)
{
	size_t length = 0;
	char shown[4];

	for (size_t i = 0; i < span.length; i++)
		length += escape(span.start[i], shown);
	return length;
}

/* An item too long for its place ends in "...". */
static void error_set(struct plan_error *error, const char *text, struct span item,
		      struct fault fault)
{
	static const char dots[] = "...";
	bool cut = escaped_length(item) >= sizeof(error->item);
	size_t room = sizeof(error->item) - (cut ? sizeof(dots) : 1), used = 0;

	for (size_t i = 0; i < item.length; i++) {
		char shown[4];
		size_t count = escape(item.start[i], shown);
		if (used + count > room)
			break;
		memcpy(error->item + used, shown, count);
		used += count;
	}
	memcpy(error->item + used, cut ? dots : "", cut ? sizeof(dots) : 1);
	error->offset = (size_t)(fault.at - text);
	error->reason = fault.reason;
}

static size_t append(char *out, size_t used, const char *text)
{
	while (*text && used < PLAN_ERROR_BYTES - 1)
		out[used++] = *text++;
	out[used] = '\0';
	return used;
}

size_t plan_error_text(const struct plan_error *error, char out[PLAN_ERROR_BYTES])
{
	char digits[24];
	size_t at = sizeof(digits) - 1, offset = error->offset;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + offset % 10);
		offset /= 10;
	} while (offset);

	size_t used = append(out, 0, "\"");
	used = append(out, used, error->item);
	used = append(out, used, "\": ");
	used = append(out, used, error->reason);
	used = append(out, used, " (byte ");
	used = append(out, used, digits + at);
	return append(out, used, ")");
}

/* --- plans ------------------------------------------------------------------------------------ */

void plan_init(struct plan *plan, bool has_system)
{
	for (unsigned class = 0; class < NEXT_CLASSES; class++)
		plan->class[class] = (struct plan_class){ .target = PLAN_OLD };
	plan->old_mid = PLAN_LEGACY;
	plan->has_system = has_system;
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

bool plan_parse(struct plan *plan, const char *text, size_t length, bool has_system,
		struct plan_error *error)
{
	struct span rest = { .start = text, .length = length }, item = rest;
	struct fault fault = no_fault;
	bool old_named = false, more = true;

	_Static_assert(PLAN_TEXT_MAX == 4096, "the reason below names it");
	plan_init(plan, has_system);
	if (length > PLAN_TEXT_MAX) {
		fault = fault_at(text, "the plan is longer than 4096 bytes");
		error_set(error, text, item, fault);
		return false;
	}
	if (span_trim(rest).length == 0)
		return true;
	while (more && !fault.reason) {
		more = span_split(rest, ',', &item, &rest);
		if (!more)
			item = rest;
		item = span_trim(item);
		fault = check_characters(item);
		if (!fault.reason)
			fault = apply_item(plan, item, &old_named);
	}
	if (!fault.reason)
		return true;
	error_set(error, text, item, fault);
	plan_init(plan, has_system);
	return false;
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

const char *plan_band_name(unsigned class)
{
	size_t i = 0;
	while (i + 1 < BANDS && class > next_class_of(bands[i].max_bytes))
		i++;
	return bands[i].name;
}
