/* SPDX-License-Identifier: MIT */
/* migrate/guard.c - guards; see guard.h
 *
 * SYNCHRONIZATION
 *   setting, text       under the lock of flips
 *   misuse_armed, ...   what mallocs and frees have to know of it, copied into words of their own
 *   ticking             taken by the waiting thread that looks; whoever finds it taken leaves it to that one
 */
#include "migrate/guard.h"

#include "legacy/legacy.h"
#include "migrate/arms.h"
#include "migrate/held.h"
#include "migrate/report.h"
#include "migrate/rollback.h"
#include "migrate/rollout_run.h"
#include "next/next.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"
#include "shim/checked.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/route.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MS		UINT64_C(1000000)
#define RSS_EVERY_NS	(100 * MS)
#define LATENCY_EVERY_NS (250 * MS)
#define HELD_EVERY_NS	(1000 * MS)
#define ROLLOUT_EVERY_NS (100 * MS)
#define WANTED_NS	(10000 * MS)
#define HELD_LOOKS	5 /* in a row */
#define MISUSE_LINES	16 /* more are counted, not printed */

/* [lock: flips] */
static struct guard_setting setting;
static char text[GUARD_TEXT_MAX + 1];

/* [any thread] */
static _Atomic bool misuse_armed, timed_armed, latency_armed;
static _Atomic uint32_t reservation_limit;
static _Atomic uint32_t reservation_failures[NEXT_CLASSES];
static _Atomic bool misused[NEXT_CLASSES];
static _Atomic uint64_t misuses, failed_reservations, trips;
static _Atomic uint64_t samples_wanted_until_ns;

/* [ticking] */
static _Atomic bool ticking;
static uint64_t rss_due_ns, latency_due_ns, held_due_ns, rollout_due_ns;
static struct latency canary_sum, old_sum, canary, old;
static size_t held_bytes[NEXT_CLASSES];
static struct next_stats next_stats;
static struct legacy_counters legacy_counters;

/* What was seen last. [ticking writes; any thread reads] enum rollout_outcome */
static _Atomic uint8_t latency_seen[NEXT_CLASSES], held_seen[NEXT_CLASSES], rss_seen;

/* [ticking] Looks in a row at which it held too much; the last one is all classes together. A load that comes and goes
 * leaves holes for a while in any pool. */
static uint8_t held_bad[NEXT_CLASSES + 1];

/* --- tripping ------------------------------------------------------------------------------------- */

static bool is_on_next(unsigned class)
{
	unsigned route = shim_route_word_of(class) & ~(unsigned)SHIM_BITS;
	return route == SHIM_NEXT || route == SHIM_SHARE;
}

/* Only what is on next goes back: the rest is old already, perhaps by an earlier trip. False if nothing is. */
static bool trip(const bool classes[NEXT_CLASSES], const char *cause, const char *detail,
		 enum rollback_caller caller)
{
	bool named[NEXT_CLASSES];
	unsigned first = NEXT_CLASSES;

	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		named[class] = classes[class] && is_on_next(class);
		if (named[class] && first == NEXT_CLASSES)
			first = class;
	}
	if (first == NEXT_CLASSES)
		return false;
	fetch_add_relaxed(&trips, 1);
	PROBE2(guard_trip, first, cause);
	rollback_by_guard(named, cause, detail, caller);
	return true;
}

/* NEXT_CLASSES: not known which, so all. */
static void name_class(bool named[NEXT_CLASSES], unsigned class)
{
	memset(named, class >= NEXT_CLASSES, NEXT_CLASSES * sizeof(named[0]));
	if (class < NEXT_CLASSES)
		named[class] = true;
}

static void trip_class(unsigned class, const char *cause, const char *detail,
		       enum rollback_caller caller)
{
	bool named[NEXT_CLASSES];
	name_class(named, class);
	(void)trip(named, cause, detail, caller);
}

/* --- misuse --------------------------------------------------------------------------------------- */

