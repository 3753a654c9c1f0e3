/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/report.c - what one replay came to, in words and as JSON; see report.h */
#include "migrate/tool/replay/report.h"

#include "migrate/tool/output.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const call_names[] = {
	[REPLAY_MALLOC] = "malloc",
	[REPLAY_REALLOC] = "realloc",
	[REPLAY_FREE] = "free",
	[REPLAY_CALLS] = "all",
};
static const char *const owner_names[] = { "system", "next", "legacy" };
static const double percents[] = { 50, 90, 99, 99.9, 99.99 };
static const char *const percent_names[] = { "p50_ns", "p90_ns", "p99_ns", "p99.9_ns",
					     "p99.99_ns" };
#define PERCENTS (sizeof(percents) / sizeof(percents[0]))

const char *replay_side_name(const struct engine_side *side, const struct replay_shared *result,
			char out[REPORT_SIDE_BYTES])
{
	const char *serves = result->serves_malloc, *slash = strrchr(serves, '/');

	if (side->plan)
		(void)snprintf(out, REPORT_SIDE_BYTES, "hakmem %s, plan \"%.100s\"", result->hakmem,
			       side->plan);
	else if (!side->preload)
		(void)snprintf(out, REPORT_SIDE_BYTES, "glibc");
	else
		(void)snprintf(out, REPORT_SIDE_BYTES, "%.150s", slash ? slash + 1 : serves);
	return out;
}

/* Held over live; NAN where nothing lives. */
static double held(uint64_t rss, uint64_t live)
{
	return live ? (double)rss / (double)live : NAN;
}

/* --- words -------------------------------------------------------------------------------------- */

static void show_times(const struct replay_shared *result)
{
	struct engine_times times;

	printf("  %-8s %12s %9s %9s %9s %9s %9s %9s\n", "call", "timed", "mean", "p50", "p90", "p99",
	       "p99.9", "p99.99");
	for (unsigned call = 0; call < REPLAY_CALLS; call++) {
		engine_times(result, call, NEXT_CLASSES, &times);
		if (!times.count)
			continue;
		printf("  %-8s %12" PRIu64 " %6.0f ns", call_names[call], times.count,
		       times.mean_ns);
		for (size_t i = 0; i < PERCENTS; i++)
			printf(" %6.0f ns", engine_percentile(&times, percents[i]));
		putchar('\n');
	}
}

static void show_memory(const struct replay_shared *result)
{
	char peak[OUTPUT_BYTES], mean[OUTPUT_BYTES], at_peak[OUTPUT_BYTES], live[OUTPUT_BYTES];
	char end[OUTPUT_BYTES], left[OUTPUT_BYTES];

	printf("memory   peak RSS %s, mean %s; %.3f bytes held for a live one on average\n",
	       output_bytes(result->peak_rss_bytes, peak), output_bytes(result->mean_rss_bytes, mean),
	       held(result->mean_rss_bytes, result->mean_live_bytes));
	printf("         where most lived in the trace: %s for %s live (%.3f)\n",
	       output_bytes(result->rss_at_peak_bytes, at_peak),
	       output_bytes(result->live_at_peak_bytes, live),
	       held(result->rss_at_peak_bytes, result->live_at_peak_bytes));
	printf("         at the end: %s for %s live in %" PRIu64 " blocks\n",
	       output_bytes(result->end_rss_bytes, end), output_bytes(result->live_bytes, left),
	       result->live_blocks);
	printf("         %" PRIu64 " page faults, %" PRIu64 " of them major\n", result->faults,
	       result->major_faults);
}

static void show_flip(const struct replay_flip *flip, unsigned number)
{
	if (flip->done_ns)
		printf("flip %-3u  at %.3f s to \"%.100s\", in %.0f us\n", number + 1,
		       (double)flip->asked_ns / 1e9, flip->plan,
		       (double)(flip->done_ns - flip->asked_ns) / 1e3);
	else
		printf("flip %-3u  did not happen%s%s\n", number + 1, flip->error[0] ? ": " : "",
		       flip->error);
}

/* Right after the last flip, a quarter of the rest later, and so on to the end. */
static void show_stranded(const struct replay_shared *result)
{
	const struct replay_flip *last = &result->flip[result->flips - 1];
	char bytes[OUTPUT_BYTES];
	uint32_t first = 0;

	while (first < result->samples && result->sample[first].time_ns < last->done_ns)
		first++;
	if (!last->done_ns || first == result->samples)
		return;
	printf("stranded ");
	for (unsigned quarter = 0; quarter <= 4; quarter++) {
		const struct replay_sample *sample =
			&result->sample[first + (result->samples - 1 - first) * quarter / 4];
		printf("%s%s %+.3f s", quarter ? ", " : "",
		       output_bytes(sample->stranded_bytes, bytes),
		       ((double)sample->time_ns - (double)last->done_ns) / 1e9);
	}
	putchar('\n');
}

