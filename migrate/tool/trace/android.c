/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/android.c - the text that Android's memory_replay reads and its recorder writes
 *
 *   TID: malloc PTR SIZE [BEGIN END]
 *   TID: calloc PTR COUNT SIZE [BEGIN END]
 *   TID: memalign PTR ALIGNMENT SIZE [BEGIN END]
 *   TID: realloc PTR OLD SIZE [BEGIN END [PRESENT]]
 *   TID: free PTR [BEGIN END [PRESENT]]
 *   TID: thread_done 0x0 [END]
 *
 * Pointers in hexadecimal, everything else in decimal, times in nanoseconds.
 */
#include "migrate/tool/trace/format.h"

static const char *const wants[] = {
	[TRACE_MALLOC] = "malloc wants POINTER SIZE",
	[TRACE_CALLOC] = "calloc wants POINTER COUNT SIZE",
	[TRACE_MEMALIGN] = "memalign wants POINTER ALIGNMENT SIZE",
	[TRACE_REALLOC] = "realloc wants POINTER OLD-POINTER SIZE",
	[TRACE_FREE] = "free wants POINTER",
	[TRACE_THREAD_END] = "thread_done wants 0x0",
};

static bool take_operation(struct cursor *line, enum trace_kind *kind)
{
	static const char *const names[] = {
		[TRACE_MALLOC] = "malloc",     [TRACE_CALLOC] = "calloc",
		[TRACE_MEMALIGN] = "memalign", [TRACE_REALLOC] = "realloc",
		[TRACE_FREE] = "free",	       [TRACE_THREAD_END] = "thread_done",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (text_take_word(line, names[i])) {
			*kind = (enum trace_kind)i;
			return true;
		}
	}
	return false;
}

static bool take_decimal(struct cursor *line, uint64_t *value)
{
	text_skip_blanks(line);
	return text_decimal(line, value);
}

static bool take_pointer(struct cursor *line, uint64_t *value)
{
	text_skip_blanks(line);
	return text_hex(line, value);
}

/* What stands behind the name of the operation and before the times. */
static bool take_arguments(struct cursor *line, struct trace_event *event)
{
	if (!take_pointer(line, &event->address))
		return false;
	switch (event->kind) {
	case TRACE_MALLOC:
		return take_decimal(line, &event->bytes);
	case TRACE_CALLOC:
		return take_decimal(line, &event->count) && take_decimal(line, &event->bytes) &&
		       !__builtin_mul_overflow(event->count, event->bytes, &event->bytes);
	case TRACE_MEMALIGN:
		return take_decimal(line, &event->alignment) && take_decimal(line, &event->bytes);
	case TRACE_REALLOC:
		return take_pointer(line, &event->old_address) && take_decimal(line, &event->bytes);
	case TRACE_FREE:
	case TRACE_THREAD_END:
	case TRACE_REALLOC_BEGIN: /* not in this format */
		break;
	}
	return true;
}

static bool take_times(struct cursor *line, struct trace_event *event)
{
	uint64_t end;

	text_skip_blanks(line);
	if (text_at_end(line))
		return true;
	if (!text_decimal(line, &event->time_ns))
		return false;
	text_skip_blanks(line);
	if (event->kind == TRACE_THREAD_END && text_at_end(line))
		return true;
	if (!text_decimal(line, &end))
		return false;
	event->duration_ns = end >= event->time_ns ? end - event->time_ns : 0;
	text_skip_blanks(line);
	if ((event->kind == TRACE_FREE || event->kind == TRACE_REALLOC) && !text_at_end(line)) {
		if (!text_decimal(line, &event->present_bytes))
			return false;
		text_skip_blanks(line);
	}
	return text_at_end(line);
}

static enum trace_status parse(struct trace_reader *reader, struct cursor line,
			       struct trace_event *event, const char **why)
{
	enum trace_kind kind;
	uint64_t thread;

	(void)reader;
	text_skip_blanks(&line);
	if (text_at_end(&line))
		return TRACE_END;
	*why = "expected THREAD: OPERATION";
	if (!text_decimal(&line, &thread) || !text_take(&line, ':'))
		return TRACE_WRONG;
	text_skip_blanks(&line);
	*why = "no such operation";
	if (!take_operation(&line, &kind))
		return TRACE_WRONG;
	*event = trace_event_of(kind, thread);
	*why = wants[kind];
	if (!take_arguments(&line, event))
		return TRACE_WRONG;
	*why = "what follows the operation is not BEGIN END, in nanoseconds";
	if (!take_times(&line, event))
		return TRACE_WRONG;
	return TRACE_OK;
}

static bool recognises(struct cursor line)
{
	enum trace_kind kind;
	uint64_t thread;

	text_skip_blanks(&line);
	if (!text_decimal(&line, &thread) || !text_take(&line, ':'))
		return false;
	text_skip_blanks(&line);
	return take_operation(&line, &kind);
}

const struct trace_format trace_android = {
	.name = "memory_replay",
	.title = "Android memory_replay",
	.has_threads = true,
	.recognises = recognises,
	.parse = parse,
};
