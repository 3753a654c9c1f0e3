/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/info_show.c - what is in a trace, in words and as JSON; see info.h */
#include "migrate/tool/output.h"
#include "migrate/tool/trace/info.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>

/* Threads that are shown one by one. */
#define THREADS_SHOWN 16

#define LIFETIME_BYTES 24
static const char *lifetime(const struct info *info, const struct info_class *class, double percent,
			    char out[LIFETIME_BYTES])
{
	double value = info_lifetime(class, percent);

	if (isnan(value))
		(void)snprintf(out, LIFETIME_BYTES, "-");
	else if (!info->traits.has_times)
		(void)snprintf(out, LIFETIME_BYTES, "%.4g", value);
	else if (value < 1e4)
		(void)snprintf(out, LIFETIME_BYTES, "%.0f ns", value);
	else if (value < 1e7)
		(void)snprintf(out, LIFETIME_BYTES, "%.0f us", value / 1e3);
	else if (value < 1e10)
		(void)snprintf(out, LIFETIME_BYTES, "%.0f ms", value / 1e6);
	else
		(void)snprintf(out, LIFETIME_BYTES, "%.0f s", value / 1e9);
	return out;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static void show_classes(const struct info *info)
{
	const struct info_class *all = &info->class[INFO_ALL];
	char size[OUTPUT_BYTES], bytes[OUTPUT_BYTES], peak[OUTPUT_BYTES], end[OUTPUT_BYTES];
	char p50[LIFETIME_BYTES], p99[LIFETIME_BYTES];

	printf("\n%8s %12s %6s %12s %12s %12s %10s %10s %7s\n", "to", "allocations", "%", "bytes",
	       "at peak", "at the end", "lives p50", "p99", "others");
	for (unsigned i = 0; i <= NEXT_CLASSES; i++) {
		const struct info_class *class = &info->class[i];
		if (!class->allocations)
			continue;
		if (i == INFO_ALL)
			(void)snprintf(size, sizeof(size), "all");
		else if (i == NEXT_CLASS_HUGE)
			(void)snprintf(size, sizeof(size), "huge");
		else
			(void)output_size(next_class_bytes(i), size);
		printf("%8s %12" PRIu64 " %6.2f %12s %12s %12s %10s %10s %6.1f%%\n", size,
		       class->allocations, share(class->allocations, all->allocations),
		       output_bytes(class->bytes, bytes),
		       output_bytes(i == INFO_ALL ? info->peak_bytes : class->at_peak_bytes, peak),
		       output_bytes(class->live_bytes, end), lifetime(info, class, 50, p50),
		       lifetime(info, class, 99, p99), share(class->freed_by_others, class->freed));
	}
	printf("lifetimes %s; others: freed by another thread than the one that allocated\n",
	       info->traits.has_times ? "by the trace's clock" : "count operations");
}

static void show_threads(const struct info *info)
{
	for (size_t i = 0; i < info->threads && i < THREADS_SHOWN; i++)
		printf("  thread %-10" PRIu64 " %12" PRIu64 " operations, from %.3f to %.3f s%s\n",
		       info->each[i].name, info->each[i].operations,
		       (double)info->each[i].first_ns / 1e9, (double)info->each[i].last_ns / 1e9,
		       info->each[i].ended ? ", ended" : "");
	if (info->threads > THREADS_SHOWN)
		printf("  and %zu more\n", info->threads - THREADS_SHOWN);
}

static void show_losses(const struct info *info)
{
	const struct track_counts *counts = &info->counts;

	printf("losses      %" PRIu64 " events that the recorder lost", info->traits.discarded);
	if (info->traits.cut)
		printf(", %" PRIu64 " events left out since the recording was cut", info->traits.cut);
	if (counts->unknown_frees)
		printf(", %" PRIu64 " frees of blocks that are not in the trace",
		       counts->unknown_frees);
	if (counts->lost_frees)
		printf(", %" PRIu64 " frees that are missing and were supplied", counts->lost_frees);
	if (info->traits.other_processes)
		printf(", %" PRIu64 " events of other processes left out",
		       info->traits.other_processes);
	putchar('\n');
}

/* Nothing of traces that do not tell. */
static void show_served(const char *what, const uint64_t count[RECORD_SERVED])
{
	uint64_t all = 0;

	for (unsigned i = 0; i < RECORD_SERVED; i++)
		all += count[i];
	if (all == count[0])
		return;
	printf("%-12s", what);
	const char *between = "";
	for (unsigned i = 0; i < RECORD_SERVED; i++) {
		if (!count[i])
			continue;
		printf("%s%s %.2f %%", between, record_served_names[i], share(count[i], all));
		between = ", ";
	}
	putchar('\n');
}

void info_text(const struct info *info)
{
	const struct track_counts *counts = &info->counts;
	const struct info_class *all = &info->class[INFO_ALL];
	char peak[OUTPUT_BYTES], end[OUTPUT_BYTES];

	printf("trace       %s: %s", output_path(info->path), info->traits.title);
	if (info->traits.process)
		printf(", process %" PRIu64, info->traits.process);
	if (info->traits.has_times)
		printf(", %.3f s", (double)info->span_ns / 1e9);
	printf("%s%s\n", info->traits.has_times ? "" : ", no times",
	       info->traits.has_threads ? "" : ", no threads");
	printf("operations  %" PRIu64 ": %" PRIu64 " allocations (%" PRIu64 " calloc, %" PRIu64
	       " aligned), %" PRIu64 " reallocations, %" PRIu64 " frees, %" PRIu64
	       " of NULL, %" PRIu64 " failed\n",
	       counts->operations, counts->allocations, info->callocs, info->memaligns,
	       counts->reallocations, counts->frees, counts->null_frees, counts->failed);
	printf("live        %s in %" PRIu64 " blocks at the peak, %s in %" PRIu64 " at the end\n",
	       output_bytes(info->peak_bytes, peak), info->peak_blocks,
	       output_bytes(all->live_bytes, end), all->live_blocks);
	printf("freed by others  %.2f %% of %" PRIu64 " that were given back\n",
	       share(all->freed_by_others, all->freed), all->freed);
	show_served("served by", info->served);
	show_served("freed in", info->freed_of);
	show_losses(info);
	printf("threads     %zu, at most %zu at one time\n", info->threads, info->most_threads);
	show_threads(info);
	show_classes(info);
}

/* --- JSON --------------------------------------------------------------------------------------- */

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

static void add_real(struct json_object *object, const char *key, double value)
{
	json_object_object_add(object, key, isfinite(value) ? json_object_new_double(value) : NULL);
}

static struct json_object *histogram(const struct info_class *class)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < INFO_BUCKETS; i++) {
		if (!class->lifetime[i])
			continue;
		struct json_object *pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_double(info_bucket_value(i)));
		json_object_array_add(pair, json_object_new_int64((int64_t)class->lifetime[i]));
		json_object_array_add(array, pair);
	}
	return array;
}

