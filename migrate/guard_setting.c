/* SPDX-License-Identifier: MIT */
/* migrate/guard_setting.c - the text that arms guards, read; see guard_setting.h */
#include "migrate/guard_setting.h"

#include "migrate/rollout.h"

#include <string.h>

#define RATIO_MAX 1000

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r')
		text++;
	return text;
}

/* What follows the word, or NULL if the text does not begin with it as a whole word. */
static const char *after_word(const char *text, const char *word)
{
	size_t length = strlen(word);
	if (strncmp(text, word, length) != 0 ||
	    (text[length] >= 'a' && text[length] <= 'z'))
		return NULL;
	return skip_blanks(text + length);
}

/* NULL: no number, or too large a one. */
static const char *read_number(const char *text, uint64_t *number)
{
	const char *start = text;
	*number = 0;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
			return NULL;
	return text == start ? NULL : text;
}

static const char *read_count(const char *text, uint64_t *count)
{
	text = read_number(text, count);
	return text && *count > 0 && *count <= UINT32_MAX ? skip_blanks(text) : NULL;
}

static const char *read_size(const char *text, uint64_t *bytes)
{
	unsigned shift = 0;
	text = read_number(text, bytes);
	if (!text)
		return NULL;
	switch (*text | 0x20) {
	case 'k':
		shift = 10;
		break;
	case 'm':
		shift = 20;
		break;
	case 'g':
		shift = 30;
		break;
	default:
		break;
	}
	if (*bytes == 0 || *bytes > (UINT64_MAX >> shift))
		return NULL;
	*bytes <<= shift;
	return skip_blanks(text + (shift > 0));
}

static const char *read_ratio(const char *text, double *ratio)
{
	uint64_t whole, rest = 0, unit = 1000;
	text = read_number(text, &whole);
	if (!text || whole > RATIO_MAX)
		return NULL;
	if (*text == '.') {
		const char *start = ++text;
		for (; *text >= '0' && *text <= '9' && unit > 1; text++) {
			unit /= 10;
			rest += unit * (uint64_t)(*text - '0');
		}
		if (text == start)
			return NULL;
	}
	*ratio = (double)(whole * 1000 + rest) / 1000;
	return *ratio >= 1 && *ratio <= RATIO_MAX ? skip_blanks(text) : NULL;
}

typedef const char *reader(const char *text, uint64_t *number);

/* [ "=" ratio ] [ "/" number ] */
static const char *read_limits(const char *text, double *ratio, reader *read, uint64_t *least,
			       const char **wrong)
{
	if (*text == '=') {
		*wrong = "the ratio is a number from 1 to 1000";
		text = read_ratio(skip_blanks(text + 1), ratio);
	}
	if (text && *text == '/') {
		*wrong = "what is least needed is a number above 0";
		text = read(skip_blanks(text + 1), least);
	}
	return text;
}

static const char *read_reservation(const char *text, uint32_t *failures, const char **wrong)
{
	uint64_t count = 1;
	if (*text == '=') {
		*wrong = "reservation takes a count above 0";
		text = read_count(skip_blanks(text + 1), &count);
	}
	*failures = (uint32_t)count;
	return text;
}

static const char *read_rss(const char *text, uint64_t *bytes, const char **wrong)
{
	*wrong = "rss takes a size: rss=2g";
	return *text == '=' ? read_size(skip_blanks(text + 1), bytes) : NULL;
}

static void set_held(struct guard_setting *setting)
{
	setting->held_ratio = rollout_default_limits.held_ratio;
	setting->held_min_bytes = rollout_default_limits.min_live_bytes;
}

static void set_latency(struct guard_setting *setting)
{
	setting->latency_ratio = rollout_default_limits.latency_ratio;
	setting->latency_min_samples = rollout_default_limits.min_samples;
}

/* What follows the item, or NULL and what is wrong. */
static const char *read_item(struct guard_setting *setting, const char *text, const char **wrong)
{
	const char *rest;

	*wrong = "no such guard: all, misuse, reservation, held, latency or rss";
	if ((rest = after_word(text, "all")) != NULL) {
		setting->misuse = true;
		setting->reservation = 1;
		set_held(setting);
		set_latency(setting);
	} else if ((rest = after_word(text, "misuse")) != NULL) {
		setting->misuse = true;
	} else if ((rest = after_word(text, "reservation")) != NULL) {
		rest = read_reservation(rest, &setting->reservation, wrong);
	} else if ((rest = after_word(text, "held")) != NULL) {
		set_held(setting);
		rest = read_limits(rest, &setting->held_ratio, read_size, &setting->held_min_bytes,
				   wrong);
	} else if ((rest = after_word(text, "latency")) != NULL) {
		set_latency(setting);
		rest = read_limits(rest, &setting->latency_ratio, read_count,
				   &setting->latency_min_samples, wrong);
	} else if ((rest = after_word(text, "rss")) != NULL) {
		rest = read_rss(rest, &setting->rss_bytes, wrong);
	}
	return rest;
}

const char *guard_read_setting(struct guard_setting *setting, const char *text)
{
	const char *wrong = "the text is too long: 255 bytes at most";
	struct guard_setting read = { .misuse = false };

	*setting = read;
	if (strnlen(text, GUARD_TEXT_MAX + 1) > GUARD_TEXT_MAX)
		return wrong;
	text = skip_blanks(text);
	while (*text) {
		text = read_item(&read, text, &wrong);
		if (!text)
			return wrong;
		if (*text && *text != ',')
			return "guards stand apart by commas";
		if (*text == ',') {
			text = skip_blanks(text + 1);
			if (!*text)
				return "a comma too many";
		}
	}
	*setting = read;
	return NULL;
}
