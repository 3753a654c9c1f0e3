/* SPDX-License-Identifier: MIT */
/* migrate/tool/show.c - a status in words; see show.h. show_json.c has the same for programs */
#include "migrate/tool/show.h"

#include "migrate/tool/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* --- classes -------------------------------------------------------------------------------------- */

/* Classes first to last, which differ in figures only. */
struct group {
	unsigned first, last;
	uint64_t next_blocks, next_bytes, old_blocks, old_bytes;
	bool old_known;
};

static bool alike(const struct hakmem_class *a, const struct hakmem_class *b)
{
	return a->state == b->state && a->served_by == b->served_by && a->old_side == b->old_side &&
	       a->source == b->source && a->reason == b->reason && a->share_of == b->share_of &&
	       a->share == b->share && a->has_control == b->has_control && a->arm == b->arm &&
	       a->latched == b->latched && strcmp(a->cause, b->cause) == 0 &&
	       (a->old_class_bytes != 0) == (b->old_class_bytes != 0);
}

/* Several classes share one of legacy's, whose figures count once. */
static void add_class(struct group *group, const struct page_status *status, unsigned number)
{
	const struct hakmem_class *class = &status->class[number];
	bool same = number > group->first &&
		    class->old_class_bytes == status->class[number - 1].old_class_bytes;

	group->last = number;
	group->next_blocks += class->next_live_blocks;
	group->next_bytes += class->next_live_bytes;
	group->old_known = class->old_class_bytes != 0;
	if (group->old_known && !same) {
		group->old_blocks += class->old_live_blocks;
		group->old_bytes += class->old_live_bytes;
	}
}

static struct group group_from(const struct page_status *status, unsigned first, bool each)
{
	struct group group = { .first = first };
	unsigned number = first;

	do
		add_class(&group, status, number++);
	while (!each && number < NEXT_CLASSES &&
	       alike(&status->class[first], &status -> class[number]));
	return group;
}

static const char *sizes_of(const struct page_status *status, unsigned first, unsigned last,
			    char out[2 * OUTPUT_BYTES])
{
	char from[OUTPUT_BYTES], to[OUTPUT_BYTES];
	(void)output_size(status->class[first].min_bytes, from);
	if (last == NEXT_CLASSES - 1)
		(void)snprintf(out, 2 * OUTPUT_BYTES, "%s and more", from);
	else
		(void)snprintf(out, 2 * OUTPUT_BYTES, "%s to %s", from,
			       output_size(status->class[last].max_bytes, to));
	return out;
}

#define STATE_BYTES 64

static const char *state_of(const struct hakmem_class *class, char out[STATE_BYTES])
{
	struct share share = { .of = (enum share_of) class->share_of,
			       .size = class->share,
			       .control = class->has_control };
	char text[SHARE_TEXT_BYTES];

	if (class->state == HAKMEM_STATE_OLD)
		return class->latched ? "old, latched" : "old";
	if (class->state == HAKMEM_STATE_NEXT)
		return "next";
	(void)share_text(&share, text);
	(void)snprintf(out, STATE_BYTES, "canary %s", text + 1);
	return out;
}

static enum output_colour colour_of(const struct hakmem_class *class)
{
	if (class->latched || class->reason == HAKMEM_REASON_KILL_SWITCH ||
	    class->reason == HAKMEM_REASON_UNAVAILABLE)
		return OUTPUT_RED;
	return class->state == HAKMEM_STATE_NEXT     ? OUTPUT_GREEN
	       : class->state == HAKMEM_STATE_CANARY ? OUTPUT_YELLOW
						     : OUTPUT_PLAIN;
}

static const char *live(uint64_t bytes, uint64_t blocks, bool known, char out[64])
{
	char text[OUTPUT_BYTES];
	if (!known)
		return "not told";
	if (blocks == 0)
		return "-";
	(void)snprintf(out, 64, "%s in %" PRIu64, output_bytes(bytes, text), blocks);
	return out;
}

