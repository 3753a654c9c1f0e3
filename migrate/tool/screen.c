/* SPDX-License-Identifier: MIT */
/* migrate/tool/screen.c - what `hakmem top` shows; see screen.h
 *
 *     redis-server (4711)  up 2 h 13 min, 45.1 MiB resident, 5 threads, hakmem 0.1.0
 *     live plan  mid=next@25%:thread/control
 *     guards, and what flips left behind
 *     pool  live  ...  malloc/s  history     next and legacy, two lines
 *
 *     sizes  state  ...                      a line for every row of classes; the selected one is reversed
 *     ...
 *     what there is to say of the selected row, two lines
 *     the message or question, or the keys
 */
#include "migrate/tool/screen.h"

#include "migrate/tool/show.h"

#include <curses.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 1024

/* Text at a place, as much of it as the line has room for; gives the column behind it. */
__attribute__((format(printf, 4, 5))) static unsigned put(int y, unsigned x, attr_t attributes,
							  const char *format, ...)
{
	char text[LINE_BYTES];
	va_list arguments;
	int room = COLS - (int)x;

	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (y < 0 || y >= LINES || room <= 0 || length <= 0)
		return x;
	attron(attributes);
	(void)mvaddnstr(y, (int)x, text, room);
	attroff(attributes);
	return x + (unsigned)(length < room ? length : room);
}

static attr_t in_colour(enum output_colour colour)
{
	if (colour == OUTPUT_BOLD)
		return A_BOLD;
	/* COLOR_PAIR is of signed arithmetic. */
	return has_colors() && output_wants_colour() && colour != OUTPUT_PLAIN
		       ? (attr_t)COLOR_PAIR((int)colour)
		       : A_NORMAL;
}

/* --- the pools ------------------------------------------------------------------------------------ */

#define POOL_FORMAT "%-7s %10s %7s %10s %10s %10s %8s %7s %8s %8s"
#define POOL_WIDTH  94

/* A rate as one character of a graph. */
static void put_level(int y, unsigned x, double rate, double most)
{
	static const char *const blocks[] = { " ",
					      "\xe2\x96\x81",
					      "\xe2\x96\x82",
					      "\xe2\x96\x83",
					      "\xe2\x96\x84",
					      "\xe2\x96\x85",
					      "\xe2\x96\x86",
					      "\xe2\x96\x87",
					      "\xe2\x96\x88" };
	static const char *const plain[] = { " ", ".", ".", ":", ":", "-", "=", "+", "#" };
	bool unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	size_t level = rate > 0 && most > 0 ? 1 + (size_t)(rate / most * 7.0) : 0;

	(void)mvaddstr(y, (int)x, unicode ? blocks[level] : plain[level]);
}

/* The newest at the right end, both pools to one scale. */
static void draw_history(const struct screen *screen, int y)
{
	const struct screen_history *history = screen->history;
	unsigned room = COLS > POOL_WIDTH + 12 ? (unsigned)COLS - POOL_WIDTH - 3 : 0;
	unsigned count = history->count < room ? history->count : room;
	double most = 0;

	for (unsigned i = history->count - count; i < history->count; i++) {
		most = history->next[i] > most ? history->next[i] : most;
		most = history->old[i] > most ? history->old[i] : most;
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned from = history->count - count + i, x = (unsigned)COLS - count - 1 + i;
		attron(in_colour(OUTPUT_GREEN));
		put_level(y, x, history->next[from], most);
		attroff(in_colour(OUTPUT_GREEN));
		put_level(y + 1, x, history->old[from], most);
	}
}

static const char *rate(const struct screen *screen, uint64_t later, uint64_t earlier,
			char out[OUTPUT_BYTES])
{
	double a_second = table_rate(screen->now, screen->before, later, earlier);
	return a_second < 0 ? "?" : a_second == 0 ? "-" : output_count(a_second, out);
}

static double newest(const double *rates, unsigned count)
{
	return count > 0 ? rates[count - 1] : -1;
}

static const char *newest_text(const double *rates, unsigned count, char out[OUTPUT_BYTES])
{
	double value = newest(rates, count);
	return value < 0 ? "?" : value == 0 ? "-" : output_count(value, out);
}

