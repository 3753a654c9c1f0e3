/* SPDX-License-Identifier: MIT */
/* migrate/record_options.c - what is recorded, as text; see record_options.h */
#include "migrate/record_options.h"

#include "migrate/plan.h"
#include "migrate/record_format.h"

#include <stdio.h>
#include <string.h>

#define BUFFER_MIN_BYTES (16 * KIB)
#define SIZE_MAX_BYTES	 ((uint64_t)1 << 40)

static bool wrong(char *error, const char *word, size_t length, const char *why)
{
	char shown[PLAN_ITEM_BYTES];
	size_t count = length < sizeof(shown) - 1 ? length : sizeof(shown) - 1;
	for (size_t i = 0; i < count; i++)
		shown[i] = word[i] >= ' ' && word[i] <= '~' ? word[i] : '?';
	shown[count] = '\0';
	(void)snprintf(error, RECORD_ERROR_BYTES, "\"%s\": %s", shown, why);
	return false;
}

/* Digits with a unit: "64k", "1g", "4096". 0 if it is none. */
static uint64_t size_of(const char *text, size_t length)
{
	uint64_t value = 0;
	size_t i = 0;
	for (; i < length && text[i] >= '0' && text[i] <= '9' && value < SIZE_MAX_BYTES; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	if (i == 0 || i + 1 < length || value >= SIZE_MAX_BYTES)
		return 0;
	unsigned shift = 0;
	if (i < length) {
		switch (text[i] | 0x20) {
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
			return 0;
		}
	}
	value <<= shift;
	return value < SIZE_MAX_BYTES ? value : 0;
}

/* "1%", "0.01%"; four decimals at most. False if it is none, or 0, or above 100. */
static bool share_of_text(const char *text, size_t length, uint32_t *millionths)
{
	uint64_t value = 0;
	unsigned decimals = 0;
	bool digits = false, point = false;
	if (length > 16)
		return false;
	for (size_t i = 0; i + 1 < length; i++) {
		if (text[i] == '.' && !point && digits) {
			point = true;
			continue;
		}
		if (text[i] < '0' || text[i] > '9' || decimals == 4)
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
		decimals += point;
		digits = true;
	}
	for (; decimals < 4; decimals++)
		value *= 10;
	*millionths = (uint32_t)value;
	return digits && text[length - 1] == '%' && value > 0 && value <= RECORD_SHARE_WHOLE;
}

static bool set_size(const char *word, size_t length, const char *value, size_t value_length,
		     uint64_t min, uint64_t max, uint64_t *out, char *error)
{
	uint64_t size = size_of(value, value_length);
	if (size < min || size > max)
		return wrong(error, word, length, "no size that can be had");
	*out = size;
	return true;
}

static bool is(const char *word, size_t length, const char *name)
{
	return length == strlen(name) && memcmp(word, name, length) == 0;
}

static bool set_classes(struct record_options *options, const char *word, size_t length,
			const char *value, size_t value_length, char *error)
{
	struct plan_error fault;
	if (value_length >= sizeof(options->classes))
		return wrong(error, word, length, "too long");
	memset(options->class, 0, sizeof(options->class));
	if (!plan_parse_classes(options->class, value, value_length, &fault))
		return wrong(error, word, length, fault.reason);
	memcpy(options->classes, value, value_length);
	options->classes[value_length] = '\0';
	return true;
}

static bool read_word(struct record_options *options, const char *word, size_t length, char *error)
{
	const char *equals = memchr(word, '=', length);
	size_t name = equals ? (size_t)(equals - word) : length;
	const char *value = equals ? equals + 1 : word + length;
	size_t rest = (size_t)(word + length - value);
	uint64_t size;

	if (is(word, length, "ring")) {
		options->ring = true;
	} else if (is(word, length, "raw")) {
		options->raw = true;
	} else if (is(word, name, "share") && equals) {
		if (!share_of_text(value, rest, &options->share_millionths))
			return wrong(error, word, length, "a share is above 0% and at most 100%");
	} else if (is(word, name, "by") && equals) {
		options->by_thread = is(value, rest, "thread");
		if (!options->by_thread && !is(value, rest, "block"))
			return wrong(error, word, length, "by block or by thread");
	} else if (is(word, name, "classes") && equals) {
		return set_classes(options, word, length, value, rest, error);
	} else if (is(word, name, "buffer") && equals) {
		if (!set_size(word, length, value, rest, BUFFER_MIN_BYTES, (uint64_t)1 << 30, &size,
			      error))
			return false;
		options->buffer_bytes = (size_t)size & ~(size_t)(RECORD_PACKET_BYTES - 1);
	} else if (is(word, name, "memory") && equals) {
		if (!set_size(word, length, value, rest, BUFFER_MIN_BYTES, SIZE_MAX_BYTES, &size,
			      error))
			return false;
		options->memory_bytes = (size_t)size;
	} else if (is(word, name, "disk") && equals) {
		return set_size(word, length, value, rest, RECORD_PACKET_BYTES, SIZE_MAX_BYTES,
				&options->disk_bytes, error);
	} else {
		return wrong(error, word, length, "no such option");
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

bool record_options_parse(struct record_options *options, const char *text,
			  char error[RECORD_ERROR_BYTES])
{
	*options = (struct record_options){
		.share_millionths = RECORD_SHARE_WHOLE,
		.buffer_bytes = 1 * MIB,
		.memory_bytes = 64 * MIB,
		.disk_bytes = (uint64_t)4 << 30,
		.classes = "all",
	};
	memset(options->class, true, sizeof(options->class));
	if (strnlen(text, RECORD_OPTIONS_BYTES) >= RECORD_OPTIONS_BYTES)
		return wrong(error, text, PLAN_ITEM_BYTES, "the options are too long");
	for (const char *at = text; *at;) {
		size_t length = 0;
		while (is_blank(*at))
			at++;
		while (at[length] && !is_blank(at[length]))
			length++;
		if (length > 0 && !read_word(options, at, length, error))
			return false;
		at += length;
	}
	if (options->memory_bytes < options->buffer_bytes)
		return wrong(error, text, strlen(text), "memory is less than one buffer");
	return true;
}
