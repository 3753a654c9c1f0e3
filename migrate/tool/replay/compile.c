/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compile.c - from a trace to programs for hakmem-replay; see compile.h */
#include "migrate/tool/replay/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES_OF_TRACE 4096

/* --- the scan ---------------------------------------------------------------------------------- */

/* How many pages of the block were used, where the trace tells and it is not all. */
static bool note_pages(struct compile_scan *scan, const struct track_operation *operation)
{
	uint64_t bytes = operation->given_back.bytes, present = operation->present_bytes;

	if (present == TRACE_UNKNOWN || bytes <= PAGE_BYTES_OF_TRACE)
		return true;
	uint64_t pages = (present + PAGE_BYTES_OF_TRACE - 1) / PAGE_BYTES_OF_TRACE;
	if (pages >= bytes / PAGE_BYTES_OF_TRACE || pages >= PROGRAM_ALL_PAGES)
		return true;
	return map_add(&scan->pages, operation->given_back.number, (uint32_t)pages);
}

static void note_peak(struct compile_scan *scan, unsigned class, uint64_t operation)
{
	if (scan->live_bytes[class] > scan->peak_bytes[class]) {
		scan->peak_bytes[class] = scan->live_bytes[class];
		scan->peak_operation[class] = operation;
	}
}

static bool scan_operation(struct compile_scan *scan, const struct track_operation *operation)
{
	bool takes = operation->kind == TRACK_ALLOCATE || operation->kind == TRACK_REALLOCATE;

	if (operation->kind == TRACK_FREE || operation->kind == TRACK_REALLOCATE) {
		unsigned class = next_class_of(operation->given_back.bytes);
		scan->live_bytes[class] -= operation->given_back.bytes;
		scan->live_bytes[COMPILE_ALL] -= operation->given_back.bytes;
		if (!note_pages(scan, operation))
			return false;
	}
	if (takes) {
		unsigned class = next_class_of(operation->block.bytes);
		scan->operations[class]++;
		scan->operations[COMPILE_ALL]++;
		scan->live_bytes[class] += operation->block.bytes;
		scan->live_bytes[COMPILE_ALL] += operation->block.bytes;
		note_peak(scan, class, operation->number);
		note_peak(scan, COMPILE_ALL, operation->number);
	}
	return true;
}

bool compile_scan(struct compile_scan *scan, struct trace_reader *reader, struct trace_error *error)
{
	struct track_operation operation;
	enum trace_status status;
	struct track track;

	*scan = (struct compile_scan){ .span_ns = 0 };
	track_open(&track, reader);
	while ((status = track_next(&track, &operation, error)) == TRACE_OK) {
		if (!scan_operation(scan, &operation)) {
			trace_error_set(error, "%s", strerror(ENOMEM));
			status = TRACE_WRONG;
			break;
		}
	}
	scan->counts = track.counts;
	scan->threads = track.thread_count;
	scan->span_ns = track.last_ns;
	scan->traits = *trace_traits(reader);
	track_close(&track);
	if (status == TRACE_WRONG)
		compile_scan_free(scan);
	return status == TRACE_END;
}

void compile_scan_free(struct compile_scan *scan)
{
	map_free(&scan->pages);
}

/* --- compiling --------------------------------------------------------------------------------- */

struct out_thread {
	struct program_thread entry;
	struct program_step *chunk; /* NULL: none yet, or ended */
	uint64_t at;		    /* where the chunk lies in the file */
	size_t used;		    /* steps in it */
	uint64_t last_time;
	bool has_ended;
};

struct compiler {
	int fd;
	const struct compile_scan *scan;
	struct compile_options options;
	struct compile_flip flips[REPLAY_FLIPS];
	struct out_thread *threads;
	size_t count, room;
	uint32_t *ended;
	size_t ended_count, ended_room;
	uint64_t end_of_file;
	uint32_t turn; /* in_order: the thread of the operation before */
	bool has_turn;
	unsigned flips_done;
	struct program_header header;
};

static bool no_memory(struct trace_error *error)
{
	trace_error_set(error, "%s", strerror(ENOMEM));
	return false;
}

static bool write_at(int fd, uint64_t at, const void *data, size_t bytes, struct trace_error *error)
{
	const char *from = data;
	while (bytes > 0) {
		ssize_t done = pwrite(fd, from, bytes, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			trace_error_set(error, "the program of the replay cannot be written: %s",
					done < 0 ? strerror(errno) : "no space");
			return false;
		}
		from += done;
		at += (uint64_t)done;
		bytes -= (size_t)done;
	}
	return true;
}