static bool on_misuse(unsigned class, const char *what, const void *block, const char *detail)
{
	bool named[NEXT_CLASSES];
	char line[200];

	if (!load_relaxed(&misuse_armed))
		return false;
	(void)snprintf(line, sizeof(line),
		       "%s: %p: %s; survived, the block is leaked and its page quarantined", what,
		       block, detail);
	if (fetch_add_relaxed(&misuses, 1) < MISUSE_LINES)
		report_text(line);
	name_class(named, class);
	/* A seal (shim/checked.h) may have put the block into the class above the one that was asked for. */
	if (checked_on() && class > 0 && class < NEXT_CLASSES)
		named[class - 1] = true;
	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		if (named[i])
			store_relaxed(&misused[i], true);
	(void)trip(named, "guard: misuse", what, ROLLBACK_FROM_MALLOC);
	return true;
}

/* --- reservation ---------------------------------------------------------------------------------- */

void shim_at_next_failure(unsigned class)
{
	uint32_t limit = load_relaxed(&reservation_limit);

	fetch_add_relaxed(&failed_reservations, 1);
	if (limit > 0 && fetch_add_relaxed(&reservation_failures[class], 1) + 1 >= limit)
		trip_class(class, "guard: reservation", "next had no memory and the system had",
			   ROLLBACK_FROM_MALLOC);
}

/* --- latency -------------------------------------------------------------------------------------- */

static struct rollout_limits latency_limits(const struct guard_setting *now)
{
	struct rollout_limits limits = rollout_default_limits;
	limits.latency_ratio = now->latency_ratio;
	limits.min_samples = now->latency_min_samples;
	limits.held_ratio = 0;
	return limits;
}

static bool latency_trips(const struct rollout_limits *limits, double alpha,
			  const struct latency *canaries, const struct latency *olds,
			  enum rollout_outcome *outcome, char detail[static 160])
{
	struct rollout_evidence evidence = { .canary = canaries, .old = olds };
	struct rollout_verdict verdict;

	rollout_judge(limits, alpha, &evidence, &verdict);
	*outcome = verdict.latency;
	if (verdict.latency != ROLLOUT_ROLL_BACK)
		return false;
	(void)snprintf(detail, 160,
		       "p99 of a malloc %.0f ns against %.0f ns, %.2f times at least, limit %.2f, "
		       "%llu and %llu samples",
		       verdict.canary_ns, verdict.old_ns, verdict.ratio.low, limits->latency_ratio,
		       (unsigned long long)verdict.canary_count,
		       (unsigned long long)verdict.old_count);
	return true;
}

/* Half of alpha is for all canaries together, half is shared out over the classes. */
static void look_at_latency(const struct guard_setting *now)
{
	struct rollout_limits limits = latency_limits(now);
	bool all[NEXT_CLASSES], some = false;
	enum rollout_outcome outcome;
	char detail[160];

	memset(&canary_sum, 0, sizeof(canary_sum));
	memset(&old_sum, 0, sizeof(old_sum));
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		memset(&canary, 0, sizeof(canary));
		memset(&old, 0, sizeof(old));
		arms_read(class, &canary, &old);
		all[class] = canary.count + old.count > 0;
		if (!all[class]) {
			store_relaxed(&latency_seen[class], ROLLOUT_HOLD);
			continue;
		}
		some = true;
		latency_merge(&canary_sum, &canary);
		latency_merge(&old_sum, &old);
		bool bad = latency_trips(&limits, limits.alpha / 2 / NEXT_CLASSES, &canary, &old,
					 &outcome, detail);
		store_relaxed(&latency_seen[class], (uint8_t)outcome);
		if (bad)
			trip_class(class, "guard: latency", detail, ROLLBACK_FROM_ELSEWHERE);
	}
	if (some && latency_trips(&limits, limits.alpha / 2, &canary_sum, &old_sum, &outcome, detail))
		(void)trip(all, "guard: latency", detail, ROLLBACK_FROM_ELSEWHERE);
}

/* --- held bytes ----------------------------------------------------------------------------------- */

