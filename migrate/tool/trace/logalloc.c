/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/logalloc.c - what Firefox's logalloc writes, also when it was munged
 *
 *   PID TID FUNCTION(ARGUMENT[,ARGUMENT...])[=RESULT]
 *
 * Sizes in decimal, pointers in hexadecimal; the munged form has small numbers for processes and threads, and
 * #SLOT for pointers. One log may hold many processes, whose addresses have nothing to do with each other: one of
 * them is read.
 */
#include "migrate/tool/trace/format.h"

/* What the arguments of a function are, and which operation it is: s size, c count, a alignment, p pointer, i
 * something that does not matter. */
struct function {
	const char *name, *arguments;
	enum trace_kind kind;
	bool ignored;
};

static const struct function functions[] = {
	{ .name = "malloc", .arguments = "s", .kind = TRACE_MALLOC },
	{ .name = "calloc", .arguments = "cs", .kind = TRACE_CALLOC },
	{ .name = "realloc", .arguments = "ps", .kind = TRACE_REALLOC },
	{ .name = "free", .arguments = "p", .kind = TRACE_FREE },
	{ .name = "posix_memalign", .arguments = "as", .kind = TRACE_MEMALIGN },
	{ .name = "aligned_alloc", .arguments = "as", .kind = TRACE_MEMALIGN },
	{ .name = "memalign", .arguments = "as", .kind = TRACE_MEMALIGN },
	{ .name = "valloc", .arguments = "s", .kind = TRACE_MEMALIGN },
	{ .name = "moz_arena_malloc", .arguments = "is", .kind = TRACE_MALLOC },
	{ .name = "moz_arena_calloc", .arguments = "ics", .kind = TRACE_CALLOC },
	{ .name = "moz_arena_realloc", .arguments = "ips", .kind = TRACE_REALLOC },
	{ .name = "moz_arena_free", .arguments = "ip", .kind = TRACE_FREE },
	{ .name = "moz_arena_memalign", .arguments = "ias", .kind = TRACE_MEMALIGN },
	{ .name = "moz_create_arena_with_params", .ignored = true },
	{ .name = "moz_create_arena", .ignored = true },
	{ .name = "moz_dispose_arena", .ignored = true },
	{ .name = "malloc_usable_size", .ignored = true },
	{ .name = "malloc_good_size", .ignored = true },
	{ .name = "jemalloc_stats", .ignored = true },
	{ .name = "jemalloc_stats_internal", .ignored = true },
	{ .name = "jemalloc_ptr_info", .ignored = true },
	{ .name = "jemalloc_purge_freed_pages", .ignored = true },
	{ .name = "jemalloc_free_dirty_pages", .ignored = true },
	{ .name = "jemalloc_thread_local_arena", .ignored = true },
	{ .name = "jemalloc_set_main_thread", .ignored = true },
};

#define VALLOC_ALIGNMENT 4096
/* Slots of the munged form stand for addresses of their own. */
#define SLOT_BYTES 16

static const struct function *take_function(struct cursor *line)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (text_take_word(line, functions[i].name))
			return &functions[i];
	return NULL;
}

static bool take_pointer(struct cursor *line, uint64_t *address)
{
	if (!text_take(line, '#'))
		return text_hex(line, address);
	if (!text_decimal(line, address) || *address >= TRACE_BYTES_LIMIT)
		return false;
	*address = (*address + 1) * SLOT_BYTES;
	return true;
}

static bool take_argument(struct cursor *line, char kind, struct trace_event *event)
{
	uint64_t ignored;

	switch (kind) {
	case 's':
		return text_decimal(line, &event->bytes);
	case 'c':
		return text_decimal(line, &event->count);
	case 'a':
		return text_decimal(line, &event->alignment);
	case 'p':
		return take_pointer(line, event->kind == TRACE_FREE ? &event->address :
								      &event->old_address);
	default:
		return *line->at == '0' && line->at[1] == 'x' ? text_hex(line, &ignored) :
								text_decimal(line, &ignored);
	}
}

/* "(ARGUMENTS)" and, except for free, "=RESULT". */
static bool take_call(struct cursor *line, const struct function *function,
		      struct trace_event *event)
{
	if (!text_take(line, '('))
		return false;
	for (const char *kind = function->arguments; *kind; kind++) {
		if (kind > function->arguments && !text_take(line, ','))
			return false;
		if (!take_argument(line, *kind, event))
			return false;
	}
	if (!text_take(line, ')'))
		return false;
	if (event->kind == TRACE_CALLOC &&
	    __builtin_mul_overflow(event->count, event->bytes, &event->bytes))
		return false;
	if (event->kind == TRACE_MEMALIGN && !event->alignment)
		event->alignment = VALLOC_ALIGNMENT;
	if (event->kind == TRACE_FREE)
		return true;
	return text_take(line, '=') && take_pointer(line, &event->address);
}

static enum trace_status parse(struct trace_reader *reader, struct cursor line,
			       struct trace_event *event, const char **why)
{
	uint64_t process, thread;

	text_skip_blanks(&line);
	if (text_at_end(&line))
		return TRACE_END;
	*why = "expected PROCESS THREAD FUNCTION";
	if (!text_decimal(&line, &process))
		return TRACE_WRONG;
	text_skip_blanks(&line);
	if (!text_decimal(&line, &thread))
		return TRACE_WRONG;
	text_skip_blanks(&line);
	*why = "no such function";
	const struct function *function = take_function(&line);
	if (!function)
		return TRACE_WRONG;
	if (function->ignored)
		return TRACE_END;
	*event = trace_event_of(function->kind, thread);
	*why = "expected (ARGUMENTS)=RESULT, as the function has them";
	if (!take_call(&line, function, event))
		return TRACE_WRONG;
	text_skip_blanks(&line);
	*why = "something follows the operation";
	if (!text_at_end(&line))
		return TRACE_WRONG;
	if (!reader->only_process)
		reader->only_process = process;
	reader->traits.process = reader->only_process;
	if (process != reader->only_process) {
		reader->traits.other_processes++;
		return TRACE_END;
	}
	return TRACE_OK;
}

static bool recognises(struct cursor line)
{
	uint64_t number;

	text_skip_blanks(&line);
	if (!text_decimal(&line, &number) || *line.at != ' ')
		return false;
	text_skip_blanks(&line);
	if (!text_decimal(&line, &number) || *line.at != ' ')
		return false;
	text_skip_blanks(&line);
	return take_function(&line) && *line.at == '(';
}

const struct trace_format trace_logalloc = {
	.name = "logalloc",
	.title = "Firefox logalloc",
	.has_threads = true,
	.recognises = recognises,
	.parse = parse,
};
