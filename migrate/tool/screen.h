/* SPDX-License-Identifier: MIT */
/* migrate/tool/screen.h - what `hakmem top` shows: the picture of one moment, drawn anew each time */
#ifndef TOOL_SCREEN_H
#define TOOL_SCREEN_H

#include "migrate/tool/client.h"
#include "migrate/tool/table.h"

#define SCREEN_HISTORY 256 /* looks */

/* How a rate went; the newest last. Negative: not known. */
struct screen_history {
	double next[SCREEN_HISTORY], old[SCREEN_HISTORY];
	unsigned count;
};

struct screen {
	const struct client *client;
	const struct client_usage *usage;
	const struct page_status *now, *before; /* before: NULL at first */
	const struct screen_history *history;
	const struct table_row *rows;
	unsigned row_count, selected;
	unsigned first_row; /* the first one shown; screen_draw() moves it so that the selected one is seen */
	enum table_kind kind;
	bool help, confirms; /* confirms: `message` is a question */
	bool trouble;	     /* `message` is about something that went wrong */
	const char *message;
};

/* Draws it all; what does not fit is left out. Gives how many rows of classes there is room for. */
unsigned screen_draw(struct screen *screen);

#endif
