/* SPDX-License-Identifier: MIT */
/* bench/result.c - the one JSON line that a workload prints, written without malloc */
#include "bench/common.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char line[64 * 1024];
static size_t used;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	va_list arguments;
	int got;

	va_start(arguments, format);
	got = vsnprintf(line + used, sizeof(line) - used, format, arguments);
	va_end(arguments);
	if (got < 0 || (size_t)got >= sizeof(line) - used)
		bench_die("the result line is too long");
	used += (size_t)got;
}

static void put_key(const char *key)
{
	put("%s\"%s\":", used > 1 ? "," : "", key);
}

void bench_result_open(const char *workload)
{
	used = 0;
	put("{");
	bench_result_text("workload", workload);
}

void bench_result_count(const char *key, uint64_t value)
{
	put_key(key);
	put("%" PRIu64, value);
}

/* JSON has no infinities; what is not finite was not measured. */
static void put_real(double value)
{
	if (__builtin_isfinite(value))
		put("%.9g", value);
	else
		put("null");
}

void bench_result_real(const char *key, double value)
{
	put_key(key);
	put_real(value);
}

void bench_result_text(const char *key, const char *value)
{
	put_key(key);
	put("\"");
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			put("\\%c", *value);
		else if ((unsigned char)*value >= ' ')
			put("%c", *value);
	}
	put("\"");
}

void bench_result_series(const char *key, const struct bench_series *series)
{
	put_key(key);
	put("[");
	for (unsigned i = 0; i < series->count; i++)
		put("%s[%.4f,%zu,%zu]", i ? "," : "", series->at[i].seconds,
		    series->at[i].rss_bytes, series->at[i].live_bytes);
	put("]");
}

static double mean_rss(const struct bench_series *series, unsigned from, unsigned to)
{
	double sum = 0;

	for (unsigned i = from; i < to; i++)
		sum += (double)series->at[i].rss_bytes;
	return sum / (double)(to - from);
}

void bench_result_quarters(const struct bench_series *series)
{
	unsigned quarter = series->count / 4;

	bench_result_real("rss_first_quarter", mean_rss(series, 0, quarter));
	bench_result_real("rss_last_quarter",
			  mean_rss(series, series->count - quarter, series->count));
}

void bench_result_pairs(const char *key, const double (*pairs)[2], unsigned count)
{
	put_key(key);
	put("[");
	for (unsigned i = 0; i < count; i++) {
		put("%s[", i ? "," : "");
		put_real(pairs[i][0]);
		put(",");
		put_real(pairs[i][1]);
		put("]");
	}
	put("]");
}

void bench_result_score(struct bench_score score)
{
	bench_result_count("ops", score.ops);
	bench_result_real("seconds", score.seconds);
	bench_result_real("ops_per_s", (double)score.ops / score.seconds);
}

/* Which of hakmem's pools serves a few sizes: it is asked about a block of each. */
static void put_owners(int (*owner)(const void *address))
{
	static const char *const names[] = { "system", "next", "legacy" };
	static const size_t sizes[] = { 64, 4 * BENCH_KIB, 128 * BENCH_KIB };

	put_key("hakmem_owners");
	put("[");
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *block = bench_malloc(sizes[i]);
		int number = owner(block);

		put("%s\"%s\"", i ? "," : "",
		    number >= 0 && number < 3 ? names[number] : "unknown");
		free(block);
	}
	put("]");
}

/*
 * Who really serves malloc: the file that the dynamic linker bound the name to, which is what a
 * preload is meant to change. hakmem is also asked for symbols of its own (shim/hakmem.h).
 */
static void put_malloc_origin(void)
{
	const char *(*version)(void) = NULL;
	int (*owner)(const void *address) = NULL;
	void *symbol = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;

	bench_result_text("malloc_from", symbol && dladdr(symbol, &info) && info.dli_fname
						 ? info.dli_fname
						 : "unknown");
	symbol = dlsym(RTLD_DEFAULT, "hakmem_version");
	if (symbol) {
		memcpy(&version, &symbol, sizeof(version));
		bench_result_text("hakmem", version());
	}
	symbol = dlsym(RTLD_DEFAULT, "hakmem_owner");
	if (symbol) {
		memcpy(&owner, &symbol, sizeof(owner));
		put_owners(owner);
	}
}

void bench_result_close(void)
{
	size_t peak = bench_peak_rss_bytes();
	size_t rss = bench_rss_bytes();
	struct rusage usage;
	size_t written = 0;

	/* the kernel keeps both a little behind, each by itself */
	if (peak < rss)
		peak = rss;
	getrusage(RUSAGE_SELF, &usage);
	bench_result_count("peak_rss_bytes", peak);
	bench_result_count("rss_bytes", rss);
	bench_result_count("minor_faults", (uint64_t)usage.ru_minflt);
	bench_result_count("major_faults", (uint64_t)usage.ru_majflt);
	bench_result_count("voluntary_switches", (uint64_t)usage.ru_nvcsw);
	bench_result_count("involuntary_switches", (uint64_t)usage.ru_nivcsw);
	bench_result_real("user_s",
			  (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6);
	bench_result_real("system_s",
			  (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec * 1e-6);
	put_malloc_origin();
	if (bench_malloc_stats)
		malloc_stats();
	put("}\n");
	while (written < used) {
		ssize_t got = write(STDOUT_FILENO, line + written, used - written);

		if (got < 0 && errno != EINTR)
			exit(1);
		if (got > 0)
			written += (size_t)got;
	}
}
