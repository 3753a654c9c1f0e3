/* SPDX-License-Identifier: MIT */
/* tests/fuzz_trace.h - what every importer's fuzz target does: any bytes are a trace or are refused at a line or byte
 *
 * What comes out of track.h has to make sense whatever went in, and to be a program for the replay.
 */
#ifndef TESTS_FUZZ_TRACE_H
#define TESTS_FUZZ_TRACE_H

#include "migrate/tool/replay/compile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

INLINE void require(bool condition)
{
	if (!condition)
		abort();
}

INLINE void fuzz_check_error(const struct trace_error *error)
{
	size_t length = strnlen(error->text, sizeof(error->text));

	require(length > 0 && length < sizeof(error->text));
	for (size_t i = 0; i < length; i++)
		require(error->text[i] >= 0x20 && error->text[i] < 0x7f);
}

/* A block is given back once, after it was allocated: `lives` has a byte for each. */
INLINE void fuzz_check_operation(const struct track_operation *operation, unsigned char *lives,
				 size_t blocks)
{
	if (operation->kind == TRACK_FREE || operation->kind == TRACK_REALLOCATE) {
		uint64_t number = operation->given_back.number;
		require(number < blocks && lives[number] == 1);
		lives[number] = 2;
	}
	if (operation->kind == TRACK_ALLOCATE || operation->kind == TRACK_REALLOCATE) {
		uint64_t number = operation->block.number;
		require(number < blocks && lives[number] == 0);
		require(operation->block.bytes < TRACE_BYTES_LIMIT);
		lives[number] = 1;
	}
}

/* blocks: more than the trace can have. */
INLINE bool fuzz_track(struct trace_reader *reader, size_t blocks)
{
	struct track_operation operation;
	struct trace_error error;
	enum trace_status status;
	struct track track;
	uint64_t last_ns = 0;
	unsigned char *lives = calloc(blocks, 1);

	track_open(&track, reader);
	while ((status = track_next(&track, &operation, &error)) == TRACE_OK) {
		fuzz_check_operation(&operation, lives, blocks);
		require(operation.time_ns >= last_ns);
		require(operation.thread < track.thread_count);
		last_ns = operation.time_ns;
	}
	if (status == TRACE_WRONG)
		fuzz_check_error(&error);
	require(track.counts.live_blocks == track.counts.allocations - track.counts.frees);
	track_close(&track);
	trace_close(reader);
	free(lives);
	return status == TRACE_END;
}

/* Two compilers: threads as they are, and two threads in recorded order. */
INLINE void fuzz_compile(const struct compile_scan *scan, struct trace_reader *reader)
{
	static const struct compile_options options[2] = {
		{ .only = COMPILE_ALL, .pace = true },
		{ .only = COMPILE_ALL, .threads = 2, .in_order = true },
	};
	struct compiler *compilers[2];
	struct track_operation operation;
	struct trace_error error;
	struct track track;
	int fd[2];

	for (unsigned i = 0; i < 2; i++) {
		fd[i] = memfd_create("fuzz", 0);
		compilers[i] = compile_begin(fd[i], scan, &options[i], &error);
		require(compilers[i] != NULL);
	}
	track_open(&track, reader);
	while (track_next(&track, &operation, &error) == TRACE_OK)
		for (unsigned i = 0; i < 2; i++)
			require(compile_feed(compilers[i], &track, &operation, &error));
	for (unsigned i = 0; i < 2; i++) {
		struct program_header header;
		require(compile_end(compilers[i], &header, &error));
		require(header.live_blocks == scan->counts.live_blocks);
		require(header.live_bytes == scan->counts.live_bytes);
		require(header.peak_bytes == scan->peak_bytes[COMPILE_ALL]);
		close(fd[i]);
	}
	track_close(&track);
	trace_close(reader);
}

struct fuzz_input {
	const char *format;
	const uint8_t *data;
	size_t bytes;
};
typedef struct trace_reader *fuzz_opener(const struct fuzz_input *input, struct trace_error *error);

/* Whatever opens the input: read once, and if there is no error in it once more as a program for the replay. */
INLINE int fuzz_trace_by(fuzz_opener *open, const struct fuzz_input *input, size_t blocks)
{
	struct trace_error error;
	struct compile_scan scan;
	struct trace_reader *reader = open(input, &error);

	if (!reader) {
		fuzz_check_error(&error);
		return 0;
	}
	if (!fuzz_track(reader, blocks))
		return 0;
	reader = open(input, &error);
	require(reader && compile_scan(&scan, reader, &error));
	trace_close(reader);
	reader = open(input, &error);
	require(reader != NULL);
	fuzz_compile(&scan, reader);
	compile_scan_free(&scan);
	return 0;
}

INLINE struct trace_reader *fuzz_open_memory(const struct fuzz_input *input,
					     struct trace_error *error)
{
	return trace_open_memory(input->data, input->bytes, input->format, error);
}

/* No format of these has an allocation in fewer than two bytes. */
INLINE int fuzz_trace(const char *format, const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { format, data, bytes };
	return fuzz_trace_by(fuzz_open_memory, &input, bytes + 1);
}

#endif