static void near_times(const struct replay_shared *result, unsigned call,
		       struct engine_times *times)
{
	const struct replay_times *from = &result->near_flip[call];

	*times = (struct engine_times){ .count = from->count };
	for (unsigned i = 0; i < REPLAY_BUCKETS; i++)
		times->bucket[i] = from->bucket[i];
	if (from->count)
		times->mean_ns = (double)from->ticks * 1e9 / (double)result->ticks_per_s /
				 (double)from->count;
}

static void show_flips(const struct replay_shared *result)
{
	char bytes[OUTPUT_BYTES];
	struct engine_times times;

	for (unsigned i = 0; i < result->flips; i++)
		show_flip(&result->flip[i], i);
	show_stranded(result);
	printf("overlap  at most %s lived in the lesser of two pools\n",
	       output_bytes(result->peak_overlap_bytes, bytes));
	for (unsigned call = 0; call < REPLAY_CALLS; call++) {
		near_times(result, call, &times);
		if (!times.count)
			continue;
		printf("around   %-8s %9" PRIu64 " calls within 10 ms: mean %.0f ns, p50 %.0f, p99 %.0f, "
		       "p99.9 %.0f\n",
		       call_names[call], times.count, times.mean_ns, engine_percentile(&times, 50),
		       engine_percentile(&times, 99), engine_percentile(&times, 99.9));
	}
}

void replay_text(const struct report *report)
{
	const struct replay_shared *result = report->result;
	char side[REPORT_SIDE_BYTES];
	double seconds = (double)result->wall_ns / 1e9;

	printf("trace    %s: %" PRIu64 " operations, %" PRIu32 " threads%s\n", output_path(report->path),
	       report->program->operations, report->program->threads,
	       report->scan->traits.has_times ? "" : ", no times");
	printf("on       %s\n", replay_side_name(report->side, result, side));
	printf("speed    %.3f s, %.2f million operations a second, %.3f s of CPU time\n", seconds,
	       seconds > 0 ? (double)result->operations / seconds / 1e6 : 0,
	       (double)result->cpu_ns / 1e9);
	show_times(result);
	show_memory(result);
	printf("waits    %" PRIu64 " for other threads, %.3f s; %" PRIu64
	       " other voluntary switches; legacy's locks: %" PRIu64 " waits, %" PRIu64
	       " contended\n",
	       result->waits, (double)result->waited_ns / 1e9, result->switches, result->lock_waits,
	       result->contended_trylocks);
	if (result->failed)
		printf("failed   %" PRIu64 " allocations gave no memory\n", result->failed);
	if (result->flips)
		show_flips(result);
}

/* --- JSON --------------------------------------------------------------------------------------- */

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

static void add_real(struct json_object *object, const char *key, double value)
{
	json_object_object_add(object, key,
			       isfinite(value) ? json_object_new_double(value) : NULL);
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

static struct json_object *times_object(const struct engine_times *times)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "timed", times->count);
	add_real(object, "mean_ns", times->count ? times->mean_ns : NAN);
	for (size_t i = 0; i < PERCENTS; i++)
		add_real(object, percent_names[i], engine_percentile(times, percents[i]));
	return object;
}

static struct json_object *calls_object(const struct replay_shared *result, unsigned class)
{
	struct json_object *object = json_object_new_object();
	struct engine_times times;

	for (unsigned call = 0; call < REPLAY_CALLS; call++) {
		engine_times(result, call, class, &times);
		if (times.count)
			json_object_object_add(object, call_names[call], times_object(&times));
	}
	return object;
}

