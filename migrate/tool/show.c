/* SPDX-License-Identifier: MIT */
/* migrate/tool/show.c - a status in words; see show.h. show_json.c has the same for programs */
#include "migrate/tool/show.h"

#include "migrate/tool/output.h"
#include "migrate/tool/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PINNED_BYTES 80

static const char *const sources[] = {
	[HAKMEM_SOURCE_DEFAULT] = "no plan names it",
	[HAKMEM_SOURCE_ENVIRONMENT] = "HAKMEM_PLAN",
	[HAKMEM_SOURCE_FILE] = "plan file",
	[HAKMEM_SOURCE_LIVE] = "live plan",
};

void show_make_safe(struct client *client, struct page_status *status)
{
	output_make_safe(client->process.name);
	output_make_safe(client->header.program);
	output_make_safe(client->header.library);
	output_make_safe(status->salt);
	output_make_safe(status->plan_file);
	output_make_safe(status->guard);
	for (unsigned i = 0; i < 4; i++) {
		output_make_safe(status->source[i].text);
		output_make_safe(status->source[i].error);
	}
	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		output_make_safe(status->class[i].cause);
}

const char *show_owner(uint32_t owner)
{
	static const char *const names[] = {
		[HAKMEM_OWNER_SYSTEM] = "system",
		[HAKMEM_OWNER_NEXT] = "next",
		[HAKMEM_OWNER_LEGACY] = "legacy",
	};
	return names[owner];
}

const char *show_why(const struct hakmem_class *class, char out[SHOW_WHY_BYTES])
{
	const char *source = sources[class->source];
	switch ((enum hakmem_reason) class->reason) {
	case HAKMEM_REASON_LATCHED:
		(void)snprintf(out, SHOW_WHY_BYTES, "latched: %s", class->cause);
		return out;
	case HAKMEM_REASON_KILL_SWITCH:
		return "kill switch";
	case HAKMEM_REASON_UNAVAILABLE:
		(void)snprintf(out, SHOW_WHY_BYTES, "%s, but what it names is not there", source);
		return out;
	case HAKMEM_REASON_NOT_DRAWN:
		(void)snprintf(out, SHOW_WHY_BYTES, "%s; this %s is not drawn%s", source,
			       share_of_name((enum share_of) class->share_of),
			       class->arm == ARM_CONTROL ? ", it is in the control arm" : "");
		return out;
	case HAKMEM_REASON_PLAN:
		break;
	}
	return source;
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void show_plans(const struct page_status *status)
{
	static const char *const names[] = { "", "HAKMEM_PLAN", "plan file", "live plan" };

	for (unsigned i = HAKMEM_SOURCE_LIVE; i >= HAKMEM_SOURCE_ENVIRONMENT; i--) {
		if (status->source[i].present)
			printf("%-12s %s\n", names[i],
			       status->source[i].length > 0 ? status->source[i].text : "(empty)");
		if (status->source[i].error[0])
			printf("%-12s %srefused: %s%s\n", names[i], output_colour(OUTPUT_RED),
			       status->source[i].error, output_colour(OUTPUT_PLAIN));
	}
	if (status->plan_file[0])
		printf("%-12s %s\n", "watched", status->plan_file);
	if (status->salt[0])
		printf("%-12s %s\n", "salt", status->salt);
	if (status->kill_switch)
		printf("%-12s %son: everything is old%s\n", "kill switch",
		       output_colour(OUTPUT_RED), output_colour(OUTPUT_PLAIN));
	printf("%-12s %" PRIu64 " so far, %" PRIu64 " rollback%s", "flips", status->flips,
	       status->rollbacks, status->rollbacks == 1 ? "" : "s");
	if (status->flips > 0)
		printf("; the last change took %.1f us, the worst %.1f us",
		       (double)status->last_flip_ns / 1e3, (double)status->worst_flip_ns / 1e3);
	putchar('\n');
}

static void show_guards(const struct page_status *status)
{
	if (!status->guard[0] && status->guard_trips == 0)
		return;
	printf("%-12s %s", "guards", status->guard[0] ? status->guard : "none any more");
	if (status->guard_trips > 0)
		printf("%s; rolled back %" PRIu64 " time%s%s", output_colour(OUTPUT_RED),
		       status->guard_trips, status->guard_trips == 1 ? "" : "s",
		       output_colour(OUTPUT_PLAIN));
	if (status->guard_misuses > 0)
		printf("; %" PRIu64 " misuses survived, %" PRIu64 " pages quarantined",
		       status->guard_misuses, status->next_quarantined_pages);
	putchar('\n');
}

/* How canaries of threads do: the one that does worst stands for all. */
static void show_canaries(const struct page_status *status)
{
	const struct hakmem_class *worst = NULL;
	char sizes[2 * OUTPUT_BYTES], high[OUTPUT_BYTES] = "?";
	unsigned count = 0;

	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		const struct hakmem_class *class = &status->class[i];
		if (class->canary_samples == 0 || class->old_samples == 0 ||
		    class->ratio_low == HAKMEM_UNKNOWN)
			continue;
		count++;
		if (!worst || class->ratio_low > worst->ratio_low)
			worst = class;
	}
	if (!worst)
		return;
	if (worst->ratio_high != HAKMEM_UNKNOWN)
		(void)snprintf(high, sizeof(high), "%.2f", (double)worst->ratio_high / 1000);
	printf("%-12s %u class%s timed; %s does worst: p99 %" PRIu64 " ns of %" PRIu64
	       " against %" PRIu64 " ns of %" PRIu64 ", %.2f to %s times\n",
	       "latency", count, count == 1 ? "" : "es",
	       table_sizes(status, worst->number, worst->number, sizes), worst->canary_p99_ns,
	       worst->canary_samples, worst->old_p99_ns, worst->old_samples,
	       (double)worst->ratio_low / 1000, high);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void show_stranded(const struct page_status *status, struct show_stranded *out)
{
	*out = (struct show_stranded){ .youngest_ns = HAKMEM_UNKNOWN };
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		const struct hakmem_class *class = &status->class[i];
		/* legacy's class counts with the largest of those that share it. */
		bool counts = class->old_class_bytes &&
			      (i + 1 == NEXT_CLASSES ||
			       status->class[i + 1].old_class_bytes != class->old_class_bytes);
		bool left_old = class->state == HAKMEM_STATE_NEXT && counts &&
				class->old_live_blocks > 0;
		bool left_next = class->state == HAKMEM_STATE_OLD && class->next_live_blocks > 0;
		if (left_old) {
			out->old_classes++;
			out->old_blocks += class->old_live_blocks;
			out->old_bytes += class->old_live_bytes;
			out->old_pages += class->old_pinned_pages;
			out->old_segments += class->old_pinned_segments;
			out->old_pinned_bytes += class->old_pinned_bytes;
		}
		if (left_next) {
			out->next_classes++;
			out->next_blocks += class->next_live_blocks;
			out->next_bytes += class->next_live_bytes;
			out->next_pages += class->next_pinned_pages;
			out->next_segments += class->next_pinned_segments;
			out->next_held_bytes += class->next_held_bytes;
		}
		if ((left_old || left_next) && class->flipped_ns < out->youngest_ns)
			out->youngest_ns = class->flipped_ns;
	}
	/* A segment that classes share is there once. */
	out->old_segments = least(out->old_segments, status->legacy_segments);
	out->next_segments =
		least(out->next_segments, status->next_segments + status->next_huge_blocks);
}

