/* SPDX-License-Identifier: MIT */
/* migrate/tool/rollout.c - hakmem rollout: classes to next step by step, compared with the old cohort at each
 *
 * What follows from what is seen is decided in migrate/rollout.c; this brings it the evidence, by the process's page, and
 * does what it says:
 *
 *     SET    the live plan as it was, and behind it the step's items
 *     BACK   rollback, and the live plan as it was: once unlatched, the classes are where they were before
 *     STOP   patience is over: left at the step, or rolled back, as --on-patience says
 *     DONE   the plan stays
 *
 * Whatever ends it says so in one word (enum end), which is the exit status too. A process that does not answer is evidence
 * that is missing: nothing is promoted.
 */
#include "migrate/rollout.h"

#include "migrate/tool/client.h"
#include "migrate/tool/output.h"
#include "migrate/tool/rollout_report.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_HOLDS 10
#define PATIENCE_MS    2000 /* with one question: ^C is not to wait much longer */
#define LONGEST_HOLD_S (30 * 86400.0)

enum option_key {
	KEY_STEPS = 256,
	KEY_HOLD,
	KEY_CLASSES,
	KEY_PATIENCE,
	KEY_ON_PATIENCE,
	KEY_ON_INTERRUPT,
	KEY_MAX_LATENCY,
	KEY_QUANTILE,
	KEY_MAX_HELD,
	KEY_MIN_SAMPLES,
	KEY_MIN_LIVE,
	KEY_ALPHA,
};

struct arguments {
	pid_t pid; /* 0: not given */
	const char *classes;
	bool named[NEXT_CLASSES];
	double hold_s, patience_s, interval_s; /* patience_s negative: not given */
	bool leave_on_interrupt, back_on_patience, json, quiet;
};

static struct client client;
static struct page_status status;
static struct page_answer answer;
static struct rollout rollout;
static struct report report;
static struct latency canary_before, old_before; /* when the step began */
static struct latency canary_since, old_since;
static char plan_before[PLAN_TEXT_MAX + 8]; /* the live plan that was there */
static bool had_plan;
static char plan_now[PLAN_TEXT_MAX + 8]; /* ours */

static volatile sig_atomic_t interrupted;

/* --- asking --------------------------------------------------------------------------------------- */

