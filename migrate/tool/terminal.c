/* SPDX-License-Identifier: MIT */
/* migrate/tool/terminal.c - the terminal of `hakmem top`; see terminal.h */
#include "migrate/tool/terminal.h"

#include "migrate/tool/output.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define LONGEST_MS 250

static SCREEN *screen;
static volatile sig_atomic_t over; /* set by a signal */

/* What restores it, ready for a signal's handler. */
static struct termios found;
static bool has_found;
static char goodbye[256];
static size_t goodbye_bytes;

static int add_byte(int byte)
{
	if (goodbye_bytes < sizeof(goodbye))
		goodbye[goodbye_bytes++] = (char)byte;
	return byte;
}

/* The capability as it is written, without the pauses. */
static void add_capability(const char *text)
{
	if (text && text != (char *)-1)
		(void)tputs(text, 1, add_byte);
}

/* Of async-signal-safe calls only. */
static void restore(void)
{
	(void)!write(STDOUT_FILENO, goodbye, goodbye_bytes);
	if (has_found)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &found);
}

/* A second one is for a program that hangs, most likely on a terminal that was stopped by ^S. */
static void on_end(int number)
{
	if (over) {
		(void)tcflow(STDOUT_FILENO, TCOON);
		restore();
		_exit(128 + number);
	}
	over = 1;
}

/* A mistake of our own: the handler is off by then, so this ends the program as it would have. */
static void on_mistake(int number)
{
	restore();
	(void)raise(number);
}

static void catch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	static const int mistakes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	struct sigaction end = { .sa_handler = on_end };
	struct sigaction mistake = { .sa_handler = on_mistake, .sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)sigaction(ends[i], &end, NULL);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		(void)sigaction(mistakes[i], &mistake, NULL);
}

const char *terminal_start(void)
{
	const char *type = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return "it needs a terminal for its input and output; `hakmem status' does not";
	if (!type || !*type)
		return "TERM is not set: what terminal is this?";
	(void)setlocale(LC_CTYPE, "");
	has_found = tcgetattr(STDIN_FILENO, &found) == 0;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return "nothing is known about this kind of terminal: is TERM right?";
	if (!cursor_address || !clear_screen) {
		terminal_end();
		return "this kind of terminal cannot place its cursor";
	}
	add_capability(exit_attribute_mode);
	add_capability(cursor_normal);
	add_capability(exit_ca_mode);
	add_capability(keypad_local);
	catch_signals();
	if (atexit(terminal_end) != 0) {
		terminal_end();
		return "no memory";
	}
	(void)cbreak();
	(void)noecho();
	(void)nonl();
	(void)intrflush(stdscr, FALSE);
	(void)keypad(stdscr, TRUE);
	(void)curs_set(0);
	if (output_wants_colour() && has_colors()) {
		(void)start_color();
		(void)use_default_colors();
		(void)init_pair(OUTPUT_GREEN, COLOR_GREEN, -1);
		(void)init_pair(OUTPUT_YELLOW, COLOR_YELLOW, -1);
		(void)init_pair(OUTPUT_RED, COLOR_RED, -1);
	}
	return NULL;
}

void terminal_end(void)
{
	if (!screen)
		return;
	(void)curs_set(1);
	(void)endwin();
	delscreen(screen);
	screen = NULL;
}

bool terminal_is_over(void)
{
	return over;
}

int terminal_key(int timeout_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	/* A change of size comes as a key, without input. */
	timeout(0);
	int key = over ? ERR : getch();
	if (key != ERR || over)
		return key;
	/* A signal that comes just before the poll is seen a little later. */
	if (poll(&input, 1, timeout_ms < LONGEST_MS ? timeout_ms : LONGEST_MS) < 0 &&
	    errno != EINTR)
		over = 1;
	if (over)
		return ERR;
	key = getch();
	/* Ready, and nothing to be read: it has been hung up. */
	if (key == ERR && (input.revents & (POLLHUP | POLLERR | POLLNVAL)))
		over = 1;
	return key;
}
