/* SPDX-License-Identifier: MIT */
/* tests/configurations.c - the four configurations in which everything holds; see configurations.h */
#include "tests/configurations.h"

#include "tests/workload.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct configuration configurations[] = {
	{ "all-old", "all=old", false, false },
	{ "all-next", "all=next", false, false },
	{ "flips", "mid=next@30%:thread", true, false },
	{ "flips-recorded", "mid=next@30%:thread", true, true },
};
#define CONFIGURATIONS (sizeof(configurations) / sizeof(configurations[0]))

const struct configuration *configuration;

static char folder[] = "/tmp/hakmem-test-XXXXXX", program[PATH_MAX];

void configuration_enter(void)
{
	setenv("HAKMEM_PLAN", configuration->plan, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	if (configuration->recorded)
		setenv("HAKMEM_RECORD", folder, 1);
}

void configuration_become(const char *name)
{
	for (size_t i = 0; i < CONFIGURATIONS; i++)
		if (strcmp(configurations[i].name, name) == 0)
			configuration = &configurations[i];
	WORKLOAD_REQUIRE(configuration);
	workload_flips = configuration->flips;
}

const char *configuration_program(void)
{
	return program;
}

static int remove_folder(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int run_group_in_configurations(const struct CMUnitTest *tests, size_t count, const char *name)
{
	int failures = 0;
	bool known = false;
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (length < 0 || !mkdtemp(folder)) {
		print_error("no folder or no program to run: %s\n", strerror(errno));
		return -1;
	}
	for (size_t i = 0; i < CONFIGURATIONS; i++) {
		configuration = &configurations[i];
		if (name && strcmp(name, configuration->name) != 0)
			continue;
		known = true;
		failures += _cmocka_run_group_tests(configuration->name, tests, count, NULL, NULL);
	}
	if (!known)
		print_error("%s: no such configuration\n", name);
	return remove_folder() == 0 && known ? failures : -1;
}