static void draw_pools(const struct screen *screen, int y)
{
	const struct page_status *now = screen->now;
	const struct page_status *before = screen->before ? screen->before : now;
	const struct screen_history *history = screen->history;
	char t[9][OUTPUT_BYTES];

	put(y, 0, A_BOLD, POOL_FORMAT, "pool", "live", "blocks", "mapped", "kept free", "purged",
	    "segments", "waits/s", "remote/s", "malloc/s");
	(void)snprintf(t[7], OUTPUT_BYTES, "%" PRIu64, now->next_segments);
	put(y + 1, 0, in_colour(OUTPUT_GREEN), POOL_FORMAT, "next",
	    output_bytes(now->next_live_bytes, t[0]),
	    output_count((double)now->next_live_blocks, t[1]),
	    output_bytes(now->next_mapped_bytes, t[2]),
	    output_bytes(now->next_resident_free_bytes, t[3]),
	    output_bytes(now->next_purged_bytes, t[4]), t[7], "none",
	    rate(screen, now->next_remote_frees, before->next_remote_frees, t[6]),
	    newest_text(history->next, history->count, t[5]));
	(void)snprintf(t[8], OUTPUT_BYTES, "%" PRIu64, now->legacy_segments);
	put(y + 2, 0, A_NORMAL, POOL_FORMAT, "legacy", output_bytes(now->legacy_live_bytes, t[0]),
	    output_count((double)now->legacy_live_blocks, t[1]),
	    output_bytes(now->legacy_mapped_bytes, t[2]),
	    output_bytes(now->legacy_resident_free_bytes, t[3]),
	    output_bytes(now->legacy_purged_bytes, t[4]), t[8],
	    rate(screen, now->legacy_lock_waits + now->legacy_table_waits,
		 before->legacy_lock_waits + before->legacy_table_waits, t[5]),
	    rate(screen, now->legacy_remote_frees, before->legacy_remote_frees, t[6]),
	    newest_text(history->old, history->count, t[7]));
	draw_history(screen, y + 1);
}

/* --- the head ------------------------------------------------------------------------------------- */

static void draw_head(const struct screen *screen)
{
	static const char *const names[] = { "", "HAKMEM_PLAN", "plan file", "live plan" };
	const struct page_status *now = screen->now;
	char title[SHOW_TITLE_BYTES];
	unsigned x = 0;

	show_title(screen->client, screen->usage, title);
	put(0, 0, A_BOLD, "%s", title);
	if (now->kill_switch)
		x = put(1, x, in_colour(OUTPUT_RED) | A_BOLD,
			"kill switch on: everything is old  ");
	for (unsigned i = HAKMEM_SOURCE_LIVE; i >= HAKMEM_SOURCE_ENVIRONMENT; i--) {
		if (now->source[i].error[0])
			x = put(1, x, in_colour(OUTPUT_RED), "%s refused: %s  ", names[i],
				now->source[i].error);
		if (now->source[i].present)
			x = put(1, x, A_NORMAL, "%s %s  ", names[i], now->source[i].text);
	}
	if (x == 0)
		x = put(1, x, A_NORMAL, "no plan: everything is old  ");
}

/* Guards that are armed, and what flips left behind. */
static void draw_notes(const struct screen *screen, int y)
{
	const struct page_status *now = screen->now;
	struct show_stranded stranded;
	char bytes[OUTPUT_BYTES];
	unsigned x = 0;

	show_stranded(now, &stranded);
	if (now->guard_trips > 0)
		x = put(y, x, in_colour(OUTPUT_RED) | A_BOLD,
			"guards rolled back %" PRIu64 " time%s  ", now->guard_trips,
			now->guard_trips == 1 ? "" : "s");
	if (now->guard[0])
		x = put(y, x, A_NORMAL, "guards %s  ", now->guard);
	if (stranded.old_blocks > 0)
		x = put(y, x, in_colour(OUTPUT_YELLOW),
			"left in legacy: %s in %" PRIu64 " blocks, %" PRIu64 " pages  ",
			output_bytes(stranded.old_bytes, bytes), stranded.old_blocks,
			stranded.old_pages);
	if (stranded.next_blocks > 0)
		put(y, x, in_colour(OUTPUT_YELLOW),
		    "left in next: %s in %" PRIu64 " blocks, %" PRIu64 " pages",
		    output_bytes(stranded.next_bytes, bytes), stranded.next_blocks,
		    stranded.next_pages);
}

/* --- the rows ------------------------------------------------------------------------------------- */

static void draw_row(const struct screen *screen, const struct table_layout *layout, int y,
		     const struct table_row *row, bool selected)
{
	char cell[TABLE_CELL_BYTES];
	attr_t reversed = selected ? A_REVERSE : A_NORMAL;

	if (selected)
		put(y, 0, A_REVERSE, "%*s", COLS, "");
	for (unsigned column = 0; column < TABLE_COLUMNS; column++) {
		if (!layout->shown[column])
			continue;
		table_cell(layout, screen->now, row, column, cell);
		attr_t colour = column == COLUMN_STATE
					? in_colour(table_colour(&screen->now->class[row->first]))
				: table_is_empty(cell) && !selected ? A_DIM
								    : A_NORMAL;
		put(y, layout->at[column], colour | reversed, "%s", cell);
	}
}

static unsigned draw_rows(struct screen *screen, int y, int end)
{
	char over[TABLE_LINE_BYTES], heads[TABLE_LINE_BYTES];
	struct table_layout layout;
	unsigned room = end > y + 2 ? (unsigned)(end - y - 2) : 0;

	table_lay_out(&layout, (unsigned)COLS);
	table_heads(&layout, over, heads);
	put(y, 0, A_NORMAL, "%s", over);
	put(y + 1, 0, A_BOLD, "%s", heads);
	if (screen->selected < screen->first_row)
		screen->first_row = screen->selected;
	if (room > 0 && screen->selected >= screen->first_row + room)
		screen->first_row = screen->selected - room + 1;
	if (screen->first_row + room > screen->row_count)
		screen->first_row = screen->row_count > room ? screen->row_count - room : 0;
	for (unsigned i = 0; i < room && screen->first_row + i < screen->row_count; i++) {
		unsigned row = screen->first_row + i;
		draw_row(screen, &layout, y + 2 + (int)i, &screen->rows[row],
			 row == screen->selected);
	}
	if (screen->row_count == 0)
		put(y + 2, 0, A_NORMAL,
		    "nothing lives in either pool; `a' shows all classes, `g' those alike in one row");
	return room;
}

