/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/text.h - numbers and words of a line, for the importers
 *
 * A cursor stands in a line that has a NUL behind it, so every step may look at one character without asking for the
 * end; a NUL inside the line is no digit, no blank and no word, and stops the importer like any other rubbish.
 */
#ifndef TRACE_TEXT_H
#define TRACE_TEXT_H

#include "migrate/tool/trace/event.h"

#include <string.h>

struct cursor {
	const char *at, *end;
};

INLINE void text_skip_blanks(struct cursor *cursor)
{
	while (*cursor->at == ' ' || *cursor->at == '\t')
		cursor->at++;
}

INLINE bool text_at_end(const struct cursor *cursor)
{
	return cursor->at == cursor->end;
}

/* Steps over the character if it is there. */
INLINE bool text_take(struct cursor *cursor, char character)
{
	if (*cursor->at != character || cursor->at == cursor->end)
		return false;
	cursor->at++;
	return true;
}

/* Steps over the word if it is there and ends there. */
INLINE bool text_take_word(struct cursor *cursor, const char *word)
{
	size_t length = strlen(word);
	if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0)
		return false;
	char next = cursor->at[length];
	if ((next >= 'a' && next <= 'z') || (next >= '0' && next <= '9') || next == '_')
		return false;
	cursor->at += length;
	return true;
}

/* A decimal number below 2^64. False: none, or too large. */
INLINE bool text_decimal(struct cursor *cursor, uint64_t *value)
{
	const char *begin = cursor->at;
	uint64_t sum = 0;

	for (; *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
		uint64_t digit = (uint64_t)(*cursor->at - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return cursor->at > begin;
}

INLINE int text_hex_digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	return character >= 'A' && character <= 'F' ? character - 'A' + 10 : -1;
}

/* "0x" and hexadecimal digits, or "0" or "(nil)", as printf writes pointers and numbers that are 0. */
INLINE bool text_hex(struct cursor *cursor, uint64_t *value)
{
	uint64_t sum = 0;
	int digit;

	*value = 0;
	if (cursor->at[0] == '(' && cursor->end - cursor->at >= 5 &&
	    memcmp(cursor->at, "(nil)", 5) == 0) {
		cursor->at += 5;
		return true;
	}
	if (cursor->at[0] != '0')
		return false;
	cursor->at++;
	if (cursor->at[0] != 'x')
		return true;
	const char *begin = ++cursor->at;
	for (; (digit = text_hex_digit(*cursor->at)) >= 0; cursor->at++) {
		if (sum >> 60)
			return false;
		sum = sum << 4 | (uint64_t)digit;
	}
	*value = sum;
	return cursor->at > begin;
}

#endif
