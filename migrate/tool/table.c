/* SPDX-License-Identifier: MIT */
/* migrate/tool/table.c - the classes of a status as rows and columns; see table.h */
#include "migrate/tool/table.h"

#include "migrate/tool/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- rows ----------------------------------------------------------------------------------------- */

static bool alike(const struct hakmem_class *a, const struct hakmem_class *b)
{
	return a->state == b->state && a->served_by == b->served_by && a->old_side == b->old_side &&
	       a->source == b->source && a->reason == b->reason && a->share_of == b->share_of &&
	       a->share == b->share && a->has_control == b->has_control && a->arm == b->arm &&
	       a->latched == b->latched && strcmp(a->cause, b->cause) == 0 &&
	       (a->old_class_bytes != 0) == (b->old_class_bytes != 0);
}

double table_rate(const struct page_status *now, const struct page_status *before, uint64_t later,
		  uint64_t earlier)
{
	if (!before || now->time_ns <= before->time_ns || later == HAKMEM_UNKNOWN ||
	    earlier == HAKMEM_UNKNOWN)
		return -1;
	/* Sums over threads are of a moment's look: one that seems to go back has not moved. */
	uint64_t count = later > earlier ? later - earlier : 0;
	return (double)count * 1e9 / (double)(now->time_ns - before->time_ns);
}

static void add_rate(double *sum, double rate)
{
	*sum = *sum < 0 || rate < 0 ? -1 : *sum + rate;
}