static void figures_text(const struct table_figures *figures, char out[LINE_BYTES])
{
	char live[OUTPUT_BYTES], held[OUTPUT_BYTES], mallocs[OUTPUT_BYTES];

	if (figures->blocks == HAKMEM_UNKNOWN) {
		(void)snprintf(out, LINE_BYTES, "not told");
		return;
	}
	(void)snprintf(
		out, LINE_BYTES, "%s live in %" PRIu64 "%s%s, %s malloc/s",
		output_bytes(figures->bytes, live), figures->blocks,
		figures->held_bytes == HAKMEM_UNKNOWN ? "" : ", held in ",
		figures->held_bytes == HAKMEM_UNKNOWN ? ""
						      : output_bytes(figures->held_bytes, held),
		figures->mallocs_per_s < 0 ? "?" : output_count(figures->mallocs_per_s, mallocs));
}

/* What the columns had no room for. */
static void draw_selected(const struct screen *screen, int y)
{
	if (screen->selected >= screen->row_count)
		return;
	const struct table_row *row = &screen->rows[screen->selected];
	const struct hakmem_class *class = &screen->now->class[row->first];
	char sizes[2 * OUTPUT_BYTES], why[SHOW_WHY_BYTES], next[LINE_BYTES], old[LINE_BYTES];
	char share[SHARE_TEXT_BYTES];

	figures_text(&row->next, next);
	figures_text(&row->old, old);
	unsigned x =
		put(y, 0, A_BOLD, "%s", table_sizes(screen->now, row->first, row->last, sizes));
	x = put(y, x, in_colour(table_colour(class)), "  %s", table_state(class));
	const char *cohort = table_cohort(class, share);
	if (!table_is_empty(cohort))
		x = put(y, x, A_NORMAL, "  %s", cohort);
	x = put(y, x, A_NORMAL, "  %s", show_why(class, why));
	if (row->first == row->last && class->canary_samples > 0 && class->old_samples > 0)
		put(y, x, A_NORMAL,
		    "  p99 %" PRIu64 " ns of %" PRIu64 ", old %" PRIu64 " ns of %" PRIu64,
		    class->canary_p99_ns, class->canary_samples, class->old_p99_ns,
		    class->old_samples);
	put(y + 1, 0, A_NORMAL, "next: %s   %s: %s%s", next, show_owner(class->old_side), old,
	    row->elsewhere_bytes ? ", with a larger class that legacy has for both" : "");
}

static void draw_help(int y)
{
	static const char *const lines[] = {
		"up down PgUp PgDn Home End   choose a row",
		"r   roll the chosen classes back: old, and latched there",
		"R   roll everything back",
		"u   unlatch the chosen classes",
		"K   kill switch on or off: everything old",
		"a   every class, or those that have blocks       g   classes that are alike in one row",
		"+ - look more often, less often       space   look now",
		"?   this page                         q       quit",
		"",
		"malloc/s, waits/s (threads that had to wait for a lock of legacy's) and remote/s (blocks",
		"freed by another thread) are since the look before. waste: of the bytes held for a class,",
		"those without a live block in them. `?': not told. What lives in the system's malloc is",
		"not told by it. legacy has seven classes; its figures stand with the largest size of each.",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		put(y + (int)i, 2, A_NORMAL, "%s", lines[i]);
}

unsigned screen_draw(struct screen *screen)
{
	bool tall = LINES >= 16;
	int airy = LINES >= 20; /* a blank line more */
	int rows_at = LINES >= 12 ? (tall ? 7 + airy : 5) : 1,
	    rows_end = LINES - 1 - (tall ? 2 : 0);
	unsigned room = 0;

	(void)erase();
	draw_head(screen);
	if (tall)
		draw_notes(screen, 2);
	if (rows_at > 1)
		draw_pools(screen, tall ? 3 + airy : 2);
	if (screen->help)
		draw_help(rows_at);
	else
		room = draw_rows(screen, rows_at, rows_end);
	if (tall && !screen->help)
		draw_selected(screen, rows_end);
	if (screen->message[0])
		put(LINES - 1, 0,
		    screen->confirms || screen->trouble ? in_colour(OUTPUT_RED) | A_BOLD : A_BOLD,
		    "%s", screen->message);
	else
		put(LINES - 1, 0, A_NORMAL,
		    "r roll back  R all  u unlatch  K kill switch  a all  g alike  + - pace  ? help  q quit");
	(void)refresh();
	return room;
}