/* EXIT_OK, or the exit status, with the reason in `error`. */
static int ask(enum page_operation operation, const char *text, char error[CLIENT_ERROR_BYTES])
{
	bool looks = operation == PAGE_COMPARE;

	if (!client_ask(&client, operation, text, &answer, looks ? &status : NULL, error))
		return EXIT_NO_ANSWER;
	/* What the status says is not shown: the live plan goes back as it came. */
	output_make_safe(answer.text);
	if (answer.result == PAGE_APPLIED)
		return EXIT_OK;
	(void)snprintf(error, CLIENT_ERROR_BYTES, "%s (%d) refuses: %.200s", client.header.program,
		       (int)client.process.pid, answer.text);
	return EXIT_REFUSED;
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- steps ---------------------------------------------------------------------------------------- */

static bool has_plan_now(const char *text)
{
	return strcmp(status.source[HAKMEM_SOURCE_LIVE].text, text) == 0;
}

/* The live plan as it was before all this. */
static int restore_plan(char error[CLIENT_ERROR_BYTES])
{
	return had_plan ? ask(PAGE_PLAN, plan_before, error) : ask(PAGE_DROP_PLAN, NULL, error);
}

static int roll_back(const struct arguments *arguments, char error[CLIENT_ERROR_BYTES])
{
	int code = ask(PAGE_ROLLBACK, arguments->classes, error);
	if (code == EXIT_OK)
		report.flip_ns = answer.flip_ns;
	return code == EXIT_OK ? restore_plan(error) : code;
}

/* Puts the step's share in force and begins to count. */
static int set_step(const struct arguments *arguments, char error[CLIENT_ERROR_BYTES])
{
	size_t used = strlen(plan_before);

	memcpy(plan_now, plan_before, used + 1);
	if (strspn(plan_before, " \t") < used) {
		memcpy(plan_now + used, ", ", 3);
		used += 2;
	} else {
		used = 0;
	}
	if (!rollout_plan_text(plan_now + used, PLAN_TEXT_MAX + 1 - used, arguments->classes,
			       rollout.steps.share[rollout.step])) {
		(void)snprintf(error, CLIENT_ERROR_BYTES,
			       "the live plan is too long for another item");
		return EXIT_REFUSED;
	}
	int code = ask(PAGE_PLAN, plan_now, error);
	if (code == EXIT_OK && answer.unavailable > 0) {
		(void)snprintf(error, CLIENT_ERROR_BYTES,
			       "%u classes stay old: next has no memory there", answer.unavailable);
		code = EXIT_REFUSED;
	}
	if (code == EXIT_OK)
		code = ask(PAGE_COMPARE, arguments->classes, error);
	if (code != EXIT_OK)
		return code;
	canary_before = status.compared.canary;
	old_before = status.compared.old;
	report_begin_step(&report, rollout.steps.share[rollout.step], now_ns());
	return EXIT_OK;
}

/* --- evidence ------------------------------------------------------------------------------------- */

/* What came since the step began. A flip by somebody else begins the count anew. */
static void count_since(struct latency *since, const struct latency *now,
			const struct latency *begun)
{
	if (now->count >= begun->count)
		latency_since(since, now, begun);
	else
		*since = *now;
}

static void fill_evidence(struct rollout_evidence *evidence)
{
	count_since(&canary_since, &status.compared.canary, &canary_before);
	count_since(&old_since, &status.compared.old, &old_before);
	*evidence = (struct rollout_evidence){
		.canary = &canary_since,
		.old = &old_since,
		.next = { .held_bytes = status.compared.next_held_bytes,
			  .live_bytes = status.compared.next_live_bytes },
		.before = { .held_bytes = status.compared.old_held_bytes,
			    .live_bytes = status.compared.old_live_bytes },
		.rolled_back = status.compared.latched > 0 || status.kill_switch,
	};
}

/* What is not as it should be before anything is changed; NULL for nothing. */
static const char *obstacle(const struct arguments *arguments)
{
	if (status.kill_switch)
		return "its kill switch is on";
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		if (arguments->named[i] && status.class[i].latched)
			return "some of these classes are latched: `hakmem unlatch' first";
		/* A small share would send most threads back. */
		if (arguments->named[i] && status.class[i].state == HAKMEM_STATE_NEXT)
			return "some of these classes are next's already";
	}
	return NULL;
}

/* --- walking -------------------------------------------------------------------------------------- */

static void wait_for(double seconds)
{
	if (!interrupted)
		(void)poll(NULL, 0, (int)(seconds * 1e3));
}

/* Does what rollout_advance() says; REPORT_GOES_ON, or how it ended. */
static enum report_end obey(const struct arguments *arguments, enum rollout_action action,
			    char error[CLIENT_ERROR_BYTES])
{
	int code = EXIT_OK;
	enum report_end end = REPORT_GOES_ON;

	switch (action) {
	case ROLLOUT_SET:
		code = set_step(arguments, error);
		break;
	case ROLLOUT_WAIT:
		break;
	case ROLLOUT_BACK:
		code = roll_back(arguments, error);
		end = REPORT_ROLLED_BACK;
		break;
	case ROLLOUT_STOP:
		if (arguments->back_on_patience)
			code = roll_back(arguments, error);
		end = REPORT_HELD;
		break;
	case ROLLOUT_DONE:
		end = REPORT_PROMOTED;
		break;
	}
	if (code == EXIT_OK)
		return end;
	return code == EXIT_REFUSED ? REPORT_REFUSED : REPORT_LOST;
}

static enum report_end interrupt(const struct arguments *arguments, char error[CLIENT_ERROR_BYTES])
{
	if (!arguments->leave_on_interrupt && roll_back(arguments, error) != EXIT_OK)
		return REPORT_LOST;
	return REPORT_INTERRUPTED;
}

/* One look, and what follows from it. */
static enum report_end look(const struct arguments *arguments, char error[CLIENT_ERROR_BYTES])
{
	struct rollout_evidence evidence = { .canary = NULL };
	struct rollout_verdict verdict;

