/* SPDX-License-Identifier: MIT */
/* migrate/tool/show_json.c - a status as JSON; the man page lists the members */
#include "migrate/tool/show.h"

#include "migrate/tool/table.h"

#include <json-c/json.h>

static void add_text(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *name, uint64_t number)
{
	json_object_object_add(object, name,
			       number == HAKMEM_UNKNOWN ? NULL : json_object_new_uint64(number));
}

static void add_truth(struct json_object *object, const char *name, bool truth)
{
	json_object_object_add(object, name, json_object_new_boolean(truth));
}

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[HAKMEM_STATE_OLD] = "old",
		[HAKMEM_STATE_CANARY] = "canary",
		[HAKMEM_STATE_NEXT] = "next",
	};
	return names[state];
}

static const char *source_name(unsigned source)
{
	static const char *const names[] = {
		[HAKMEM_SOURCE_DEFAULT] = "default",
		[HAKMEM_SOURCE_ENVIRONMENT] = "environment",
		[HAKMEM_SOURCE_FILE] = "file",
		[HAKMEM_SOURCE_LIVE] = "live",
	};
	return names[source];
}

static const char *reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[HAKMEM_REASON_PLAN] = "plan",
		[HAKMEM_REASON_NOT_DRAWN] = "not drawn",
		[HAKMEM_REASON_LATCHED] = "latched",
		[HAKMEM_REASON_KILL_SWITCH] = "kill switch",
		[HAKMEM_REASON_UNAVAILABLE] = "unavailable",
	};
	return names[reason];
}

static void add_rate(struct json_object *object, const char *name, double rate)
{
	json_object_object_add(object, name, rate < 0 ? NULL : json_object_new_double(rate));
}

static const char *guard_name(uint32_t guard)
{
	static const char *const names[] = {
		[HAKMEM_GUARD_OFF] = "off",
		[HAKMEM_GUARD_HOLD] = "hold",
		[HAKMEM_GUARD_GO] = "go",
		[HAKMEM_GUARD_ROLL_BACK] = "roll back",
	};
	return names[guard];
}

/* What the guards say, and what a canary of threads is compared by. */
static void add_comparison(struct json_object *object, const struct hakmem_class *class)
{
	add_text(object, "guard_misuse", guard_name(class->guard_misuse));
	add_text(object, "guard_reservation", guard_name(class->guard_reservation));
	add_text(object, "guard_latency", guard_name(class->guard_latency));
	add_text(object, "guard_held", guard_name(class->guard_held));
	add_text(object, "guard_rss", guard_name(class->guard_rss));
	add_number(object, "canary_samples", class->canary_samples);
	add_number(object, "old_samples", class->old_samples);
	add_number(object, "canary_p99_ns", class->canary_p99_ns);
	add_number(object, "old_p99_ns", class->old_p99_ns);
	add_rate(object, "ratio_low",
		 class->ratio_low == HAKMEM_UNKNOWN ? -1 : (double)class->ratio_low / 1000);
	add_rate(object, "ratio_high",
		 class->ratio_high == HAKMEM_UNKNOWN ? -1 : (double)class->ratio_high / 1000);
}

static struct json_object *json_of_class(const struct hakmem_class *class)
{
	static const char *const arms[] = { "neither", "canary", "control" };
	struct json_object *object = json_object_new_object();
	bool no_end = class->number == NEXT_CLASS_HUGE;