struct compiler *compile_begin(int fd, const struct compile_scan *scan,
			       const struct compile_options *options, struct trace_error *error)
{
	struct compiler *compiler = calloc(1, sizeof(*compiler));

	if (!compiler) {
		(void)no_memory(error);
		return NULL;
	}
	compiler->fd = fd;
	compiler->scan = scan;
	compiler->options = *options;
	for (unsigned i = 0; i < options->flip_count; i++)
		compiler->flips[i] = options->flips[i];
	compiler->end_of_file = align_up(sizeof(struct program_header), PROGRAM_CHUNK_BYTES);
	return compiler;
}

/* The thread of the replay; a new one starts when those have ended that had ended before it in the trace. */
static struct out_thread *thread_of(struct compiler *compiler, uint32_t number,
				    struct trace_error *error)
{
	while (number >= compiler->count) {
		if (compiler->count == compiler->room) {
			size_t room = compiler->room ? compiler->room * 2 : 16;
			struct out_thread *threads =
				realloc(compiler->threads, room * sizeof(*threads));
			if (!threads) {
				(void)no_memory(error);
				return NULL;
			}
			compiler->threads = threads;
			compiler->room = room;
		}
		if (compiler->count >= PROGRAM_THREADS_MAX) {
			trace_error_set(error, "more than %d threads: say --threads=N",
					PROGRAM_THREADS_MAX);
			return NULL;
		}
		compiler->threads[compiler->count++] = (struct out_thread){
			.entry.starts_after = (uint32_t)compiler->ended_count,
		};
	}
	return &compiler->threads[number];
}

static uint32_t number_of(const struct compiler *compiler, uint32_t thread)
{
	return compiler->options.threads ? thread % compiler->options.threads : thread;
}

static uint64_t take_chunk(struct compiler *compiler)
{
	uint64_t at = compiler->end_of_file;
	compiler->end_of_file += PROGRAM_CHUNK_BYTES;
	return at;
}

/* Makes sure that `steps` more and a jump fit into the chunk. */
static bool make_room(struct compiler *compiler, struct out_thread *thread, size_t steps,
		      struct trace_error *error)
{
	if (!thread->chunk) {
		thread->chunk = calloc(1, PROGRAM_CHUNK_BYTES);
		if (!thread->chunk)
			return no_memory(error);
		thread->entry.first = thread->at = take_chunk(compiler);
	}
	if (thread->used + steps + 1 <= PROGRAM_CHUNK_STEPS)
		return true;
	uint64_t next = take_chunk(compiler);
	thread->chunk[thread->used] = (struct program_step){ PROGRAM_JUMP, next };
	if (!write_at(compiler->fd, thread->at, thread->chunk, PROGRAM_CHUNK_BYTES, error))
		return false;
	thread->at = next;
	thread->used = 0;
	return true;
}

static bool put_step(struct compiler *compiler, struct out_thread *thread, uint64_t word,
		     uint64_t value, struct trace_error *error)
{
	if (!make_room(compiler, thread, 1, error))
		return false;
	thread->chunk[thread->used++] = (struct program_step){ word, value };
	return true;
}

static uint64_t word_of(enum program_kind kind, const struct track_block *block)
{
	unsigned alignment = 0;
	if (block->alignment > 1) /* rounded up to a power of two */
		alignment = (unsigned)highest_bit(block->alignment - 1) + 1;
	return (uint64_t)kind | (uint64_t)alignment << PROGRAM_ALIGN_SHIFT |
	       block->number << PROGRAM_BLOCK_SHIFT;
}

static uint64_t value_of(const struct compiler *compiler, const struct track_block *block)
{
	uint32_t pages = map_find(&compiler->scan->pages, block->number);
	return block->bytes |
	       (pages == MAP_NONE ? PROGRAM_ALL_PAGES : pages) << PROGRAM_BYTES_BITS;
}

/* The block may be another thread's, of the replay. */
static uint64_t others(const struct compiler *compiler, const struct track_block *block,
		       uint32_t number)
{
	return number_of(compiler, block->thread) != number ? PROGRAM_OTHERS : 0;
}

static void count_in(struct compiler *compiler, const struct track_block *block)
{
	struct program_header *header = &compiler->header;
	unsigned class = next_class_of(block->bytes);

	header->live_blocks++;
	header->live_bytes += block->bytes;
	header->end_blocks[class]++;
	header->end_class_bytes[class] += block->bytes;
	if (block->number >= header->blocks)
		header->blocks = block->number + 1;
}