static struct json_object *class_object(const struct info *info, unsigned number)
{
	const struct info_class *class = &info->class[number];
	struct json_object *object = json_object_new_object();

	if (number != INFO_ALL) {
		add_number(object, "class", number);
		json_object_object_add(object, "max_bytes",
				       number == NEXT_CLASS_HUGE ?
					       NULL :
					       json_object_new_int64(
						       (int64_t)next_class_bytes(number)));
	}
	add_number(object, "allocations", class->allocations);
	add_number(object, "bytes", class->bytes);
	add_number(object, "freed", class->freed);
	add_number(object, "freed_by_others", class->freed_by_others);
	add_number(object, "at_peak_blocks",
		   number == INFO_ALL ? info->peak_blocks : class->at_peak_blocks);
	add_number(object, "at_peak_bytes",
		   number == INFO_ALL ? info->peak_bytes : class->at_peak_bytes);
	add_number(object, "own_peak_bytes", class->peak_bytes);
	add_number(object, "end_blocks", class->live_blocks);
	add_number(object, "end_bytes", class->live_bytes);
	add_real(object, "lifetime_p50", info_lifetime(class, 50));
	add_real(object, "lifetime_p90", info_lifetime(class, 90));
	add_real(object, "lifetime_p99", info_lifetime(class, 99));
	json_object_object_add(object, "lifetimes", histogram(class));
	return object;
}

