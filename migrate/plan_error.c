/* SPDX-License-Identifier: MIT */
/* migrate/plan_error.c - what is wrong with a plan, as one line that any terminal and any log can take */
#include "migrate/plan.h"

#include <string.h>

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

static size_t escaped_length(const char *item, size_t bytes)
{
	size_t length = 0;
	char shown[4];

	for (size_t i = 0; i < bytes; i++)
		length += escape(item[i], shown);
	return length;
}

void plan_error_set(struct plan_error *error, const char *text, const char *item, size_t length,
		    const char *at, const char *reason)
{
	static const char dots[] = "...";
	bool cut = escaped_length(item, length) >= sizeof(error->item);
	size_t room = sizeof(error->item) - (cut ? sizeof(dots) : 1), used = 0;

	for (size_t i = 0; i < length; i++) {
		char shown[4];
		size_t count = escape(item[i], shown);
		if (used + count > room)
			break;
		memcpy(error->item + used, shown, count);
		used += count;
	}
	memcpy(error->item + used, cut ? dots : "", cut ? sizeof(dots) : 1);
	error->offset = (size_t)(at - text);
	error->reason = reason;
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