/* Of so many classes. */
static const char *pages_text(uint64_t pages, uint64_t segments, unsigned classes,
			      char out[PINNED_BYTES])
{
	(void)snprintf(out, PINNED_BYTES, "%" PRIu64 " page%s and %s%" PRIu64 " segment%s", pages,
		       pages == 1 ? "" : "s", classes > 1 && segments > 1 ? "up to " : "", segments,
		       segments == 1 ? "" : "s");
	return out;
}

/* What flips left behind, and how long it has been there at least. */
static void print_stranded_now(const struct page_status *status)
{
	struct show_stranded stranded;
	char live[OUTPUT_BYTES], held[OUTPUT_BYTES], age[OUTPUT_BYTES], pinned[PINNED_BYTES];

	show_stranded(status, &stranded);
	if (stranded.old_blocks > 0)
		printf("%-12s %s in %" PRIu64 " blocks left in legacy, which pin %s, %s\n",
		       "draining", output_bytes(stranded.old_bytes, live), stranded.old_blocks,
		       pages_text(stranded.old_pages, stranded.old_segments, stranded.old_classes,
				  pinned),
		       output_bytes(stranded.old_pinned_bytes, held));
	if (stranded.next_blocks > 0)
		printf("%-12s %s in %" PRIu64 " blocks left in next, which pin %s, %s\n",
		       "draining", output_bytes(stranded.next_bytes, live), stranded.next_blocks,
		       pages_text(stranded.next_pages, stranded.next_segments,
				  stranded.next_classes, pinned),
		       output_bytes(stranded.next_held_bytes, held));
	if (stranded.youngest_ns != HAKMEM_UNKNOWN)
		printf("%-12s they are at least %s old", "",
		       output_time(stranded.youngest_ns / 1000000000, age));
	if (stranded.youngest_ns != HAKMEM_UNKNOWN && status->drain_left > 0)
		printf("; %" PRIu64 " thread%s still to empty their caches of legacy's",
		       status->drain_left, status->drain_left == 1 ? " has" : "s have");
	if (stranded.youngest_ns != HAKMEM_UNKNOWN)
		putchar('\n');
}

