/* SPDX-License-Identifier: MIT */
/* migrate/tool/top.c - hakmem top: a process on a terminal, live, with keys to roll back
 *
 * One loop: a key, or the time for another look; then the picture is drawn anew, and ncurses sends what differs. A look
 * is due a whole interval after the picture was sent, so a terminal that takes long gets fewer pictures, not a backlog.
 * A process that does not answer is waited for a fraction of a second only, so that keys go on working.
 */
#include "migrate/tool/client.h"
#include "migrate/tool/output.h"
#include "migrate/tool/screen.h"
#include "migrate/tool/show.h"
#include "migrate/tool/terminal.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <curses.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 500
#define FASTEST_S   0.1
#define SLOWEST_S   60

struct arguments {
	pid_t pid; /* 0: not given */
	double interval_s;
};

static struct client client;
static struct page_status looks[2], fresh;
static struct screen_history history;
static struct table_row rows[NEXT_CLASSES];
static struct client_usage usage;
static char message[PAGE_ANSWER_TEXT];

static struct screen screen = {
	.client = &client,
	.usage = &usage,
	.history = &history,
	.rows = rows,
	.kind = TABLE_LIVE,
	.message = message,
};

/* What is done when the question is answered with y. */
static struct {
	enum page_operation operation; /* 0: no question */
	char text[TABLE_NAMES_BYTES];
	char done[64];
} question;

/* --- looking -------------------------------------------------------------------------------------- */

static double sum_of_rates(bool next)
{
	double sum = 0;
	bool known = false;

	for (unsigned i = 0; i < NEXT_CLASSES && screen.before; i++) {
		const struct hakmem_class *now = &screen.now->class[i];
		const struct hakmem_class *before = &screen.before->class[i];
		/* legacy's class is that of several: it counts with the last. */
		if (!next && i + 1 < NEXT_CLASSES &&
		    now->old_class_bytes == screen.now->class[i + 1].old_class_bytes)
			continue;
		double rate = next ? table_rate(screen.now, screen.before, now->next_mallocs,
						before->next_mallocs)
				   : table_rate(screen.now, screen.before, now->old_mallocs,
						before->old_mallocs);
		known |= rate >= 0;
		sum += rate >= 0 ? rate : 0;
	}
	return known ? sum : -1;
}

static void add_to_history(void)
{
	if (history.count == SCREEN_HISTORY) {
		memmove(history.next, history.next + 1, sizeof(history.next) - sizeof(double));
		memmove(history.old, history.old + 1, sizeof(history.old) - sizeof(double));
		history.count--;
	}
	history.next[history.count] = sum_of_rates(true);
	history.old[history.count] = sum_of_rates(false);
	history.count++;
}

/* The rows anew; the choice stays with its sizes. */
static void make_rows(void)
{
	unsigned chosen = screen.selected < screen.row_count ? rows[screen.selected].first : 0;

	screen.row_count = table_rows(screen.now, screen.before, screen.kind, rows);
	for (unsigned i = 0; i < screen.row_count; i++)
		if (rows[i].first <= chosen)
			screen.selected = i;
	if (screen.selected >= screen.row_count)
		screen.selected = 0;
}

static void complain(const char *text)
{
	(void)snprintf(message, sizeof(message), "%s", text);
	screen.trouble = true;
}

/* False if there is no new look; what there was stays on the screen, and says so. */
static bool look(void)
{
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;

	if (!client_ask(&client, PAGE_STATUS, NULL, &answer, &fresh, error)) {
		complain(error);
		return false;
	}
	if (answer.result != PAGE_APPLIED) {
		output_make_safe(answer.text);
		complain(answer.text);
		return false;
	}
	if (screen.trouble && question.operation == 0)
		message[0] = '\0';
	screen.trouble = false;
	show_make_safe(&client, &fresh);
	struct page_status *slot = screen.now == &looks[0] ? &looks[1] : &looks[0];
	*slot = fresh;
	screen.before = screen.now;
	screen.now = slot;
	client_read_usage(&client.process, &usage);
	if (screen.before)
		add_to_history();
	make_rows();
	return true;
}

/* --- steering ------------------------------------------------------------------------------------- */

static void act(void)
{
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;

	if (!client_ask(&client, question.operation, question.text, &answer, NULL, error)) {
		complain(error);
		return;
	}
	output_make_safe(answer.text);
	if (answer.result != PAGE_APPLIED)
		complain(answer.text);
	else
		(void)snprintf(message, sizeof(message), "%s; %u class%s flipped in %.1f us",
			       question.done, answer.flipped, answer.flipped == 1 ? "" : "es",
			       (double)answer.flip_ns / 1e3);
}

static void ask_about(enum page_operation operation, const char *text, const char *what,
		      const char *done)
{
	question.operation = operation;
	(void)snprintf(question.text, sizeof(question.text), "%s", text);
	(void)snprintf(question.done, sizeof(question.done), "%s", done);
	(void)snprintf(message, sizeof(message), "%s? y/n", what);
	screen.confirms = true;
}

static void ask_about_chosen(enum page_operation operation, const char *verb, const char *done)
{
	char what[96], sizes[2 * OUTPUT_BYTES], names[TABLE_NAMES_BYTES];

	if (screen.selected >= screen.row_count)
		return;
	const struct table_row *row = &rows[screen.selected];
	(void)snprintf(what, sizeof(what), "%s %s", verb,
		       table_sizes(screen.now, row->first, row->last, sizes));
	ask_about(operation, table_names(screen.now, row->first, row->last, names), what, done);
}