static void show_group(const struct page_status *status, const struct group *group)
{
	const struct hakmem_class *class = &status->class[group->first];
	char sizes[2 * OUTPUT_BYTES], state[STATE_BYTES], next[64], old[64], why[SHOW_WHY_BYTES];

	printf("%-16s  %s%-26s%s  %-7s  %-20s  %-20s  %s\n",
	       sizes_of(status, group->first, group->last, sizes), output_colour(colour_of(class)),
	       state_of(class, state), output_colour(OUTPUT_PLAIN), show_owner(class->old_side),
	       live(group->next_bytes, group->next_blocks, true, next),
	       live(group->old_bytes, group->old_blocks, group->old_known, old),
	       show_why(class, why));
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void show_plans(const struct page_status *status)
{
	static const char *const names[] = { "", "HAKMEM_PLAN", "plan file", "live plan" };

	for (unsigned i = HAKMEM_SOURCE_ENVIRONMENT; i <= HAKMEM_SOURCE_LIVE; i++) {
		if (status->source[i].present)
			printf("%-12s %s\n", names[i], status->source[i].text);
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
}

static void show_pools(const struct page_status *status)
{
	char live_text[OUTPUT_BYTES], mapped[OUTPUT_BYTES], free_text[OUTPUT_BYTES],
		purged[OUTPUT_BYTES];

	printf("%-12s %s live in %" PRIu64 " blocks; %s mapped, %s of it free and resident; "
	       "%" PRIu64 " segments, %" PRIu64 " heaps; %s purged so far\n",
	       "next", output_bytes(status->next_live_bytes, live_text), status->next_live_blocks,
	       output_bytes(status->next_mapped_bytes, mapped),
	       output_bytes(status->next_resident_free_bytes, free_text), status->next_segments,
	       status->next_heaps, output_bytes(status->next_purged_bytes, purged));
	printf("%-12s %s live in %" PRIu64 " blocks; %s mapped, %s of it free and resident; "
	       "%" PRIu64 " lock waits, %" PRIu64 " hash lookups, %" PRIu64
	       " remote frees; %s purged so far\n",
	       "legacy", output_bytes(status->legacy_live_bytes, live_text),
	       status->legacy_live_blocks, output_bytes(status->legacy_mapped_bytes, mapped),
	       output_bytes(status->legacy_resident_free_bytes, free_text),
	       status->legacy_lock_waits + status->legacy_table_waits, status->legacy_hash_lookups,
	       status->legacy_remote_frees, output_bytes(status->legacy_purged_bytes, purged));
	printf("%-12s %" PRIu64 " classes flipped so far; the last change took %.1f us, the worst "
	       "%.1f us; %" PRIu64 " rollbacks\n",
	       "flips", status->flips, (double)status->last_flip_ns / 1e3,
	       (double)status->worst_flip_ns / 1e3, status->rollbacks);
}

void show_status(const struct client *client, const struct page_status *status, bool each)
{
	printf("%s%s (%d)%s, hakmem %s\n", output_colour(OUTPUT_BOLD), client->header.program,
	       (int)client->process.pid, output_colour(OUTPUT_PLAIN), client->header.library);
	show_plans(status);
	show_pools(status);
	printf("\n%s%-16s  %-26s  %-7s  %-20s  %-20s  %s%s\n", output_colour(OUTPUT_BOLD), "sizes",
	       "state", "old is", "live in next", "live in legacy", "why",
	       output_colour(OUTPUT_PLAIN));
	for (unsigned number = 0; number < NEXT_CLASSES;) {
		struct group group = group_from(status, number, each);
		show_group(status, &group);
		number = group.last + 1;
	}
}

/* --- trials --------------------------------------------------------------------------------------- */

static bool moves(const struct page_status *status, unsigned number)
{
	return status->would_be[number].served_by != status->class[number].served_by ||
	       status->would_be[number].state != status->class[number].state;
}

static bool moves_alike(const struct page_status *status, unsigned a, unsigned b)
{
	return moves(status, b) && alike(&status->class[a], &status -> class[b]) &&
	       status->would_be[a].served_by == status->would_be[b].served_by &&
	       status->would_be[a].state == status->would_be[b].state;
}

static const char *state_name(uint32_t state, uint32_t owner)
{
	return state == HAKMEM_STATE_CANARY ? "next for a share" : show_owner(owner);
}

static void show_move(const struct page_status *status, const struct group *group)
{
	const struct hakmem_class *class = &status->class[group->first];
	char sizes[2 * OUTPUT_BYTES], stays[64];
	bool from_next = class->served_by == HAKMEM_OWNER_NEXT;

	printf("%-16s  %s -> %s; stays behind in %s: %s\n",
	       sizes_of(status, group->first, group->last, sizes),
	       state_name(class->state, class->served_by),
	       state_name(status->would_be[group->first].state,
			  status->would_be[group->first].served_by),
	       show_owner(class->served_by),
	       from_next ? live(group->next_bytes, group->next_blocks, true, stays)
			 : live(group->old_bytes, group->old_blocks, group->old_known, stays));
}

void show_trial(const struct page_status *status)
{
	unsigned count = 0;

	for (unsigned number = 0; number < NEXT_CLASSES; number++) {
		if (!moves(status, number))
			continue;
		struct group group = { .first = number };
		do {
			add_class(&group, status, number++);
			count++;
		} while (number < NEXT_CLASSES && moves_alike(status, group.first, number));
		number--;
		show_move(status, &group);
	}
	printf("%u class%s would move\n", count, count == 1 ? "" : "es");
}