static void count_out(struct compiler *compiler, const struct track_block *block)
{
	struct program_header *header = &compiler->header;
	unsigned class = next_class_of(block->bytes);

	header->live_blocks--;
	header->live_bytes -= block->bytes;
	header->end_blocks[class]--;
	header->end_class_bytes[class] -= block->bytes;
}

static bool is_wanted(const struct compiler *compiler, const struct track_block *block)
{
	return compiler->options.only == COMPILE_ALL ||
	       next_class_of(block->bytes) == compiler->options.only;
}

/* The operation as this program sees it: of a realloc from one class to another only one half may be its. */
static enum track_kind kind_of(const struct compiler *compiler,
			       const struct track_operation *operation, bool *wanted)
{
	enum track_kind kind = operation->kind;
	bool in = (kind == TRACK_ALLOCATE || kind == TRACK_REALLOCATE) &&
		  is_wanted(compiler, &operation->block);
	bool out = (kind == TRACK_FREE || kind == TRACK_REALLOCATE) &&
		   is_wanted(compiler, &operation->given_back);

	*wanted = in || out ||
		  (kind == TRACK_FREE_NULL && compiler->options.only == COMPILE_ALL) ||
		  kind == TRACK_THREAD_END;
	if (kind == TRACK_REALLOCATE && !(in && out))
		return in ? TRACK_ALLOCATE : TRACK_FREE;
	return kind;
}

static bool put_flips(struct compiler *compiler, struct out_thread *thread,
		      const struct track_operation *operation, struct trace_error *error)
{
	while (compiler->flips_done < compiler->options.flip_count) {
		const struct compile_flip *flip = &compiler->flips[compiler->flips_done];
		bool now = flip->at_ns != TRACE_UNKNOWN ? operation->time_ns >= flip->at_ns :
							  operation->number >= flip->at_operation;
		if (!now)
			return true;
		if (!put_step(compiler, thread, PROGRAM_FLIP, compiler->flips_done, error))
			return false;
		compiler->flips_done++;
	}
	return true;
}

/* The turn goes from the thread of the operation before to this one's. */
static bool put_turn(struct compiler *compiler, uint32_t number, struct trace_error *error)
{
	if (compiler->has_turn && compiler->turn == number)
		return true;
	if (compiler->has_turn) {
		struct out_thread *before = &compiler->threads[compiler->turn];
		if (!put_step(compiler, before, PROGRAM_PASS, number, error) ||
		    !put_step(compiler, &compiler->threads[number], PROGRAM_WAIT, 0, error))
			return false;
	}
	compiler->turn = number;
	compiler->has_turn = true;
	return true;
}

static bool put_call(struct compiler *compiler, struct out_thread *thread, uint32_t number,
		     enum track_kind kind, const struct track_operation *operation,
		     struct trace_error *error)
{
	const struct track_block *block = &operation->block, *old = &operation->given_back;
	uint64_t zeroed = operation->zeroed ? PROGRAM_ZEROED : 0;

	compiler->header.operations++;
	switch (kind) {
	case TRACK_ALLOCATE:
		count_in(compiler, block);
		return put_step(compiler, thread, word_of(PROGRAM_ALLOCATE, block) | zeroed,
				value_of(compiler, block), error);
	case TRACK_FREE:
		count_out(compiler, old);
		return put_step(compiler, thread,
				word_of(PROGRAM_FREE, old) | others(compiler, old, number),
				old->bytes, error);
	case TRACK_REALLOCATE:
		count_out(compiler, old);
		count_in(compiler, block);
		return make_room(compiler, thread, 2, error) &&
		       put_step(compiler, thread, word_of(PROGRAM_REALLOCATE, block),
				value_of(compiler, block), error) &&
		       put_step(compiler, thread,
				word_of(PROGRAM_OLD, old) | others(compiler, old, number),
				old->bytes, error);
	case TRACK_FREE_NULL:
	case TRACK_THREAD_END:
		break;
	}
	return put_step(compiler, thread, PROGRAM_FREE_NULL, 0, error);
}

static void note_at_peak(struct program_header *header)
{
	header->peak_bytes = header->live_bytes;
	header->peak_blocks = header->live_blocks;
	memcpy(header->at_peak_blocks, header->end_blocks, sizeof(header->end_blocks));
	memcpy(header->at_peak_class_bytes, header->end_class_bytes,
	       sizeof(header->end_class_bytes));
}

