/* SPDX-License-Identifier: MIT */
/* migrate/tool/table.h - the classes of a status as rows and columns, old beside new, for `status` and `top`
 *
 * Rates come from two looks at the same process. What is not known is never shown as a number: "?" stands for it, "-"
 * for nothing at all.
 *
 * legacy counts by its own seven classes, which several of ours share: its figures stand in the row that has the
 * largest of them, so that no figure is in two rows.
 */
#ifndef TOOL_TABLE_H
#define TOOL_TABLE_H

#include "migrate/page.h"
#include "migrate/tool/output.h"

struct table_figures {
	uint64_t blocks, bytes; /* HAKMEM_UNKNOWN: not told, or in another row */
	uint64_t held_bytes;	/* of pages that hold them; HAKMEM_UNKNOWN: not told */
	double mallocs_per_s;	/* negative: not known */
	/* Of classes that share a segment or one of legacy's classes no more than the pool has. HAKMEM_UNKNOWN as above. */
	uint64_t segments;
	uint64_t remote_frees, lock_waits, purged_bytes; /* since the process began */
};

struct table_row {
	unsigned first, last;	  /* classes */
	uint32_t elsewhere_bytes; /* legacy's class that these share with a larger one; 0: none */
	struct table_figures next, old;
};

enum table_kind {
	TABLE_ALIKE, /* classes that differ in figures only share a row */
	TABLE_LIVE,  /* a row for every class that has a figure */
	TABLE_ALL,   /* a row for every class */
};

/* Fills `rows`; gives how many. `before` is an earlier look, or NULL. */
unsigned table_rows(const struct page_status *now, const struct page_status *before,
		    enum table_kind kind, struct table_row rows[NEXT_CLASSES]);

/* (later - earlier) a second between the looks; negative if that is not known. */
double table_rate(const struct page_status *now, const struct page_status *before, uint64_t later,
		  uint64_t earlier);

/* The classes as a plan names them, "4096-8192,huge"; "" for all. */
#define TABLE_NAMES_BYTES 64
const char *table_names(const struct page_status *status, unsigned first, unsigned last,
			char out[TABLE_NAMES_BYTES]);

/* Their sizes for people: "3841 to 4k", "1m and more". */
const char *table_sizes(const struct page_status *status, unsigned first, unsigned last,
			char out[2 * OUTPUT_BYTES]);

/* --- columns -------------------------------------------------------------------------------------- */

enum table_column {
	COLUMN_SIZES,
	COLUMN_STATE,
	COLUMN_COHORT,
	COLUMN_NEXT_LIVE,
	COLUMN_NEXT_BLOCKS,
	COLUMN_NEXT_MALLOCS,
	COLUMN_NEXT_WASTE,
	COLUMN_NEXT_SEGMENTS,
	COLUMN_NEXT_REMOTE,
	COLUMN_NEXT_PURGED,
	COLUMN_OLD_SIDE,
	COLUMN_OLD_LIVE,
	COLUMN_OLD_BLOCKS,
	COLUMN_OLD_MALLOCS,
	COLUMN_OLD_WASTE,
	COLUMN_OLD_SEGMENTS,
	COLUMN_OLD_REMOTE,
	COLUMN_OLD_PURGED,
	COLUMN_OLD_WAITS,
	COLUMN_WHY, /* the last, as wide as it comes */
};
#define TABLE_COLUMNS 20

struct table_layout {
	bool shown[TABLE_COLUMNS];
	unsigned at[TABLE_COLUMNS], width[TABLE_COLUMNS]; /* characters */
};

/* Leaves out what matters least until the rest fits into `width` characters. 0: as wide as it comes. */
void table_lay_out(struct table_layout *layout, unsigned width);

/* A line of heads, without a NUL in between and cut to the width: `over` says whose the columns below are. */
#define TABLE_LINE_BYTES 512
void table_heads(const struct table_layout *layout, char over[TABLE_LINE_BYTES],
		 char heads[TABLE_LINE_BYTES]);

/* What stands in a column of a row, as wide as the column; the last one as it comes. */
#define TABLE_CELL_BYTES 128
void table_cell(const struct table_layout *layout, const struct page_status *status,
		const struct table_row *row, enum table_column column, char out[TABLE_CELL_BYTES]);

/* The cell says nothing: "-" or "?". Such ones are shown so that the others stand out. */
MUST_USE bool table_is_empty(const char *cell);

/* "next", "latched"; "25%:thread/control", "all". */
MUST_USE const char *table_state(const struct hakmem_class *class);
MUST_USE const char *table_cohort(const struct hakmem_class *class, char out[SHARE_TEXT_BYTES]);

/* What a row's state looks like. */
enum output_colour table_colour(const struct hakmem_class *class);

#endif