	add_number(object, "class", class->number);
	add_number(object, "min_bytes", class->min_bytes);
	add_number(object, "max_bytes", no_end ? HAKMEM_UNKNOWN : class->max_bytes);
	add_text(object, "state", state_name(class->state));
	add_text(object, "served_by", show_owner(class->served_by));
	add_text(object, "old_side", show_owner(class->old_side));
	add_text(object, "source", source_name(class->source));
	add_text(object, "reason", reason_name(class->reason));
	add_truth(object, "latched", class->latched);
	add_text(object, "cause", class->cause);
	if (class->share_of != HAKMEM_SHARE_OF_ALL) {
		json_object_object_add(
			object, "share_pct",
			json_object_new_double((double)class->share / SHARE_PERCENT));
		add_text(object, "share_of", share_of_name((enum share_of) class->share_of));
		add_truth(object, "control", class->has_control);
		add_text(object, "arm", arms[class->arm]);
	}
	add_number(object, "next_live_blocks", class->next_live_blocks);
	add_number(object, "next_live_bytes", class->next_live_bytes);
	add_number(object, "old_live_blocks", class->old_live_blocks);
	add_number(object, "old_live_bytes", class->old_live_bytes);
	add_number(object, "old_class_bytes", class->old_class_bytes);
	add_number(object, "next_mallocs", class->next_mallocs);
	add_number(object, "old_mallocs", class->old_mallocs);
	add_number(object, "next_held_bytes", class->next_held_bytes);
	add_number(object, "next_pinned_pages", class->next_pinned_pages);
	add_number(object, "next_pinned_segments", class->next_pinned_segments);
	add_number(object, "old_pinned_pages", class->old_pinned_pages);
	add_number(object, "old_pinned_bytes", class->old_pinned_bytes);
	add_number(object, "old_pinned_segments", class->old_pinned_segments);
	add_number(object, "next_remote_frees", class->next_remote_frees);
	add_number(object, "old_remote_frees", class->old_remote_frees);
	add_number(object, "old_lock_waits", class->old_lock_waits);
	add_number(object, "next_purged_bytes", class->next_purged_bytes);
	add_number(object, "old_purged_bytes", class->old_purged_bytes);
	add_number(object, "flipped_ns", class->flipped_ns);
	add_comparison(object, class);
	return object;
}

static struct json_object *json_of_plans(const struct page_status *status)
{
	struct json_object *object = json_object_new_object();

	for (unsigned i = HAKMEM_SOURCE_ENVIRONMENT; i <= HAKMEM_SOURCE_LIVE; i++) {
		struct json_object *plan = json_object_new_object();
		json_object_object_add(plan, "plan",
				       status->source[i].present
					       ? json_object_new_string(status->source[i].text)
					       : NULL);
		json_object_object_add(plan, "error",
				       status->source[i].error[0]
					       ? json_object_new_string(status->source[i].error)
					       : NULL);
		json_object_object_add(object, source_name(i), plan);
	}
	return object;
}

static struct json_object *json_of_next(const struct page_status *status)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "live_bytes", status->next_live_bytes);
	add_number(object, "live_blocks", status->next_live_blocks);
	add_number(object, "mapped_bytes", status->next_mapped_bytes);
	add_number(object, "resident_free_bytes", status->next_resident_free_bytes);
	add_number(object, "purged_bytes", status->next_purged_bytes);
	add_number(object, "segments", status->next_segments);
	add_number(object, "heaps", status->next_heaps);
	add_number(object, "huge_blocks", status->next_huge_blocks);
	add_number(object, "huge_bytes", status->next_huge_bytes);
	add_number(object, "quarantined_pages", status->next_quarantined_pages);
	add_number(object, "remote_frees", status->next_remote_frees);
	return object;
}

static struct json_object *json_of_legacy(const struct page_status *status)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "live_bytes", status->legacy_live_bytes);
	add_number(object, "live_blocks", status->legacy_live_blocks);
	add_number(object, "mapped_bytes", status->legacy_mapped_bytes);
	add_number(object, "resident_free_bytes", status->legacy_resident_free_bytes);
	add_number(object, "purged_bytes", status->legacy_purged_bytes);
	add_number(object, "pages", status->legacy_pages);
	add_number(object, "segments", status->legacy_segments);
	add_number(object, "threads", status->legacy_threads);
	add_number(object, "lock_waits", status->legacy_lock_waits);
	add_number(object, "contended_trylocks", status->legacy_contended_trylocks);
	add_number(object, "table_waits", status->legacy_table_waits);
	add_number(object, "hash_lookups", status->legacy_hash_lookups);
	add_number(object, "remote_frees", status->legacy_remote_frees);
	return object;
}