/* True if the key was the answer to a question. */
static bool answer_question(int key)
{
	if (question.operation == 0)
		return false;
	message[0] = '\0';
	screen.confirms = false;
	if (key == 'y' || key == 'Y')
		act();
	question.operation = 0;
	return true;
}

/* --- keys ----------------------------------------------------------------------------------------- */

static void choose(long move)
{
	long last = (long)screen.row_count - 1, to = (long)screen.selected + move;
	screen.selected = last < 0 || to < 0 ? 0 : (unsigned)(to > last ? last : to);
}

static void change_rows(enum table_kind kind)
{
	screen.kind = kind;
	make_rows();
}

/* False: the end. */
static bool obey(int key, double *interval_s, unsigned room)
{
	message[0] = '\0';
	screen.trouble = false;
	switch (key) {
	case 'q':
		return false;
	case KEY_UP:
	case 'k':
		choose(-1);
		break;
	case KEY_DOWN:
	case 'j':
		choose(1);
		break;
	case KEY_PPAGE:
		choose(-(long)room);
		break;
	case KEY_NPAGE:
		choose((long)room);
		break;
	case KEY_HOME:
		choose(LONG_MIN / 2);
		break;
	case KEY_END:
		choose(LONG_MAX / 2);
		break;
	case 'a':
		change_rows(screen.kind == TABLE_ALL ? TABLE_LIVE : TABLE_ALL);
		break;
	case 'g':
		change_rows(screen.kind == TABLE_ALIKE ? TABLE_LIVE : TABLE_ALIKE);
		break;
	case 'r':
		ask_about_chosen(PAGE_ROLLBACK, "roll back", "rolled back and latched");
		break;
	case 'R':
		ask_about(PAGE_ROLLBACK, "", "roll back everything", "rolled back and latched");
		break;
	case 'u':
		ask_about_chosen(PAGE_UNLATCH, "unlatch", "unlatched");
		break;
	case 'K':
		if (screen.now->kill_switch)
			ask_about(PAGE_KILL_SWITCH, "off", "switch the kill switch off",
				  "the kill switch is off");
		else
			ask_about(PAGE_KILL_SWITCH, "on", "everything old by the kill switch",
				  "everything is old");
		break;
	case '+':
		*interval_s = *interval_s / 2 < FASTEST_S ? FASTEST_S : *interval_s / 2;
		break;
	case '-':
		*interval_s = *interval_s * 2 > SLOWEST_S ? SLOWEST_S : *interval_s * 2;
		break;
	case '?':
	case 'h':
		screen.help = !screen.help;
		break;
	default:
		break;
	}
	return true;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Until q, a signal, or the end of the process (true). */
static bool run(double interval_s)
{
	unsigned room = screen_draw(&screen);
	double due = seconds() + interval_s;

	for (;;) {
		double left_s = due - seconds();
		int key = terminal_key(left_s > 0 ? (int)(left_s * 1e3) + 1 : 0);
		bool look_now = seconds() >= due || key == ' ';
		if (terminal_is_over())
			return false;
		if (key == ERR && !look_now)
			continue;
		if (key != ERR && key != KEY_RESIZE) {
			if (answer_question(key))
				look_now = true;
			else if (!obey(key, &interval_s, room))
				return false;
		}
		if (look_now && !client_attended(&client))
			return true;
		if (look_now)
			(void)look();
		room = screen_draw(&screen);
		if (look_now)
			due = seconds() + interval_s;
	}
}

/* --- the command ---------------------------------------------------------------------------------- */

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	char *end;
	long pid;

	switch (key) {
	case 'i':
		arguments->interval_s = strtod(value, &end);
		if (*end || end == value || !(arguments->interval_s >= FASTEST_S) ||
		    !(arguments->interval_s <= SLOWEST_S))
			argp_error(state, "an interval is 0.1 to 60 seconds, not %s", value);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->pid)
			argp_error(state, "nothing to do with: %s", value);
		errno = 0;
		pid = strtol(value, &end, 10);
		if (errno || *end || end == value || pid <= 0 || pid > INT_MAX)
			argp_error(state, "no process id: %s", value);
		arguments->pid = (pid_t)pid;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which process?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int tool_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "interval",
		  .key = 'i',
		  .arg = "SECONDS",
		  .doc = "Between looks; default: 1" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "PID",
		.doc = "Watch a process on a terminal: what lives in next and on the old side, how often "
		       "either is asked, and keys to roll classes back."
		       "\v`?' shows the keys. Exit status: 0 for q and when the process ends; 1 without a "
		       "terminal; 2 for a wrong command line; 3 if there is no such process or it has no "
		       "control page; 4 if it refuses; 5 if it does not answer at the start.",
	};
	struct arguments arguments = { .interval_s = 1 };
	char error[CLIENT_ERROR_BYTES];

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!client_open(&client, arguments.pid, error)) {
		tool_error(argv[0], "%s", error);
		return EXIT_NO_PROCESS;
	}
	if (!look()) {
		tool_error(argv[0], "%s", message);
		return EXIT_NO_ANSWER;
	}
	client.patience_ms = PATIENCE_MS;
	const char *problem = terminal_start();
	if (problem) {
		tool_error(argv[0], "%s", problem);
		return EXIT_FAILED;
	}
	bool ended = run(arguments.interval_s);
	terminal_end();
	if (ended)
		printf("%s (%d) has ended\n", client.header.program, (int)client.process.pid);
	client_close(&client);
	return EXIT_OK;
}