	if (!client_attended(&client))
		return REPORT_ENDED;
	int code = ask(PAGE_COMPARE, arguments->classes, error);
	if (code == EXIT_REFUSED)
		return REPORT_REFUSED;
	if (code == EXIT_OK && rollout.begun && !has_plan_now(plan_now))
		return REPORT_OVERRULED;
	if (code == EXIT_OK)
		fill_evidence(&evidence);
	unsigned step = rollout.step;
	enum rollout_action action = rollout_advance(&rollout, now_ns(), &evidence, &verdict);
	if (code != EXIT_OK)
		verdict.why = "the process does not answer";
	if (action != ROLLOUT_SET || step != rollout.step)
		report_look(&report, &verdict, now_ns(), !arguments->quiet);
	return obey(arguments, action, error);
}

static enum report_end walk(const struct arguments *arguments, char error[CLIENT_ERROR_BYTES])
{
	enum report_end end;

	do {
		if (interrupted)
			return interrupt(arguments, error);
		end = look(arguments, error);
		if (end == REPORT_GOES_ON)
			wait_for(arguments->interval_s);
		/* It may have ended in the middle of a question. */
		if (end == REPORT_LOST && !client_attended(&client))
			end = REPORT_ENDED;
	} while (end == REPORT_GOES_ON);
	return end;
}

/* --- options -------------------------------------------------------------------------------------- */

/* "30s", "500ms", "5m", "2h"; without a unit seconds. Negative if it is none. */
static double read_seconds(const char *text)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "m", 60 }, { "h", 3600 } };
	char *end;
	double value = strtod(text, &end);

	for (size_t i = 0; end != text && i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].name) == 0 && value >= 0 &&
		    value * units[i].seconds <= LONGEST_HOLD_S)
			return value * units[i].seconds;
	return -1;
}

static double time_argument(const char *text, struct argp_state *state)
{
	double seconds = read_seconds(text);
	if (seconds < 0)
		argp_error(state, "no time: %s (as in 30s, 500ms, 5m, 2h)", text);
	return seconds;
}

/* Between `least` and `most`, both included. */
static double number_argument(const char *text, double least, double most, const char *of,
			      struct argp_state *state)
{
	char *end;
	double value = strtod(text, &end);
	if (*end || end == text || !(value >= least) || !(value <= most))
		argp_error(state, "%s is %g to %g, not %s", of, least, most, text);
	return value;
}

/* True for the first word, false for the second. */
static bool one_of(const char *text, const char *first, const char *second,
		   struct argp_state *state)
{
	if (strcmp(text, first) != 0 && strcmp(text, second) != 0)
		argp_error(state, "%s or %s, not %s", first, second, text);
	return strcmp(text, first) == 0;
}

static void read_classes(struct arguments *arguments, const char *text, struct argp_state *state)
{
	struct plan_error error;
	char line[PLAN_ERROR_BYTES];

	arguments->classes = text;
	if (plan_parse_classes(arguments->named, text, strlen(text), &error))
		return;
	(void)plan_error_text(&error, line);
	argp_error(state, "--classes: %s", line);
}

static void read_pid(struct arguments *arguments, const char *word, struct argp_state *state)
{
	char *end;
	errno = 0;
	long pid = strtol(word, &end, 10);
	if (arguments->pid)
		argp_error(state, "nothing to do with: %s", word);
	if (errno || *end || end == word || pid <= 0 || pid > INT_MAX)
		argp_error(state, "no process id: %s", word);
	arguments->pid = (pid_t)pid;
}

