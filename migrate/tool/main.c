/* SPDX-License-Identifier: MIT */
/* migrate/tool/main.c - the hakmem command: its own options, and the table of subcommands */
#include "migrate/tool/tool.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* migrate/record.c looks for it: this command is recorded by nobody's environment, not even where the library is preloaded
 * into it. */
extern const char hakmem_command;
const char hakmem_command = 1;

static const struct tool_command commands[] = {
	{ .name = "run", .summary = "start a program on the library", .main = tool_run },
	{ .name = "classes",
	  .summary = "show the size classes and what a plan makes of them",
	  .main = tool_classes },
	{ .name = "ps", .summary = "list the processes that run on the library", .main = tool_ps },
	{ .name = "status", .summary = "show what is in force in a process", .main = tool_status },
	{ .name = "route", .summary = "give a process a live plan", .main = tool_route },
	{ .name = "rollback",
	  .summary = "send classes to their old side and latch them there",
	  .main = tool_rollback },
	{ .name = "unlatch", .summary = "undo that", .main = tool_unlatch },
	{ .name = "kill-switch", .summary = "everything old at once", .main = tool_kill_switch },
	{ .name = "guard",
	  .summary = "let a process roll back by itself",
	  .main = tool_guard },
	{ .name = "top", .summary = "watch and steer a process on a terminal", .main = tool_top },
	{ .name = "rollout",
	  .summary = "move classes step by step, as long as they do well",
	  .main = tool_rollout },
	{ .name = "watch",
	  .summary = "print a process's status again and again",
	  .main = tool_watch },
	{ .name = "record",
	  .summary = "record what a process allocates, as a trace",
	  .main = tool_record },
	{ .name = "trace", .summary = "import, inspect and export traces", .main = tool_trace },
	{ .name = "replay",
	  .summary = "replay a trace on a plan or another library",
	  .main = tool_replay },
	{ .name = "compare",
	  .summary = "replay traces on an old plan and a new one, and judge",
	  .main = tool_compare },
	{ .name = "advise",
	  .summary = "turn a comparison into a plan and an order of rollout",
	  .main = tool_advise },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "hakmem %s\n", PACKAGE_VERSION);
}

static const struct tool_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* argp shows what follows a vertical tab in the description behind the options. */
static char *help_filter(int key, const char *text, void *input)
{
	(void)input;
	if (key != ARGP_KEY_HELP_EXTRA)
		return (char *)text;

	char *list = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&list, &length);
	if (!stream)
		return NULL;
	fputs("Commands:\n", stream);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stream, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`hakmem COMMAND --help' tells more. hakmem(1) has it all.", stream);
	fclose(stream);
	return list; /* argp frees it */
}

/* What comes before the subcommand; where that stands in argv. */
struct arguments {
	int command_at;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!find_command(argument))
			argp_error(state, "no such command: %s", argument);
		arguments->command_at = state->next - 1;
		state->next = state->argc; /* the rest is the subcommand's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Whoever exits, argp after --help too: output that did not arrive is a failure. */
static void check_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	tool_error("hakmem", "cannot write the output");
	_exit(EXIT_FAILED);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_option,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = "Move a program's memory from its old allocator to a new one, one size "
		       "class at a time.",
		.help_filter = help_filter,
	};
	static char name[64];
	static char program[] = "hakmem";
	struct arguments arguments = { .command_at = 0 };

	argp_err_exit_status = EXIT_USAGE;
	argp_program_version_hook = print_version;
	if (atexit(check_output) != 0)
		return EXIT_FAILED;
	if (argc > 0)
		argv[0] = program;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);

	const struct tool_command *command = find_command(argv[arguments.command_at]);
	if (!command)
		return EXIT_USAGE;
	argc -= arguments.command_at;
	argv += arguments.command_at;
	snprintf(name, sizeof(name), "%s %s", program, command->name);
	argv[0] = name;
	return command->main(argc, argv);
}