static struct json_object *classes_array(const struct report *report)
{
	const struct replay_shared *result = report->result;
	struct json_object *array = json_object_new_array();

	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		struct engine_times times;
		engine_times(result, REPLAY_CALLS, class, &times);
		if (!report->scan->operations[class] && !times.count)
			continue;
		struct json_object *object = json_object_new_object();
		add_number(object, "class", class);
		json_object_object_add(object, "max_bytes",
				       class == NEXT_CLASS_HUGE ?
					       NULL :
					       json_object_new_int64(
						       (int64_t)next_class_bytes(class)));
		add_number(object, "allocations", report->scan->operations[class]);
		add_number(object, "end_blocks", result->end_blocks[class]);
		add_number(object, "end_bytes", result->end_class_bytes[class]);
		add_number(object, "at_peak_blocks", result->at_peak_blocks[class]);
		add_number(object, "at_peak_bytes", result->at_peak_class_bytes[class]);
		json_object_object_add(object, "calls", calls_object(result, class));
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *flips_object(const struct replay_shared *result)
{
	struct json_object *object = json_object_new_object(), *array = json_object_new_array();
	struct json_object *calls = json_object_new_object();

	for (unsigned i = 0; i < result->flips; i++) {
		const struct replay_flip *flip = &result->flip[i];
		struct json_object *one = json_object_new_object();
		add_text(one, "plan", flip->plan);
		add_text(one, "error", flip->error[0] ? flip->error : NULL);
		json_object_object_add(one, "at_s",
				       flip->done_ns ? json_object_new_double(
							       (double)flip->asked_ns / 1e9) :
						       NULL);
		add_real(one, "took_us",
			 flip->done_ns ? (double)(flip->done_ns - flip->asked_ns) / 1e3 : NAN);
		json_object_array_add(array, one);
	}
	json_object_object_add(object, "flips", array);
	add_number(object, "peak_overlap_bytes", result->peak_overlap_bytes);
	for (unsigned call = 0; call < REPLAY_CALLS; call++) {
		struct engine_times times;
		near_times(result, call, &times);
		if (times.count)
			json_object_object_add(calls, call_names[call], times_object(&times));
	}
	json_object_object_add(object, "around", calls);
	return object;
}

static struct json_object *series_array(const struct replay_shared *result)
{
	struct json_object *array = json_object_new_array();

	for (uint32_t i = 0; i < result->samples; i++) {
		const struct replay_sample *sample = &result->sample[i];
		struct json_object *object = json_object_new_object();
		add_real(object, "s", (double)sample->time_ns / 1e9);
		add_number(object, "rss_bytes", sample->rss_bytes);
		add_number(object, "live_bytes", sample->live_bytes);
		if (result->flips) {
			for (unsigned owner = 0; owner < 3; owner++)
				add_number(object, owner_names[owner], sample->owned_bytes[owner]);
			add_number(object, "stranded_bytes", sample->stranded_bytes);
		}
		json_object_array_add(array, object);
	}
	return array;
}

static void add_memory(struct json_object *object, const struct replay_shared *result)
{
	add_number(object, "peak_rss_bytes", result->peak_rss_bytes);
	add_number(object, "mean_rss_bytes", result->mean_rss_bytes);
	add_number(object, "mean_live_bytes", result->mean_live_bytes);
	add_real(object, "held_per_live_byte",
		 held(result->mean_rss_bytes, result->mean_live_bytes));
	add_number(object, "rss_at_peak_bytes", result->rss_at_peak_bytes);
	add_number(object, "live_at_peak_bytes", result->live_at_peak_bytes);
	add_number(object, "blocks_at_peak", result->blocks_at_peak);
	add_number(object, "end_rss_bytes", result->end_rss_bytes);
	add_number(object, "end_live_bytes", result->live_bytes);
	add_number(object, "end_live_blocks", result->live_blocks);
	add_number(object, "base_bytes", result->base_bytes);
	add_number(object, "faults", result->faults);
	add_number(object, "major_faults", result->major_faults);
}

void replay_json(const struct report *report)
{
	const struct replay_shared *result = report->result;
	struct json_object *object = json_object_new_object();
	double seconds = (double)result->wall_ns / 1e9;

	add_text(object, "trace", report->path);
	add_text(object, "malloc", result->serves_malloc);
	add_text(object, "hakmem", report->side->plan ? result->hakmem : NULL);
	add_text(object, "plan", report->side->plan);
	add_number(object, "operations", result->operations);
	add_number(object, "threads", report->program->threads);
	add_number(object, "most_threads", result->most_threads);
	add_number(object, "failed", result->failed);
	add_real(object, "seconds", seconds);
	add_real(object, "operations_per_s",
		 seconds > 0 ? (double)result->operations / seconds : NAN);
	add_real(object, "cpu_s", (double)result->cpu_ns / 1e9);
	add_number(object, "waits", result->waits);
	add_real(object, "waited_s", (double)result->waited_ns / 1e9);
	add_number(object, "switches", result->switches);
	add_number(object, "lock_waits", result->lock_waits);
	add_number(object, "contended_trylocks", result->contended_trylocks);
	json_object_object_add(object, "calls", calls_object(result, NEXT_CLASSES));
	add_memory(object, result);
	if (result->flips)
		json_object_object_add(object, "migration", flips_object(result));
	json_object_object_add(object, "classes", classes_array(report));
	json_object_object_add(object, "series", series_array(result));
	output_json(object, false);
}