static bool held_trips(const struct guard_setting *now, unsigned index, uint64_t held, uint64_t live,
		       enum shim_backend side, enum rollout_outcome *outcome,
		       char detail[static 160])
{
	struct rollout_limits limits = rollout_default_limits;
	struct rollout_evidence evidence = { .next = { .held_bytes = held, .live_bytes = live } };
	struct rollout_verdict verdict;

	limits.latency_ratio = 0;
	limits.held_ratio = now->held_ratio;
	limits.min_live_bytes = now->held_min_bytes;
	held_best_of(side, &evidence.before);
	rollout_judge(&limits, limits.alpha, &evidence, &verdict);
	*outcome = verdict.held;
	if (verdict.held != ROLLOUT_ROLL_BACK) {
		held_bad[index] = 0;
		return false;
	}
	if (++held_bad[index] < HELD_LOOKS) {
		*outcome = ROLLOUT_HOLD;
		return false;
	}
	held_bad[index] = 0;
	(void)snprintf(detail, 160,
		       "next holds %llu bytes for %llu that live, %.2f times the old pool's rate, "
		       "limit %.2f",
		       (unsigned long long)held, (unsigned long long)live, verdict.held_ratio,
		       limits.held_ratio);
	return true;
}

static void look_at_held(const struct guard_setting *now)
{
	uint64_t held_sum = 0, live_sum = 0;
	enum rollout_outcome outcome;
	bool all[NEXT_CLASSES];
	char detail[160];

	if (shim_legacy_available())
		legacy_read_counters(&legacy_counters);
	held_look_at_old(&legacy_counters);
	if (!shim_next_available())
		return;
	next_read_stats(&next_stats);
	next_read_held(held_bytes);
	/* Of the largest size we know block sizes by classes only: they are left to the rss guard. */
	for (unsigned class = 0; class < NEXT_CLASS_HUGE; class ++) {
		uint64_t live = next_stats.class_live_blocks[class] * next_class_bytes(class);
		bool bad = held_trips(now, class, held_bytes[class], live,
				      shim_old_side_of(class), &outcome, detail);
		held_sum += held_bytes[class];
		live_sum += live;
		store_relaxed(&held_seen[class], (uint8_t)outcome);
		if (bad)
			trip_class(class, "guard: held bytes", detail, ROLLBACK_FROM_ELSEWHERE);
	}
	held_sum += next_stats.resident_free_bytes;
	memset(all, true, sizeof(all));
	if (held_trips(now, NEXT_CLASSES, held_sum, live_sum,
		       shim_old_side_of(next_class_of(4096)), &outcome, detail))
		(void)trip(all, "guard: held bytes", detail, ROLLBACK_FROM_ELSEWHERE);
}

/* --- resident set --------------------------------------------------------------------------------- */

/* 0: not known. */
static uint64_t resident_bytes(void)
{
	char path[40], line[100];
	unsigned long long total, pages;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)getpid());
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	line[length] = '\0';
	return sscanf(line, "%llu %llu", &total, &pages) == 2 ? pages * OS_PAGE_BYTES : 0;
}

static void look_at_rss(const struct guard_setting *now)
{
	uint64_t bytes = resident_bytes();
	char detail[160];

	store_relaxed(&rss_seen, bytes == 0		      ? ROLLOUT_HOLD
				 : bytes <= now->rss_bytes ? ROLLOUT_GO
							   : ROLLOUT_ROLL_BACK);
	if (bytes <= now->rss_bytes)
		return;
	(void)snprintf(detail, sizeof(detail), "the resident set is %llu bytes, limit %llu",
		       (unsigned long long)bytes, (unsigned long long)now->rss_bytes);
	trip_class(NEXT_CLASSES, "guard: rss", detail, ROLLBACK_FROM_ELSEWHERE);
}

/* --- looking -------------------------------------------------------------------------------------- */

static bool samples_wanted(void)
{
	return (load_relaxed(&latency_armed) || rollout_run_is_going() ||
		os_now_ns() < load_relaxed(&samples_wanted_until_ns)) &&
	       arms_any();
}

void guard_want_samples(void)
{
	store_relaxed(&samples_wanted_until_ns, os_now_ns() + WANTED_NS);
}

bool guard_wants_thread(void)
{
	return load_relaxed(&timed_armed) || rollout_run_is_going();
}

int guard_patience_ms(void)
{
	if (samples_wanted())
		return ARMS_INTERVAL_MS;
	return guard_wants_thread() ? (int)(RSS_EVERY_NS / MS) : -1;
}

static bool is_due(uint64_t *due_ns, uint64_t now_ns, uint64_t every_ns)
{
	if (now_ns < *due_ns)
		return false;
	*due_ns = now_ns + every_ns;
	return true;
}