static void show_pools(const struct page_status *status)
{
	char live[OUTPUT_BYTES], blocks[OUTPUT_BYTES], mapped[OUTPUT_BYTES], idle[OUTPUT_BYTES],
		purged[OUTPUT_BYTES], waits[OUTPUT_BYTES], remote[OUTPUT_BYTES];

	printf("\n%s%-7s  %10s  %7s  %10s  %10s  %10s  %8s  %10s  %12s%s\n",
	       output_colour(OUTPUT_BOLD), "pool", "live", "blocks", "mapped", "kept free",
	       "purged", "segments", "lock waits", "remote frees", output_colour(OUTPUT_PLAIN));
	printf("%-7s  %10s  %7s  %10s  %10s  %10s  %8" PRIu64 "  %10s  %12s\n", "next",
	       output_bytes(status->next_live_bytes, live),
	       output_count((double)status->next_live_blocks, blocks),
	       output_bytes(status->next_mapped_bytes, mapped),
	       output_bytes(status->next_resident_free_bytes, idle),
	       output_bytes(status->next_purged_bytes, purged), status->next_segments, "no locks",
	       output_count((double)status->next_remote_frees, remote));
	printf("%-7s  %10s  %7s  %10s  %10s  %10s  %8" PRIu64 "  %10s  %12s\n", "legacy",
	       output_bytes(status->legacy_live_bytes, live),
	       output_count((double)status->legacy_live_blocks, blocks),
	       output_bytes(status->legacy_mapped_bytes, mapped),
	       output_bytes(status->legacy_resident_free_bytes, idle),
	       output_bytes(status->legacy_purged_bytes, purged), status->legacy_segments,
	       output_count((double)(status->legacy_lock_waits + status->legacy_table_waits),
			    waits),
	       output_count((double)status->legacy_remote_frees, remote));
}

static void show_classes(const struct page_status *now, const struct page_status *before, bool each)
{
	static struct table_row rows[NEXT_CLASSES];
	char over[TABLE_LINE_BYTES], heads[TABLE_LINE_BYTES], cell[TABLE_CELL_BYTES];
	struct table_layout layout;
	unsigned count = table_rows(now, before, each ? TABLE_ALL : TABLE_ALIKE, rows);

	table_lay_out(&layout, output_width());
	table_heads(&layout, over, heads);
	printf("\n%s\n%s%s%s\n", over, output_colour(OUTPUT_BOLD), heads,
	       output_colour(OUTPUT_PLAIN));
	for (unsigned i = 0; i < count; i++) {
		enum output_colour state = table_colour(&now->class[rows[i].first]);
		for (unsigned column = 0, between = 0; column < TABLE_COLUMNS; column++) {
			if (!layout.shown[column])
				continue;
			table_cell(&layout, now, &rows[i], column, cell);
			/* The last one is as long as it comes; a terminal's line ends. */
			if (output_width() > layout.at[column] &&
			    strlen(cell) > output_width() - layout.at[column])
				cell[output_width() - layout.at[column]] = '\0';
			enum output_colour colour = column == COLUMN_STATE ? state
						    : table_is_empty(cell) ? OUTPUT_DIM
									   : OUTPUT_PLAIN;
			bool plain = colour == OUTPUT_PLAIN;
			printf("%s%s%s%s", between++ ? "  " : "",
			       plain ? "" : output_colour(colour), cell,
			       plain ? "" : output_colour(OUTPUT_PLAIN));
		}
		putchar('\n');
	}
}

void show_title(const struct client *client, const struct client_usage *usage,
		char out[SHOW_TITLE_BYTES])
{
	char resident[OUTPUT_BYTES], age[OUTPUT_BYTES];

	(void)snprintf(out, SHOW_TITLE_BYTES,
		       "%s (%d)  up %s, %s resident, %" PRIu64 " thread%s, hakmem %s",
		       client->header.program, (int)client->process.pid,
		       output_time(usage->age_s, age),
		       output_bytes(usage->resident_bytes, resident), usage->threads,
		       usage->threads == 1 ? "" : "s", client->header.library);
}

void show_status(const struct client *client, const struct page_status *now,
		 const struct page_status *before, bool each)
{
	struct client_usage usage;
	char title[SHOW_TITLE_BYTES];

	client_read_usage(&client->process, &usage);
	show_title(client, &usage, title);
	printf("%s%s%s\n", output_colour(OUTPUT_BOLD), title, output_colour(OUTPUT_PLAIN));
	show_plans(now);
	show_guards(now);
	show_canaries(now);
	print_stranded_now(now);
	show_pools(now);
	show_classes(now, before, each);
}