static error_t parse_limit(int key, const char *value, struct argp_state *state)
{
	struct rollout_limits *limits = &rollout.limits;

	switch (key) {
	case KEY_MAX_LATENCY:
		limits->latency_ratio = number_argument(value, 0, 1e6, "a ratio", state);
		return 0;
	case KEY_QUANTILE:
		limits->quantile = number_argument(value, 0.01, 0.9999, "a quantile", state);
		return 0;
	case KEY_MAX_HELD:
		limits->held_ratio = number_argument(value, 0, 1e6, "a ratio", state);
		return 0;
	case KEY_MIN_SAMPLES:
		limits->min_samples =
			(uint64_t)number_argument(value, 1, 1e12, "a number of samples", state);
		return 0;
	case KEY_MIN_LIVE:
		limits->min_live_bytes =
			(uint64_t)(number_argument(value, 0, 1e9, "a number of MiB", state) * MIB);
		return 0;
	case KEY_ALPHA:
		limits->alpha = number_argument(value, 1e-9, 0.5, "alpha", state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	const char *problem;

	switch (key) {
	case KEY_STEPS:
		problem = rollout_read_steps(&rollout.steps, value);
		if (problem)
			argp_error(state, "--steps: %s", problem);
		return 0;
	case KEY_HOLD:
		arguments->hold_s = time_argument(value, state);
		return 0;
	case KEY_PATIENCE:
		arguments->patience_s = time_argument(value, state);
		return 0;
	case 'i':
		arguments->interval_s = number_argument(value, 0.01, 5, "an interval", state);
		return 0;
	case KEY_CLASSES:
		read_classes(arguments, value, state);
		return 0;
	case KEY_ON_INTERRUPT:
		arguments->leave_on_interrupt = one_of(value, "leave", "rollback", state);
		return 0;
	case KEY_ON_PATIENCE:
		arguments->back_on_patience = one_of(value, "rollback", "leave", state);
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case 'q':
		arguments->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		read_pid(arguments, value, state);
		return 0;
	case ARGP_KEY_END:
		if (!arguments->pid)
			argp_error(state, "which process?");
		if (!arguments->classes)
			argp_error(state, "--classes: which ones?");
		return 0;
	default:
		return parse_limit(key, value, state);
	}
}

static const struct argp_option options[] = {
	{ .name = "classes",
	  .key = KEY_CLASSES,
	  .arg = "CLASSES",
	  .doc = "Which, as in plans: 2k-8k, mid" },
	{ .name = "steps",
	  .key = KEY_STEPS,
	  .arg = "SHARES",
	  .doc = "Shares of the threads, one after the other; default: 1%,5%,25%,100%" },
	{ .name = "hold",
	  .key = KEY_HOLD,
	  .arg = "TIME",
	  .doc = "A step lasts at least so long; default: 30s" },
	{ .name = "patience",
	  .key = KEY_PATIENCE,
	  .arg = "TIME",
	  .doc = "And at most so long without enough to go by; default: ten times --hold, 0: for ever" },
	{ .name = "on-patience",
	  .key = KEY_ON_PATIENCE,
	  .arg = "leave|rollback",
	  .doc = "What then; default: leave" },
	{ .name = "on-interrupt",
	  .key = KEY_ON_INTERRUPT,
	  .arg = "rollback|leave",
	  .doc = "What ^C does; default: rollback" },
	{ .name = "max-latency",
	  .key = KEY_MAX_LATENCY,
	  .arg = "RATIO",
	  .doc = "Of the canary's latency to the old cohort's; default: 1.5, 0: whatever it is" },
	{ .name = "quantile",
	  .key = KEY_QUANTILE,
	  .arg = "P",
	  .doc = "Which latency; default: 0.99" },
	{ .name = "alpha",
	  .key = KEY_ALPHA,
	  .arg = "P",
	  .doc = "How often chance alone may mislead the whole rollout; default: 0.05" },
	{ .name = "min-samples",
	  .key = KEY_MIN_SAMPLES,
	  .arg = "N",
	  .doc = "Of either cohort, before a step is judged; default: 2000" },
	{ .name = "max-held",
	  .key = KEY_MAX_HELD,
	  .arg = "RATIO",
	  .doc = "Of bytes held per live byte, next to the old pool; default: 1.5, 0: whatever it is" },
	{ .name = "min-live",
	  .key = KEY_MIN_LIVE,
	  .arg = "MIB",
	  .doc = "Live in next, before its held bytes are judged; default: 16" },
	{ .name = "interval", .key = 'i', .arg = "SECONDS", .doc = "Between looks; default: 1" },
	{ .name = "json", .key = 'j', .doc = "The report as JSON" },
	{ .name = "quiet", .key = 'q', .doc = "Nothing but the report" },
	{ .name = NULL },
};

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "PID --classes CLASSES",
	.doc = "Move classes of a process to next step by step: first for a small share of its threads, then for "
	       "larger ones. At each step those threads are compared with others that stay old; the step is "
	       "promoted, held, or everything is rolled back and latched."
	       "\vA step that cannot be judged is never promoted. The report comes on standard output at the end, "
	       "what happens meanwhile on standard error. Exit status: 0 promoted to the last step; 10 rolled "
	       "back; 11 held until patience was over, or another plan came; 12 interrupted; 13 the process ended "
	       "meanwhile; 1 if writing fails; 2 for a wrong command line; 3 if there is no such process or it "
	       "has no control page; 4 if it refuses; 5 if it does not answer."
	       "\n\nExample: hakmem rollout 4711 --steps 1%,5%,25%,100% --hold 30s --classes mid",
};

/* --- the command ---------------------------------------------------------------------------------- */

/* The second one ends the command as it ever did. */
static void on_signal(int number)
{
	interrupted = number;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	/* Whoever read the progress has gone: that is no reason to leave a step without a watch. */
	(void)signal(SIGPIPE, SIG_IGN);
}

/* The process, its figures and its plan as they are before anything is done. */
static int begin(const char *name, const struct arguments *arguments)
{
	char error[CLIENT_ERROR_BYTES];

	if (!client_open(&client, arguments->pid, error)) {
		tool_error(name, "%s", error);
		return EXIT_NO_PROCESS;
	}
	int code = ask(PAGE_COMPARE, arguments->classes, error);
	output_make_safe(client.header.program);
	if (code != EXIT_OK) {
		tool_error(name, "%s", error);
		return code;
	}
	client.patience_ms = PATIENCE_MS;
	const char *problem = obstacle(arguments);
	if (problem) {
		tool_error(name, "%s (%d): %s", client.header.program, (int)client.process.pid,
			   problem);
		return EXIT_REFUSED;
	}
	had_plan = status.source[HAKMEM_SOURCE_LIVE].present;
	if (had_plan)
		memcpy(plan_before, status.source[HAKMEM_SOURCE_LIVE].text,
		       status.source[HAKMEM_SOURCE_LIVE].length + 1);
	return EXIT_OK;
}

int tool_rollout(int argc, char **argv)
{
	struct arguments arguments = { .hold_s = 30, .patience_s = -1, .interval_s = 1 };
	char error[CLIENT_ERROR_BYTES] = "";

	rollout.limits = rollout_default_limits;
	(void)!rollout_read_steps(&rollout.steps, "1%,5%,25%,100%");
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (arguments.patience_s < 0)
		arguments.patience_s = PATIENCE_HOLDS * arguments.hold_s;
	if (arguments.patience_s > 0 && arguments.patience_s < arguments.hold_s)
		arguments.patience_s = arguments.hold_s;
	rollout.hold_ns = (uint64_t)(arguments.hold_s * 1e9);
	rollout.patience_ns = (uint64_t)(arguments.patience_s * 1e9);

	int code = begin(argv[0], &arguments);
	if (code != EXIT_OK)
		return code;
	catch_signals();
	report = (struct report){ .client = &client,
				  .classes = arguments.classes,
				  .limits = &rollout.limits,
				  .begun_ns = now_ns() };
	report.end = walk(&arguments, error);
	report.ended_ns = now_ns();
	report.is_old = report.end == REPORT_ROLLED_BACK ||
			(report.end == REPORT_INTERRUPTED && !arguments.leave_on_interrupt) ||
			(report.end == REPORT_HELD && arguments.back_on_patience);
	if (error[0] && (report.end == REPORT_REFUSED || report.end == REPORT_LOST))
		tool_error(argv[0], "%s", error);
	if (arguments.json)
		report_json(&report);
	else
		report_print(&report);
	client_close(&client);
	return report_exit_status(report.end);
}