/* Writes the thread's last chunk. One that has no step at all is never started. */
static bool finish_thread(struct compiler *compiler, struct out_thread *thread,
			  struct trace_error *error)
{
	if (!thread->chunk)
		return true;
	if (!put_step(compiler, thread, PROGRAM_END, 0, error) ||
	    !write_at(compiler->fd, thread->at, thread->chunk, PROGRAM_CHUNK_BYTES, error))
		return false;
	free(thread->chunk);
	thread->chunk = NULL;
	return true;
}

static bool note_end(struct compiler *compiler, uint32_t number, struct trace_error *error)
{
	if (compiler->ended_count == compiler->ended_room) {
		size_t room = compiler->ended_room ? compiler->ended_room * 2 : 16;
		uint32_t *ended = realloc(compiler->ended, room * sizeof(*ended));
		if (!ended)
			return no_memory(error);
		compiler->ended = ended;
		compiler->ended_room = room;
	}
	compiler->ended[compiler->ended_count++] = number;
	compiler->threads[number].has_ended = true;
	return true;
}

/* A thread of its own ends for good; not where threads of the trace share one, nor where it still has to pass the
 * turn on. */
static bool end_thread(struct compiler *compiler, uint32_t number, struct trace_error *error)
{
	if (compiler->options.threads)
		return true;
	if (compiler->has_turn && compiler->turn == number)
		return note_end(compiler, number, error);
	return finish_thread(compiler, &compiler->threads[number], error) &&
	       note_end(compiler, number, error);
}

bool compile_feed(struct compiler *compiler, const struct track *track,
		  const struct track_operation *operation, struct trace_error *error)
{
	uint32_t number = number_of(compiler, operation->thread);
	bool wanted;
	enum track_kind kind = kind_of(compiler, operation, &wanted);

	(void)track;
	if (!wanted)
		return true;
	if (operation->kind != TRACK_THREAD_END && operation->kind != TRACK_FREE_NULL &&
	    operation->block.number >= PROGRAM_BLOCKS_LIMIT) {
		trace_error_set(error, "too many blocks");
		return false;
	}
	struct out_thread *thread = thread_of(compiler, number, error);
	if (!thread)
		return false;
	if (kind == TRACK_THREAD_END)
		return end_thread(compiler, number, error);
	if (compiler->options.pace && operation->time_ns > thread->last_time) {
		thread->last_time = operation->time_ns;
		if (!put_step(compiler, thread, PROGRAM_TIME, operation->time_ns, error))
			return false;
	}
	if (compiler->options.in_order && !put_turn(compiler, number, error))
		return false;
	if (!put_flips(compiler, thread, operation, error) ||
	    !put_call(compiler, thread, number, kind, operation, error))
		return false;
	if (operation->number != compiler->scan->peak_operation[compiler->options.only] ||
	    compiler->header.peak_bytes)
		return true;
	note_at_peak(&compiler->header);
	return put_step(compiler, thread, PROGRAM_PEAK, 0, error);
}

static bool write_tables(struct compiler *compiler, struct trace_error *error)
{
	struct program_header *header = &compiler->header;

	header->magic = PROGRAM_MAGIC;
	header->span_ns = compiler->scan->span_ns;
	header->threads = (uint32_t)compiler->count;
	header->ended = (uint32_t)compiler->ended_count;
	header->threads_at = compiler->end_of_file;
	header->ended_at = header->threads_at + compiler->count * sizeof(struct program_thread);
	for (size_t i = 0; i < compiler->count; i++)
		if (!write_at(compiler->fd, header->threads_at + i * sizeof(struct program_thread),
			      &compiler->threads[i].entry, sizeof(struct program_thread), error))
			return false;
	return write_at(compiler->fd, header->ended_at, compiler->ended,
			compiler->ended_count * sizeof(*compiler->ended), error) &&
	       write_at(compiler->fd, 0, header, sizeof(*header), error);
}

bool compile_end(struct compiler *compiler, struct program_header *header,
		 struct trace_error *error)
{
	bool fine = header != NULL;

	/* A thread that has ended while the turn was its is finished here, too. */
	for (size_t i = 0; i < compiler->count; i++) {
		struct out_thread *thread = &compiler->threads[i];
		if (fine && (thread->chunk || !thread->has_ended))
			fine = finish_thread(compiler, thread, error);
		free(thread->chunk);
	}
	if (fine)
		fine = write_tables(compiler, error);
	if (fine)
		*header = compiler->header;
	free(compiler->threads);
	free(compiler->ended);
	free(compiler);
	return fine;
}