static void look(uint64_t now_ns)
{
	struct guard_setting now;
	sigset_t mask;

	shim_flips_begin(&mask);
	now = setting;
	shim_flips_end(&mask);
	if (now.rss_bytes && is_due(&rss_due_ns, now_ns, RSS_EVERY_NS))
		look_at_rss(&now);
	if (now.latency_ratio > 0 && is_due(&latency_due_ns, now_ns, LATENCY_EVERY_NS))
		look_at_latency(&now);
	if (now.held_ratio > 0 && is_due(&held_due_ns, now_ns, HELD_EVERY_NS))
		look_at_held(&now);
}

void guard_tick(void)
{
	bool idle = false;
	/* acquire: what the thread that looked before has written; pairs with the release below */
	if (!cas_acquire(&ticking, &idle, true))
		return;
	if (samples_wanted())
		arms_sample();
	uint64_t now_ns = os_now_ns();
	if (load_relaxed(&timed_armed))
		look(now_ns);
	if (rollout_run_is_going() && is_due(&rollout_due_ns, now_ns, ROLLOUT_EVERY_NS))
		rollout_run_tick(now_ns);
	/* release: see above */
	store_release(&ticking, false);
}

void guard_fork_child(void)
{
	/* Its thread is not here. */
	store_relaxed(&ticking, false);
}

/* --- arming --------------------------------------------------------------------------------------- */

const char *guard_set(const char *wanted)
{
	struct guard_setting read;
	sigset_t mask;

	const char *wrong = guard_read_setting(&read, wanted);
	if (wrong)
		return wrong;
	shim_flips_begin(&mask);
	setting = read;
	memcpy(text, wanted, strlen(wanted) + 1);
	store_relaxed(&misuse_armed, read.misuse);
	store_relaxed(&latency_armed, read.latency_ratio > 0);
	store_relaxed(&reservation_limit, read.reservation);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		store_relaxed(&reservation_failures[class], 0);
		store_relaxed(&misused[class], false);
	}
	store_relaxed(&rss_seen, ROLLOUT_HOLD);
	store_relaxed(&timed_armed,
		      read.latency_ratio > 0 || read.held_ratio > 0 || read.rss_bytes > 0);
	shim_flips_end(&mask);
	/* For good: it asks whether it is armed. release: pairs with the acquire in next/misuse.c */
	if (read.misuse)
		store_release(&next_on_misuse, on_misuse);
	return NULL;
}

void guard_text(char out[GUARD_TEXT_MAX + 1])
{
	sigset_t mask;
	shim_flips_begin(&mask);
	memcpy(out, text, sizeof(text));
	shim_flips_end(&mask);
}

void guard_read_environment(void)
{
	const char *wanted = shim_setting("HAKMEM_GUARD");
	char line[160];

	const char *wrong = wanted ? guard_set(wanted) : NULL;
	if (!wrong)
		return;
	(void)snprintf(line, sizeof(line), "HAKMEM_GUARD: %s; nothing is guarded", wrong);
	report_text(line);
}

/* --- asking --------------------------------------------------------------------------------------- */

void guard_read_class(unsigned class, struct guard_class *out)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	out->misuse_armed = setting.misuse;
	out->reservation_armed = setting.reservation > 0;
	out->latency_armed = setting.latency_ratio > 0;
	out->held_armed = setting.held_ratio > 0;
	out->rss_armed = setting.rss_bytes > 0;
	uint32_t limit = setting.reservation, failures = load_relaxed(&reservation_failures[class]);
	shim_flips_end(&mask);
	out->misuse = load_relaxed(&misused[class]) ? ROLLOUT_ROLL_BACK : ROLLOUT_GO;
	out->reservation = failures == 0      ? ROLLOUT_GO
			   : failures < limit ? ROLLOUT_HOLD
					      : ROLLOUT_ROLL_BACK;
	out->rss = (enum rollout_outcome)load_relaxed(&rss_seen);
	out->latency = (enum rollout_outcome)load_relaxed(&latency_seen[class]);
	out->held = (enum rollout_outcome)load_relaxed(&held_seen[class]);
}

void guard_read_counts(struct guard_counts *out)
{
	out->trips = load_relaxed(&trips);
	out->misuses = load_relaxed(&misuses);
	out->failed_reservations = load_relaxed(&failed_reservations);
}
