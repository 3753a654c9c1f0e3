/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/mtrace.c - what glibc's mtrace(3) writes
 *
 *   = Start
 *   [@ CALLER] + POINTER SIZE      malloc, calloc, memalign
 *   [@ CALLER] - POINTER           free
 *   [@ CALLER] < POINTER           realloc, the old block; the line after it:
 *   [@ CALLER] > POINTER SIZE      and the new one
 *   [@ CALLER] ! POINTER SIZE      a realloc that failed
 *   = End
 *
 * All numbers in hexadecimal. There are no threads, no times and no alignments.
 */
#include "migrate/tool/trace/format.h"

#define SIGNS "+-<>!"

/* Steps over the caller, whose path may hold anything: the sign is the last one that a pointer follows. */
static bool skip_caller(struct cursor *line)
{
	if (*line->at != '@')
		return true;
	for (const char *at = line->end; at-- > line->at + 1;) {
		if (at[0] == ' ' && at + 3 < line->end && at[1] && strchr(SIGNS, at[1]) &&
		    at[2] == ' ') {
			line->at = at + 1;
			return true;
		}
	}
	return false;
}

static bool take_numbers(struct cursor *line, uint64_t *address, uint64_t *bytes)
{
	text_skip_blanks(line);
	if (!text_hex(line, address))
		return false;
	text_skip_blanks(line);
	if (bytes && !text_hex(line, bytes))
		return false;
	text_skip_blanks(line);
	return text_at_end(line);
}

static enum trace_status parse_operation(struct trace_reader *reader, struct cursor line, char sign,
					 struct trace_event *event, const char **why)
{
	*why = "expected a pointer";
	switch (sign) {
	case '-':
		*event = trace_event_of(TRACE_FREE, 0);
		return take_numbers(&line, &event->address, NULL) ? TRACE_OK : TRACE_WRONG;
	case '<':
		if (!take_numbers(&line, &reader->pending_address, NULL))
			return TRACE_WRONG;
		reader->pending = true;
		return TRACE_END;
	case '>':
		*event = trace_event_of(TRACE_REALLOC, 0);
		event->old_address = reader->pending_address;
		reader->pending = false;
		break;
	case '+':
		*event = trace_event_of(TRACE_MALLOC, 0);
		break;
	default: /* '!': the block stays as it was */
		*event = trace_event_of(TRACE_REALLOC, 0);
		*why = "expected a pointer and a size";
		return take_numbers(&line, &event->old_address, &event->bytes) ? TRACE_OK :
										 TRACE_WRONG;
	}
	*why = "expected a pointer and a size";
	return take_numbers(&line, &event->address, &event->bytes) ? TRACE_OK : TRACE_WRONG;
}

static enum trace_status parse(struct trace_reader *reader, struct cursor line,
			       struct trace_event *event, const char **why)
{
	text_skip_blanks(&line);
	if (text_at_end(&line) || *line.at == '=')
		return TRACE_END;
	*why = "expected +, -, <, > or ! and a pointer";
	if (!skip_caller(&line) || !*line.at || !strchr(SIGNS, *line.at))
		return TRACE_WRONG;
	char sign = *line.at++;
	if (reader->pending != (sign == '>')) {
		*why = reader->pending ? "a line with < is followed by one with >, not by this" :
					 "a line with > has none with < before it";
		return TRACE_WRONG;
	}
	return parse_operation(reader, line, sign, event, why);
}

static bool recognises(struct cursor line)
{
	text_skip_blanks(&line);
	if (text_take_word(&line, "= Start"))
		return true;
	return (*line.at == '@' && skip_caller(&line)) ||
	       (*line.at && strchr(SIGNS, *line.at) && line.at[1] == ' ' && line.at[2] == '0');
}

const struct trace_format trace_mtrace = {
	.name = "mtrace",
	.title = "glibc mtrace",
	.recognises = recognises,
	.parse = parse,
};
