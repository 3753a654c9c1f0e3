/* SPDX-License-Identifier: MIT */
/* shim/base/check.c - the one fatal exit; see check.h */
#include "shim/base/check.h"

#include "shim/base/os.h"

#include <stdarg.h>
#include <stdlib.h>

/* Lines are put together in a fixed buffer: whoever misuses memory may have hurt ours too, and
 * stdio allocates. A line that does not fit is cut, never lost. */
struct line {
	size_t used;
	char text[512];
};

static void line_text(struct line *line, const char *text)
{
	while (*text && line->used < sizeof(line->text) - 1)
		line->text[line->used++] = *text++;
}

static void line_hex(struct line *line, uintptr_t value)
{
	char digits[2 * sizeof(value) + 1];
	size_t at = sizeof(digits) - 1;
	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	line_text(line, "0x");
	line_text(line, digits + at);
}

static void line_decimal(struct line *line, unsigned value)
{
	char digits[12];
	size_t at = sizeof(digits) - 1;
	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	line_text(line, digits + at);
}

static void line_write(struct line *line)
{
	line->text[line->used++] = '\n';
	os_write_stderr(line->text, line->used);
}

void fatal_misuse(const char *what, const void *address, const char *detail)
{
	struct line line = { .used = 0 };
	line_text(&line, "hakmem: ");
	line_text(&line, what);
	line_text(&line, ": ");
	line_hex(&line, (uintptr_t)address);
	if (detail) {
		line_text(&line, ": ");
		line_text(&line, detail);
	}
	line_write(&line);
	abort();
}

void fatal_internal(const char *expression, const char *file, int line_number)
{
	struct line line = { .used = 0 };
	line_text(&line, "hakmem: internal: ");
	line_text(&line, expression);
	line_text(&line, " (");
	line_text(&line, file);
	line_text(&line, ":");
	line_decimal(&line, (unsigned)line_number);
	line_text(&line, ")");
	line_write(&line);
	abort();
}

void report_line(const char *first, ...)
{
	struct line line = { .used = 0 };
	va_list more;
	line_text(&line, "hakmem: ");
	va_start(more, first);
	for (const char *text = first; text; text = va_arg(more, const char *))
		line_text(&line, text);
	va_end(more);
	line_write(&line);
}