static struct json_object *threads_array(const struct info *info)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < info->threads; i++) {
		struct json_object *object = json_object_new_object();
		add_number(object, "tid", info->each[i].name);
		add_number(object, "operations", info->each[i].operations);
		add_real(object, "first_s", (double)info->each[i].first_ns / 1e9);
		add_real(object, "last_s", (double)info->each[i].last_ns / 1e9);
		json_object_object_add(object, "ended", json_object_new_boolean(info->each[i].ended));
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *series_array(const struct info *info)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < info->samples; i++) {
		struct json_object *object = json_object_new_object();
		add_real(object, "s", (double)info->sample[i].time_ns / 1e9);
		add_number(object, "operation", info->sample[i].operation);
		add_number(object, "live_bytes", info->sample[i].live_bytes);
		add_number(object, "live_blocks", info->sample[i].live_blocks);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *served_object(const uint64_t count[RECORD_SERVED])
{
	struct json_object *object = json_object_new_object();

	for (unsigned i = 0; i < RECORD_SERVED; i++)
		if (count[i])
			add_number(object, record_served_names[i], count[i]);
	return object;
}

static void add_counts(struct json_object *object, const struct info *info)
{
	const struct track_counts *counts = &info->counts;

	add_number(object, "operations", counts->operations);
	add_number(object, "allocations", counts->allocations);
	add_number(object, "callocs", info->callocs);
	add_number(object, "aligned", info->memaligns);
	add_number(object, "reallocations", counts->reallocations);
	add_number(object, "frees", counts->frees);
	add_number(object, "null_frees", counts->null_frees);
	add_number(object, "failed", counts->failed);
	add_number(object, "events_discarded", info->traits.discarded);
	add_number(object, "cut", info->traits.cut);
	add_number(object, "unknown_frees", counts->unknown_frees);
	add_number(object, "supplied_frees", counts->lost_frees);
	add_number(object, "other_processes", info->traits.other_processes);
}

void info_json(const struct info *info)
{
	struct json_object *object = json_object_new_object(), *classes = json_object_new_array();

	json_object_object_add(object, "trace", json_object_new_string(info->path));
	json_object_object_add(object, "format", json_object_new_string(info->traits.format));
	add_number(object, "process", info->traits.process);
	json_object_object_add(object, "has_times", json_object_new_boolean(info->traits.has_times));
	json_object_object_add(object, "has_threads",
			       json_object_new_boolean(info->traits.has_threads));
	add_real(object, "seconds", info->traits.has_times ? (double)info->span_ns / 1e9 : NAN);
	add_counts(object, info);
	add_number(object, "peak_bytes", info->peak_bytes);
	add_number(object, "peak_blocks", info->peak_blocks);
	add_real(object, "peak_s", (double)info->peak_ns / 1e9);
	add_number(object, "peak_operation", info->peak_operation);
	add_number(object, "most_threads", info->most_threads);
	json_object_object_add(object, "served_by", served_object(info->served));
	json_object_object_add(object, "freed_in", served_object(info->freed_of));
	json_object_object_add(object, "threads", threads_array(info));
	json_object_object_add(object, "all", class_object(info, INFO_ALL));
	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		if (info->class[i].allocations)
			json_object_array_add(classes, class_object(info, i));
	json_object_object_add(object, "classes", classes);
	json_object_object_add(object, "series", series_array(info));
	output_json(object, false);
}