/* A class as of `status`, and how often it is asked for since the look before. */
static struct json_object *json_of_rates(const struct page_status *status,
					 const struct page_status *before, unsigned number)
{
	const struct hakmem_class *class = &status->class[number];
	const struct hakmem_class *earlier = before ? &before->class[number] : class;
	struct json_object *object = json_of_class(class);

	add_rate(object, "next_mallocs_per_s",
		 table_rate(status, before, class->next_mallocs, earlier->next_mallocs));
	add_rate(object, "old_mallocs_per_s",
		 table_rate(status, before, class->old_mallocs, earlier->old_mallocs));
	return object;
}

struct json_object *show_json(const struct client *client, const struct page_status *status,
			      const struct page_status *before)
{
	struct json_object *object = json_object_new_object();
	struct json_object *classes = json_object_new_array();
	struct client_usage usage;

	client_read_usage(&client->process, &usage);
	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		json_object_array_add(classes, json_of_rates(status, before, i));
	add_number(object, "pid", (uint64_t)client->process.pid);
	add_text(object, "program", client->header.program);
	add_text(object, "library", client->header.library);
	add_number(object, "age_s", usage.age_s);
	add_number(object, "resident_bytes", usage.resident_bytes);
	add_number(object, "threads", usage.threads);
	add_number(object, "time_ns", status->time_ns);
	add_truth(object, "kill_switch", status->kill_switch);
	add_text(object, "salt", status->salt);
	add_text(object, "plan_file", status->plan_file);
	json_object_object_add(object, "plans", json_of_plans(status));
	add_number(object, "changes", status->changes);
	add_number(object, "flips", status->flips);
	add_number(object, "flip_ns", status->flip_ns);
	add_number(object, "last_flip_ns", status->last_flip_ns);
	add_number(object, "worst_flip_ns", status->worst_flip_ns);
	add_number(object, "rollbacks", status->rollbacks);
	add_text(object, "guard", status->guard);
	add_number(object, "guard_trips", status->guard_trips);
	add_number(object, "guard_misuses", status->guard_misuses);
	add_number(object, "guard_failed_reservations", status->guard_failed_reservations);
	add_number(object, "drain_left", status->drain_left);
	json_object_object_add(object, "next", json_of_next(status));
	json_object_object_add(object, "legacy", json_of_legacy(status));
	json_object_object_add(object, "classes", classes);
	return object;
}

struct json_object *show_trial_json(const struct page_status *status)
{
	struct json_object *moves = json_object_new_array();

	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		const struct hakmem_class *class = &status->class[i];
		if (status->would_be[i].served_by == class->served_by &&
		    status->would_be[i].state == class->state)
			continue;
		struct json_object *move = json_of_class(class);
		add_text(move, "would_be_served_by", show_owner(status->would_be[i].served_by));
		add_text(move, "would_be_state", state_name(status->would_be[i].state));
		bool from_next = class->served_by == HAKMEM_OWNER_NEXT;
		add_text(move, "stays_behind_in", show_owner(class->served_by));
		add_number(move, "stays_behind_blocks",
			   from_next ? class->next_live_blocks : class->old_live_blocks);
		add_number(move, "stays_behind_bytes",
			   from_next ? class->next_live_bytes : class->old_live_bytes);
		add_number(move, "stays_behind_pinned_bytes",
			   from_next ? class->next_held_bytes : class->old_pinned_bytes);
		add_number(move, "stays_behind_pinned_pages",
			   from_next ? class->next_pinned_pages : class->old_pinned_pages);
		add_number(move, "stays_behind_pinned_segments",
			   from_next ? class->next_pinned_segments : class->old_pinned_segments);
		json_object_array_add(moves, move);
	}
	return moves;
}
