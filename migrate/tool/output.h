/* SPDX-License-Identifier: MIT */
/* migrate/tool/output.h - how the commands show things: safe text, sizes, colours, JSON */
#ifndef TOOL_OUTPUT_H
#define TOOL_OUTPUT_H

#include "shim/base/compiler.h"

struct json_object;

/* Whatever a page or /proc said, as a terminal may take it: other bytes than printable ASCII become '?'. */
void output_make_safe(char *text);

/* A path so, in memory that the next call uses again: what lies in somebody else's folder may have any name. One thread. */
const char *output_path(const char *path);

/* "1.5 MiB"; of a number of bytes below 10 KiB all digits. */
#define OUTPUT_BYTES 24
const char *output_bytes(uint64_t bytes, char out[OUTPUT_BYTES]);

/* "99999", "1.23 M": a number of things, in at most seven characters. */
const char *output_count(double count, char out[OUTPUT_BYTES]);

/* A time: "12 s", "3 min", "2 h 13 min", "5 d 3 h". */
const char *output_time(uint64_t seconds, char out[OUTPUT_BYTES]);

/* A size as plans name it: "4k", "1m", "48". */
const char *output_size(uint64_t bytes, char out[OUTPUT_BYTES]);

/* How wide standard output is, in characters; 0: it is no terminal, or does not tell. */
unsigned output_width(void);

/* False if the environment asks for no colour: NO_COLOR is set and not empty. */
bool output_wants_colour(void);

/* The escape sequence on a terminal that wants colours (NO_COLOR is empty), else "". */
enum output_colour {
	OUTPUT_PLAIN,
	OUTPUT_GREEN,
	OUTPUT_YELLOW,
	OUTPUT_RED,
	OUTPUT_BOLD,
	OUTPUT_DIM
};
const char *output_colour(enum output_colour colour);

/* Prints the object and a newline, over many lines or in one, and gives it back. */
void output_json(struct json_object *object, bool in_one_line);

#endif
