/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/info.h - what is in a trace: counted once, shown as text, JSON or a picture */
#ifndef TRACE_INFO_H
#define TRACE_INFO_H

#include "migrate/record_metadata.h"
#include "migrate/tool/trace/track.h"
#include "next/bin.h"

#include <stdio.h>

/* All classes together. */
#define INFO_ALL     NEXT_CLASSES
#define INFO_SAMPLES 512

/* Lifetimes are counted in buckets: four to a doubling. */
#define INFO_BUCKETS 256
INLINE unsigned info_bucket(uint64_t value)
{
	if (value < 4)
		return (unsigned)value;
	unsigned e = (unsigned)highest_bit(value);
	return e * 4 + (unsigned)(value >> (e - 2) & 3);
}

/* The least value in a bucket. */
INLINE double info_bucket_value(unsigned bucket)
{
	if (bucket < 8)
		return bucket < 4 ? bucket : 4;
	return (double)(4 + bucket % 4) * (double)(UINT64_C(1) << (bucket / 4 - 2));
}

struct info_class {
	uint64_t allocations, bytes;	    /* in all */
	uint64_t freed, freed_by_others;    /* of these; by another thread than the one that allocated */
	uint64_t live_blocks, live_bytes;   /* at the end */
	uint64_t at_peak_blocks, at_peak_bytes; /* when most lived, of all classes */
	uint64_t peak_bytes;			/* of this class */
	uint64_t lifetime[INFO_BUCKETS];	/* of the blocks that were freed */
};

struct info_sample {
	uint64_t time_ns, operation, live_bytes, live_blocks;
};

struct info {
	const char *path;
	struct trace_traits traits;
	struct track_counts counts;
	uint64_t callocs, memaligns, supplied;
	/* By who served them, where the trace says so: allocations and reallocations; frees. */
	uint64_t served[RECORD_SERVED], freed_of[RECORD_SERVED];
	uint64_t span_ns;
	size_t threads, most_threads; /* in all; at one time, as far as the trace says when they end */
	struct track_thread *each;    /* `threads` of them */
	uint64_t peak_bytes, peak_blocks, peak_ns, peak_operation;
	struct info_class class[NEXT_CLASSES + 1];
	unsigned samples;
	uint64_t sample_every; /* operations */
	struct info_sample sample[INFO_SAMPLES];
};

/* Of the blocks that were freed, so many percent lived at most so long: nanoseconds, or operations in a trace without
 * times. NAN: none was freed. */
double info_lifetime(const struct info_class *class, double percent);

struct prepare_source;

/* Reads the trace, twice; what lives at the peak is not told of standard input, which is read once. NULL, and the error
 * told. */
MUST_USE struct info *info_read(const char *name, const struct prepare_source *source);
void info_free(struct info *info);

struct plot;

/* Begins a plot with the picture's script, for whoever draws it. False without memory, or if there is nothing to
 * draw. */
MUST_USE bool info_begin_picture(const struct info *info, struct plot *plot);

/* Draws the picture with gnuplot. False, and the error told. */
MUST_USE bool info_picture(const char *name, const struct info *info, const char *path);

void info_text(const struct info *info);
void info_json(const struct info *info);

#endif
