/* SPDX-License-Identifier: MIT */
/* migrate/tool/terminal.h - the terminal of `hakmem top`: taken, asked for keys, and given back whatever happens
 *
 * It is given back by terminal_end(), at any exit(), and by the signals that end a program, those of its own mistakes
 * (SIGSEGV) included: for these the bytes that restore the screen are made ready beforehand. ^Z gives it back too, and
 * takes it again when the program goes on. Only kill -9 leaves it as it is; `reset' helps then.
 */
#ifndef TOOL_TERMINAL_H
#define TOOL_TERMINAL_H

#include "shim/base/compiler.h"

/* Takes the terminal. NULL, or what is wrong: there is none, or nothing is known about it. */
MUST_USE const char *terminal_start(void);
void terminal_end(void);

/* A signal asked for the end, or the terminal has gone. */
MUST_USE bool terminal_is_over(void);

/* The next key, or -1 after so many milliseconds or earlier, and at once when it is over. */
MUST_USE int terminal_key(int timeout_ms);

#endif
