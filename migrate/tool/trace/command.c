/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/command.c - hakmem trace: import, info and export */
#include "migrate/tool/trace/command.h"

#include "migrate/tool/tool.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tool_command commands[] = {
	{ .name = "import",
	  .summary = "convert a trace of another tool into our format",
	  .main = trace_import },
	{ .name = "info", .summary = "show what is in a trace", .main = trace_info },
	{ .name = "export", .summary = "write a trace as text for other tools", .main = trace_export },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

int tool_trace(int argc, char **argv)
{
	static char name[64];

	if (argc >= 2) {
		for (size_t i = 0; i < COMMANDS; i++) {
			if (strcmp(argv[1], commands[i].name) != 0)
				continue;
			(void)snprintf(name, sizeof(name), "%s %s", argv[0], commands[i].name);
			argv[1] = name;
			return commands[i].main(argc - 1, argv + 1);
		}
	}
	bool asked = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 ||
				   strcmp(argv[1], "--usage") == 0);
	FILE *out = asked ? stdout : stderr;
	if (!asked && argc >= 2)
		tool_error(argv[0], "no such command: %s", argv[1]);
	fprintf(out, "Usage: %s COMMAND [ARGUMENT...]\n\nCommands:\n", argv[0]);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`%s COMMAND --help' tells more.\n", argv[0]);
	return asked ? EXIT_OK : EXIT_USAGE;
}