/* --- trials --------------------------------------------------------------------------------------- */

static bool moves(const struct page_status *status, unsigned number)
{
	return status->would_be[number].served_by != status->class[number].served_by ||
	       status->would_be[number].state != status->class[number].state;
}

static const char *place_name(uint32_t state, uint32_t owner)
{
	return state == HAKMEM_STATE_CANARY ? "next for a share" : show_owner(owner);
}

/* What stays behind in the pool that a class leaves. */
struct stranded {
	bool known; /* the pool tells */
	bool up_to; /* it counts blocks of other sizes with these */
	unsigned classes; /* of the pool's own */
	uint64_t blocks, bytes, pinned_pages, pinned_segments, pinned_bytes;
};

static void add_stranded(struct stranded *stranded, const struct page_status *status,
			 unsigned number, unsigned end)
{
	const struct hakmem_class *class = &status->class[number];
	uint32_t old = class->old_class_bytes;

	if (class->served_by == HAKMEM_OWNER_NEXT) {
		stranded->known = true;
		stranded->blocks += class->next_live_blocks;
		stranded->bytes += class->next_live_bytes;
		stranded->classes++;
		stranded->pinned_pages += class->next_pinned_pages;
		stranded->pinned_segments += class->next_pinned_segments;
		stranded->pinned_bytes += class->next_held_bytes;
		return;
	}
	if (old == 0)
		return;
	stranded->known = true;
	/* legacy's class counts once, with the last of those that move. */
	bool more = number + 1 < end && status->class[number + 1].old_class_bytes == old;
	if (more)
		return;
	stranded->blocks += class->old_live_blocks;
	stranded->bytes += class->old_live_bytes;
	stranded->classes++;
	stranded->pinned_pages += class->old_pinned_pages;
	stranded->pinned_segments += class->old_pinned_segments;
	stranded->pinned_bytes += class->old_pinned_bytes;
	stranded->up_to |= old != class->max_bytes;
}

static void print_stranded(const struct stranded *stranded)
{
	char bytes[OUTPUT_BYTES], held[OUTPUT_BYTES], pinned[PINNED_BYTES];

	if (!stranded->known)
		printf("not told by it");
	else if (stranded->blocks == 0)
		printf("nothing%s%s", stranded->pinned_bytes > 0 ? ", and free pages of " : "",
		       stranded->pinned_bytes > 0 ? output_bytes(stranded->pinned_bytes, held) : "");
	else
		printf("%s%s in %" PRIu64 " block%s, which pin%s %s, %s",
		       stranded->up_to ? "up to " : "", output_bytes(stranded->bytes, bytes),
		       stranded->blocks, stranded->blocks == 1 ? "" : "s",
		       stranded->blocks == 1 ? "s" : "",
		       pages_text(stranded->pinned_pages, stranded->pinned_segments,
				  stranded->classes, pinned),
		       output_bytes(stranded->pinned_bytes, held));
}

/* Which classes move in the same way as class `a`. */
static bool moves_alike(const struct page_status *status, unsigned a, unsigned b)
{
	return moves(status, b) && status->class[a].served_by == status->class[b].served_by &&
	       status->class[a].state == status->class[b].state &&
	       status->would_be[a].served_by == status->would_be[b].served_by &&
	       status->would_be[a].state == status->would_be[b].state;
}

static void show_move(const struct page_status *status, unsigned first, unsigned end)
{
	const struct hakmem_class *class = &status->class[first];
	struct stranded stranded = { .known = false };
	char sizes[2 * OUTPUT_BYTES];

	for (unsigned number = first; number < end; number++)
		add_stranded(&stranded, status, number, end);
	printf("%-16s  %s -> %s; stays behind in %s: ", table_sizes(status, first, end - 1, sizes),
	       place_name(class->state, class->served_by),
	       place_name(status->would_be[first].state, status->would_be[first].served_by),
	       show_owner(class->served_by));
	bool leaves_next = class->served_by == HAKMEM_OWNER_NEXT;
	stranded.pinned_segments = least(stranded.pinned_segments,
					 leaves_next ? status->next_segments +
							       status->next_huge_blocks :
						       status->legacy_segments);
	print_stranded(&stranded);
	putchar('\n');
}

void show_trial(const struct page_status *status)
{
	unsigned count = 0;

	for (unsigned number = 0; number < NEXT_CLASSES;) {
		unsigned first = number;
		if (!moves(status, number++))
			continue;
		while (number < NEXT_CLASSES && moves_alike(status, first, number))
			number++;
		show_move(status, first, number);
		count += number - first;
	}
	printf("%u class%s would move\n", count, count == 1 ? "" : "es");
}
