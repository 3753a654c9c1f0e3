/* SPDX-License-Identifier: MIT */
/* migrate/tool/common.c - messages, and plans from the command line */
#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void message(const char *name, const char *kind,
							  const char *format, va_list arguments)
{
	char line[PATH_MAX + 512];
	(void)vsnprintf(line, sizeof(line), format, arguments);
	output_make_safe(line); /* it may name what lies in somebody else's folder */
	fprintf(stderr, "%s: %s%s\n", name, kind, line);
}

void tool_error(const char *name, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	message(name, "", format, arguments);
	va_end(arguments);
}

void tool_warning(const char *name, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	message(name, "warning: ", format, arguments);
	va_end(arguments);
}

bool tool_read_plan(const char *name, const char *option, struct plan *plan, const char **text)
{
	struct plan_error error;
	char line[PLAN_ERROR_BYTES];
	const char *environment = getenv("HAKMEM_PLAN");

	*text = option ? option : environment ? environment : "";
	/* A program that can be preloaded is dynamic, so there is a system allocator. */
	if (plan_parse(plan, *text, strlen(*text), true, &error))
		return true;
	(void)plan_error_text(&error, line);
	tool_error(name, "%s: %s", option ? "--plan" : "HAKMEM_PLAN", line);
	return false;
}
