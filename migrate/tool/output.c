/* SPDX-License-Identifier: MIT */
/* migrate/tool/output.c - how the commands show things; see output.h */
#include "migrate/tool/output.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void output_make_safe(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

const char *output_path(const char *path)
{
	static char safe[PATH_MAX];
	(void)snprintf(safe, sizeof(safe), "%s", path);
	output_make_safe(safe);
	return safe;
}

const char *output_bytes(uint64_t bytes, char out[OUTPUT_BYTES])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 10 * KIB) {
		(void)snprintf(out, OUTPUT_BYTES, "%llu B", (unsigned long long)bytes);
		return out;
	}
	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	(void)snprintf(out, OUTPUT_BYTES, "%.1f %s", value, units[unit]);
	return out;
}

const char *output_count(double count, char out[OUTPUT_BYTES])
{
	static const char units[] = "kMGTPE";
	size_t unit = 0;

	if (count < 99999.5) {
		(void)snprintf(out, OUTPUT_BYTES,
			       count < 9.5 && count != (double)(int)count ? "%.1f" : "%.0f", count);
		return out;
	}
	for (count /= 1000; count >= 999.5 && unit + 2 < sizeof(units); unit++)
		count /= 1000;
	(void)snprintf(out, OUTPUT_BYTES, "%.*f %c",
		       count < 9.995   ? 2
		       : count < 99.95 ? 1
				       : 0,
		       count, units[unit]);
	return out;
}

const char *output_time(uint64_t seconds, char out[OUTPUT_BYTES])
{
	unsigned long long minutes = seconds / 60, hours = minutes / 60;

	if (minutes == 0)
		(void)snprintf(out, OUTPUT_BYTES, "%llu s", (unsigned long long)seconds);
	else if (hours == 0)
		(void)snprintf(out, OUTPUT_BYTES, "%llu min", minutes);
	else if (hours < 24)
		(void)snprintf(out, OUTPUT_BYTES, "%u h %u min", (unsigned)hours,
			       (unsigned)(minutes % 60));
	else
		(void)snprintf(out, OUTPUT_BYTES, "%llu d %u h", hours / 24,
			       (unsigned)(hours % 24));
	return out;
}

const char *output_size(uint64_t bytes, char out[OUTPUT_BYTES])
{
	bool mega = bytes >= MIB && bytes % MIB == 0, kilo = bytes >= KIB && bytes % KIB == 0;
	(void)snprintf(out, OUTPUT_BYTES, "%llu%s",
		       (unsigned long long)(mega   ? bytes / MIB
					    : kilo ? bytes / KIB
						   : bytes),
		       mega   ? "m"
		       : kilo ? "k"
			      : "");
	return out;
}

unsigned output_width(void)
{
	struct winsize size;
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

bool output_wants_colour(void)
{
	const char *refused = getenv("NO_COLOR");
	return !(refused && *refused);
}

const char *output_colour(enum output_colour colour)
{
	static const char *const sequences[] = {
		[OUTPUT_PLAIN] = "\033[0m",   [OUTPUT_GREEN] = "\033[32m",
		[OUTPUT_YELLOW] = "\033[33m", [OUTPUT_RED] = "\033[31m",
		[OUTPUT_BOLD] = "\033[1m",    [OUTPUT_DIM] = "\033[2m",
	};
	return isatty(STDOUT_FILENO) && output_wants_colour() ? sequences[colour] : "";
}

void output_json(struct json_object *object, bool in_one_line)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
		    (in_one_line ? JSON_C_TO_STRING_PLAIN
				 : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
	puts(json_object_to_json_string_ext(object, flags));
	json_object_put(object);
}