static void add_bytes(uint64_t *sum, uint64_t bytes)
{
	*sum = *sum == HAKMEM_UNKNOWN || bytes == HAKMEM_UNKNOWN ? HAKMEM_UNKNOWN : *sum + bytes;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The largest of the classes that share one of legacy's. */
static bool is_largest(const struct page_status *status, unsigned number)
{
	return number == NEXT_CLASSES - 1 ||
	       status->class[number + 1].old_class_bytes != status->class[number].old_class_bytes;
}

static void add_class(struct table_row *row, const struct page_status *now,
		      const struct page_status *before, unsigned number)
{
	const struct hakmem_class *class = &now->class[number];
	const struct hakmem_class *earlier = before ? &before->class[number] : NULL;

	row->last = number;
	row->next.blocks += class->next_live_blocks;
	row->next.bytes += class->next_live_bytes;
	add_bytes(&row->next.held_bytes, class->next_held_bytes);
	add_rate(&row->next.mallocs_per_s,
		 table_rate(now, before, class->next_mallocs, earlier ? earlier->next_mallocs : 0));
	row->next.remote_frees += class->next_remote_frees;
	row->next.purged_bytes += class->next_purged_bytes;
	row->next.segments = least(row->next.segments + class->next_pinned_segments,
				   now->next_segments + now->next_huge_blocks);
	row->elsewhere_bytes = 0;
	if (class->old_class_bytes == 0)
		return;
	if (!is_largest(now, number)) {
		row->elsewhere_bytes = class->old_class_bytes;
		return;
	}
	if (row->old.blocks == HAKMEM_UNKNOWN)
		row->old = (struct table_figures){ .blocks = 0 };
	row->old.blocks += class->old_live_blocks;
	row->old.bytes += class->old_live_bytes;
	add_bytes(&row->old.held_bytes, class->old_pinned_bytes);
	add_rate(&row->old.mallocs_per_s,
		 table_rate(now, before, class->old_mallocs, earlier ? earlier->old_mallocs : 0));
	row->old.remote_frees += class->old_remote_frees;
	row->old.purged_bytes += class->old_purged_bytes;
	row->old.lock_waits += class->old_lock_waits;
	row->old.segments =
		least(row->old.segments + class->old_pinned_segments, now->legacy_segments);
}

static bool has_figures(const struct table_figures *figures)
{
	return figures->blocks != HAKMEM_UNKNOWN &&
	       (figures->blocks > 0 || figures->mallocs_per_s > 0);
}

unsigned table_rows(const struct page_status *now, const struct page_status *before,
		    enum table_kind kind, struct table_row rows[NEXT_CLASSES])
{
	unsigned count = 0, number = 0;

	while (number < NEXT_CLASSES) {
		struct table_row *row = &rows[count];
		const struct hakmem_class *first = &now->class[number];
		*row = (struct table_row){
			.first = number,
			.old = { .blocks = HAKMEM_UNKNOWN,
				 .bytes = HAKMEM_UNKNOWN,
				 .held_bytes = HAKMEM_UNKNOWN,
				 .mallocs_per_s = -1,
				 .segments = HAKMEM_UNKNOWN,
				 .remote_frees = HAKMEM_UNKNOWN,
				 .lock_waits = HAKMEM_UNKNOWN,
				 .purged_bytes = HAKMEM_UNKNOWN },
		};
		do
			add_class(row, now, before, number++);
		while (kind == TABLE_ALIKE && number < NEXT_CLASSES &&
		       alike(first, &now->class[number]));
		count += kind != TABLE_LIVE || has_figures(&row->next) || has_figures(&row->old);
	}
	return count;
}

const char *table_names(const struct page_status *status, unsigned first, unsigned last,
			char out[TABLE_NAMES_BYTES])
{
	unsigned end = last == NEXT_CLASS_HUGE ? last - 1 : last;

	if (first == 0 && last == NEXT_CLASS_HUGE)
		return "";
	if (first == NEXT_CLASS_HUGE)
		return "huge";
	(void)snprintf(out, TABLE_NAMES_BYTES, "%" PRIu64 "-%" PRIu64 "%s",
		       status->class[first].max_bytes, status->class[end].max_bytes,
		       last == NEXT_CLASS_HUGE ? ",huge" : "");
	return out;
}

const char *table_sizes(const struct page_status *status, unsigned first, unsigned last,
			char out[2 * OUTPUT_BYTES])
{
	char from[OUTPUT_BYTES], to[OUTPUT_BYTES];

	if (last == NEXT_CLASS_HUGE)
		(void)snprintf(out, 2 * OUTPUT_BYTES, "%s and more",
			       first == NEXT_CLASS_HUGE
				       ? "1m"
				       : output_size(status->class[first].min_bytes, from));
	else
		(void)snprintf(out, 2 * OUTPUT_BYTES, "%s to %s",
			       output_size(status->class[first].min_bytes, from),
			       output_size(status->class[last].max_bytes, to));
	return out;
}

/* --- columns -------------------------------------------------------------------------------------- */

static const struct column {
	const char *head;
	unsigned width;
	unsigned goes; /* which goes first when there is no room; 0: never */
	bool left;
} columns[TABLE_COLUMNS] = {
	[COLUMN_SIZES] = { .head = "sizes", .width = 15, .left = true },
	[COLUMN_STATE] = { .head = "state", .width = 7, .left = true },
	[COLUMN_COHORT] = { .head = "cohort", .width = 18, .goes = 5, .left = true },
	[COLUMN_NEXT_LIVE] = { .head = "live", .width = 10 },
	[COLUMN_NEXT_BLOCKS] = { .head = "blocks", .width = 7, .goes = 4 },
	[COLUMN_NEXT_MALLOCS] = { .head = "malloc/s", .width = 8 },
	[COLUMN_NEXT_WASTE] = { .head = "waste", .width = 5, .goes = 2 },
	[COLUMN_NEXT_SEGMENTS] = { .head = "segments", .width = 8, .goes = 1 },
	[COLUMN_NEXT_REMOTE] = { .head = "remote", .width = 7, .goes = 1 },
	[COLUMN_NEXT_PURGED] = { .head = "purged", .width = 10, .goes = 1 },
	[COLUMN_OLD_SIDE] = { .head = "is", .width = 6, .left = true },
	[COLUMN_OLD_LIVE] = { .head = "live", .width = 10 },
	[COLUMN_OLD_BLOCKS] = { .head = "blocks", .width = 7, .goes = 4 },
	[COLUMN_OLD_MALLOCS] = { .head = "malloc/s", .width = 8 },
	[COLUMN_OLD_WASTE] = { .head = "waste", .width = 5, .goes = 2 },
	[COLUMN_OLD_SEGMENTS] = { .head = "segments", .width = 8, .goes = 1 },
	[COLUMN_OLD_REMOTE] = { .head = "remote", .width = 7, .goes = 1 },
	[COLUMN_OLD_PURGED] = { .head = "purged", .width = 10, .goes = 1 },
	[COLUMN_OLD_WAITS] = { .head = "waits", .width = 7, .goes = 1 },
	[COLUMN_WHY] = { .head = "why", .width = 24, .goes = 3, .left = true },
};
#define GOES_LAST 5
#define BETWEEN	  2 /* blanks */

static unsigned place(struct table_layout *layout)
{
	unsigned at = 0;
	for (unsigned i = 0; i < TABLE_COLUMNS; i++) {
		if (!layout->shown[i])
			continue;
		layout->at[i] = at;
		layout->width[i] = columns[i].width;
		at += columns[i].width + BETWEEN;
	}
	return at - BETWEEN;
}

void table_lay_out(struct table_layout *layout, unsigned width)
{
	for (unsigned i = 0; i < TABLE_COLUMNS; i++)
		layout->shown[i] = true;
	for (unsigned round = 1; place(layout) > width && width > 0 && round <= GOES_LAST; round++)
		for (unsigned i = 0; i < TABLE_COLUMNS; i++)
			if (columns[i].goes == round)
				layout->shown[i] = false;
}

/* The text at its place in a line of blanks. */
static void put(char line[TABLE_LINE_BYTES], unsigned at, const char *text)
{
	size_t length = strlen(text);
	if (at + length < TABLE_LINE_BYTES)
		memcpy(line + at, text, length);
}

/* "---- next ----" over the columns from `first` to `last`. */
static void put_over(const struct table_layout *layout, char line[TABLE_LINE_BYTES],
		     enum table_column first, enum table_column last, const char *name)
{
	unsigned from = layout->at[first], to = 0, length = (unsigned)strlen(name);

	for (unsigned i = first; i <= last; i++)
		if (layout->shown[i])
			to = layout->at[i] + layout->width[i];
	memset(line + from, '-', to - from);
	unsigned middle = from + (to - from - length) / 2;
	put(line, middle, name);
	line[middle - 1] = line[middle + length] = ' ';
}

static void end_line(char line[TABLE_LINE_BYTES])
{
	size_t length = TABLE_LINE_BYTES - 1;
	while (length > 0 && line[length - 1] == ' ')
		length--;
	line[length] = '\0';
}

void table_heads(const struct table_layout *layout, char over[TABLE_LINE_BYTES],
		 char heads[TABLE_LINE_BYTES])
{
	memset(over, ' ', TABLE_LINE_BYTES);
	memset(heads, ' ', TABLE_LINE_BYTES);
	put_over(layout, over, COLUMN_NEXT_LIVE, COLUMN_NEXT_PURGED, "next");
	put_over(layout, over, COLUMN_OLD_SIDE, COLUMN_OLD_WAITS, "old side");
	for (unsigned i = 0; i < TABLE_COLUMNS; i++) {
		unsigned length = (unsigned)strlen(columns[i].head);
		if (layout->shown[i])
			put(heads,
			    layout->at[i] + (columns[i].left ? 0 : layout->width[i] - length),
			    columns[i].head);
	}
	end_line(over);
	end_line(heads);
}

/* --- cells ---------------------------------------------------------------------------------------- */

static const char *live_text(uint64_t bytes, char out[OUTPUT_BYTES])
{
	if (bytes == HAKMEM_UNKNOWN)
		return "?";
	return bytes == 0 ? "-" : output_bytes(bytes, out);
}

static const char *count_text(uint64_t count, char out[OUTPUT_BYTES])
{
	if (count == HAKMEM_UNKNOWN)
		return "?";
	return count == 0 ? "-" : output_count((double)count, out);
}

static const char *rate_text(double rate, char out[OUTPUT_BYTES])
{
	if (rate < 0)
		return "?";
	return rate == 0 ? "-" : output_count(rate, out);
}

/* Of what is held, the part that no live block is in. */
static const char *waste_text(const struct table_figures *figures, char out[OUTPUT_BYTES])
{
	if (figures->held_bytes == HAKMEM_UNKNOWN || figures->bytes == HAKMEM_UNKNOWN)
		return "?";
	if (figures->held_bytes <= figures->bytes)
		return "-";
	(void)snprintf(out, OUTPUT_BYTES, "%.0f%%",
		       100 * (1 - (double)figures->bytes / (double)figures->held_bytes));
	return out;
}

const char *table_cohort(const struct hakmem_class *class, char out[SHARE_TEXT_BYTES])
{
	struct share share = { .of = (enum share_of) class->share_of,
			       .size = class->share,
			       .control = class->has_control };

	if (share_text(&share, out) == 0)
		return class->state == HAKMEM_STATE_NEXT ? "all" : "-";
	return out + 1; /* without the '@' */
}

const char *table_state(const struct hakmem_class *class)
{
	switch ((enum hakmem_state) class->state) {
	case HAKMEM_STATE_CANARY:
		return "canary";
	case HAKMEM_STATE_NEXT:
		return "next";
	case HAKMEM_STATE_OLD:
		break;
	}
	return class->latched ? "latched" : "old";
}

/* Figures of legacy's that stand in another row. */
static const char *elsewhere(const struct table_row *row, char out[OUTPUT_BYTES])
{
	char size[OUTPUT_BYTES];
	(void)snprintf(out, OUTPUT_BYTES, "with %s", output_size(row->elsewhere_bytes, size));
	return out;
}

static const char *old_text(const struct table_row *row, enum table_column column,
			    char out[OUTPUT_BYTES])
{
	if (row->elsewhere_bytes && row->old.blocks == HAKMEM_UNKNOWN)
		return column == COLUMN_OLD_LIVE ? elsewhere(row, out) : "";
	switch (column) {
	case COLUMN_OLD_LIVE:
		return live_text(row->old.bytes, out);
	case COLUMN_OLD_BLOCKS:
		return count_text(row->old.blocks, out);
	case COLUMN_OLD_MALLOCS:
		return rate_text(row->old.mallocs_per_s, out);
	case COLUMN_OLD_SEGMENTS:
		return count_text(row->old.segments, out);
	case COLUMN_OLD_REMOTE:
		return count_text(row->old.remote_frees, out);
	case COLUMN_OLD_PURGED:
		return live_text(row->old.purged_bytes, out);
	case COLUMN_OLD_WAITS:
		return count_text(row->old.lock_waits, out);
	default:
		return waste_text(&row->old, out);
	}
}

bool table_is_empty(const char *cell)
{
	cell += strspn(cell, " ");
	return (*cell == '-' || *cell == '?') && strspn(cell + 1, " ") == strlen(cell + 1);
}

enum output_colour table_colour(const struct hakmem_class *class)
{
	if (class->latched || class->reason == HAKMEM_REASON_KILL_SWITCH ||
	    class->reason == HAKMEM_REASON_UNAVAILABLE)
		return OUTPUT_RED;
	return class->state == HAKMEM_STATE_NEXT     ? OUTPUT_GREEN
	       : class->state == HAKMEM_STATE_CANARY ? OUTPUT_YELLOW
						     : OUTPUT_PLAIN;
}

void table_cell(const struct table_layout *layout, const struct page_status *status,
		const struct table_row *row, enum table_column column, char out[TABLE_CELL_BYTES])
{
	const struct hakmem_class *class = &status->class[row->first];
	char space[TABLE_CELL_BYTES];
	const char *text = "";

	switch (column) {
	case COLUMN_SIZES:
		text = table_sizes(status, row->first, row->last, space);
		break;
	case COLUMN_STATE:
		text = table_state(class);
		break;
	case COLUMN_COHORT:
		text = table_cohort(class, space);
		break;
	case COLUMN_NEXT_LIVE:
		text = live_text(row->next.bytes, space);
		break;
	case COLUMN_NEXT_BLOCKS:
		text = count_text(row->next.blocks, space);
		break;
	case COLUMN_NEXT_MALLOCS:
		text = rate_text(row->next.mallocs_per_s, space);
		break;
	case COLUMN_NEXT_WASTE:
		text = waste_text(&row->next, space);
		break;
	case COLUMN_NEXT_SEGMENTS:
		text = count_text(row->next.segments, space);
		break;
	case COLUMN_NEXT_REMOTE:
		text = count_text(row->next.remote_frees, space);
		break;
	case COLUMN_NEXT_PURGED:
		text = live_text(row->next.purged_bytes, space);
		break;
	case COLUMN_OLD_SIDE:
		text = show_owner(class->old_side);
		break;
	case COLUMN_OLD_LIVE:
	case COLUMN_OLD_BLOCKS:
	case COLUMN_OLD_MALLOCS:
	case COLUMN_OLD_WASTE:
	case COLUMN_OLD_SEGMENTS:
	case COLUMN_OLD_REMOTE:
	case COLUMN_OLD_PURGED:
	case COLUMN_OLD_WAITS:
		text = old_text(row, column, space);
		break;
	case COLUMN_WHY:
		/* As it comes: nothing stands behind it. */
		(void)snprintf(out, TABLE_CELL_BYTES, "%s", show_why(class, space));
		return;
	}
	int width = (int)layout->width[column];
	(void)snprintf(out, TABLE_CELL_BYTES, columns[column].left ? "%-*.*s" : "%*.*s", width,
		       width, text);
}
