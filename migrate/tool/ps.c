/* SPDX-License-Identifier: MIT */
/* migrate/tool/ps.c - hakmem ps: the processes that run on the library, and what dead ones left behind
 *
 * A process counts if it has the library mapped or a control page that it attends to (a static program maps nothing by
 * that name). Only those that the caller may look into are seen: their own user's, and everybody's for root.
 */
#include "migrate/tool/client.h"
#include "migrate/tool/output.h"
#include "migrate/tool/show.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <dirent.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 500 /* with each process: there may be many, and some stopped */

struct arguments {
	bool json;
};

/* What there is to say of a process. */
struct row {
	struct client_process process;
	char program[16];
	bool controlled; /* it has a page */
	bool answers;	 /* what follows is known */
	bool kill_switch;
	unsigned next, canary, old, latched; /* classes */
	uint64_t next_live_bytes, legacy_live_bytes;
};

static bool has_library(pid_t pid)
{
	char path[40], *line = NULL;
	size_t room = 0;
	bool found = false;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "re");
	while (maps && !found && getline(&line, &room, maps) > 0)
		found = strstr(line, "/libhakmem.so") != NULL;
	free(line);
	if (maps)
		fclose(maps);
	return found;
}

static void count_classes(struct row *row, const struct page_status *status)
{
	row->answers = true;
	row->kill_switch = status->kill_switch;
	row->next_live_bytes = status->next_live_bytes;
	row->legacy_live_bytes = status->legacy_live_bytes;
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		row->next += status->class[i].state == HAKMEM_STATE_NEXT;
		row->canary += status->class[i].state == HAKMEM_STATE_CANARY;
		row->old += status->class[i].state == HAKMEM_STATE_OLD;
		row->latched += status->class[i].latched;
	}
}

/* False if the process has nothing to do with the library, or is none any more. */
static bool look_at(pid_t pid, struct row *row)
{
	static struct page_status status;
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;
	struct client client;

	*row = (struct row){ .controlled = false };
	if (!client_look_up(pid, &row->process))
		return false;
	memcpy(row->program, row->process.name, sizeof(row->program));
	output_make_safe(row->program);
	if (!client_open(&client, pid, error))
		return has_library(pid);
	row->controlled = true;
	client.patience_ms = PATIENCE_MS;
	if (client_ask(&client, PAGE_STATUS, NULL, &answer, &status, error) &&
	    answer.result == PAGE_APPLIED)
		count_classes(row, &status);
	client_close(&client);
	return true;
}

static const char *user_name(uid_t uid, char out[32])
{
	const struct passwd *user = getpwuid(uid);
	if (user)
		return user->pw_name;
	(void)snprintf(out, 32, "%u", (unsigned)uid);
	return out;
}

static void print_row(const struct row *row)
{
	char user[32], next[OUTPUT_BYTES], legacy[OUTPUT_BYTES];

	printf("%7d  %-10.10s  %-15s  ", (int)row->process.pid, user_name(row->process.uid, user),
	       row->program);
	if (!row->answers) {
		printf("%s\n", row->controlled ? "no answer: is it stopped?" : "no control page");
		return;
	}
	printf("%4u  %6u  %4u  %7u  %10s  %10s%s%s%s\n", row->next, row->canary, row->old,
	       row->latched, output_bytes(row->next_live_bytes, next),
	       output_bytes(row->legacy_live_bytes, legacy),
	       row->kill_switch ? output_colour(OUTPUT_RED) : "",
	       row->kill_switch ? "  kill switch" : "",
	       row->kill_switch ? output_colour(OUTPUT_PLAIN) : "");
}

static struct json_object *json_of(const struct row *row)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "pid", json_object_new_int(row->process.pid));
	json_object_object_add(object, "uid", json_object_new_uint64(row->process.uid));
	json_object_object_add(object, "program", json_object_new_string(row->program));
	json_object_object_add(object, "controlled", json_object_new_boolean(row->controlled));
	json_object_object_add(object, "answers", json_object_new_boolean(row->answers));
	if (!row->answers)
		return object;
	json_object_object_add(object, "kill_switch", json_object_new_boolean(row->kill_switch));
	json_object_object_add(object, "next", json_object_new_uint64(row->next));
	json_object_object_add(object, "canary", json_object_new_uint64(row->canary));
	json_object_object_add(object, "old", json_object_new_uint64(row->old));
	json_object_object_add(object, "latched", json_object_new_uint64(row->latched));
	json_object_object_add(object, "next_live_bytes",
			       json_object_new_uint64(row->next_live_bytes));
	json_object_object_add(object, "legacy_live_bytes",
			       json_object_new_uint64(row->legacy_live_bytes));
	return object;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "nothing to do with: %s", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool list(bool json, const char *name)
{
	DIR *processes = opendir("/proc");
	struct json_object *array = json ? json_object_new_array() : NULL;

	if (!processes) {
		tool_error(name, "/proc cannot be read");
		return false;
	}
	if (!json)
		printf("%s%7s  %-10s  %-15s  %4s  %6s  %4s  %7s  %10s  %10s%s\n",
		       output_colour(OUTPUT_BOLD), "pid", "user", "program", "next", "canary",
		       "old", "latched", "in next", "in legacy", output_colour(OUTPUT_PLAIN));
	for (struct dirent *entry; (entry = readdir(processes));) {
		struct row row;
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid <= 0 || !look_at(pid, &row))
			continue;
		if (json)
			json_object_array_add(array, json_of(&row));
		else
			print_row(&row);
	}
	closedir(processes);
	if (json)
		output_json(array, false);
	return true;
}

int tool_ps(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "json", .key = 'j', .doc = "Print JSON" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "List the processes that run on the library: how many classes are on next, on a "
		       "canary's way there, old and latched, and what lives in either pool."
		       "\vOnly your own processes are seen; root sees all. Control pages that dead "
		       "processes left behind are removed. Exit status: 0; 1 if writing fails; 2 for a "
		       "wrong command line.",
	};
	struct arguments arguments = { .json = false };

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	(void)client_clean_up();
	return list(arguments.json, argv[0]) ? EXIT_OK : EXIT_FAILED;
}
