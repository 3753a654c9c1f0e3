/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/plot.h - pictures, as SVG, drawn by gnuplot
 *
 * bench/judge/plots.py draws those of the benchmarks; these look alike.
 */
#ifndef TRACE_PLOT_H
#define TRACE_PLOT_H

#include "shim/base/compiler.h"

#include <stdio.h>

/* Okabe and Ito's colours, told apart by every kind of sight; ours are blue. */
#define PLOT_NEW  "#0072b2"
#define PLOT_OLD  "#e69f00"
#define PLOT_GREY "#777777"
#define PLOT_LINE "#9aa1ab"
extern const char *const plot_peers[4];

/* A script in the making. NULL without memory. */
struct plot {
	FILE *script;
	char *text;
	size_t length;
};

/* Begins a script with the look of all pictures. False without memory. */
MUST_USE bool plot_begin(struct plot *plot, unsigned width, unsigned height);

/* A string for gnuplot, in single quotes. */
void plot_quote(struct plot *plot, const char *text);

/* Draws it to the file and frees the script. False, and *why is a static text or gnuplot's own words in `words`. */
MUST_USE bool plot_draw(struct plot *plot, const char *path, char words[256]);

/* The same into a string that the caller frees. NULL and words. */
MUST_USE char *plot_draw_text(struct plot *plot, char words[256]);

#endif
