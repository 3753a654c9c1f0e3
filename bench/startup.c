/* SPDX-License-Identifier: MIT */
/* bench/startup.c - from the start of a process to its end
 *
 * Starts itself --count times, one after the other, and waits for each; the preload is inherited.
 * A child allocates a few blocks of every kind and exits. One operation is one process. Memory is
 * that of a child: child_rss_bytes when it has done nothing but start, child_peak_rss_bytes after
 * its few blocks.
 */
#include "bench/common.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t count = 300;
static bool child;
static bool report;

static const struct bench_option options[] = {
	{ "count", 'n', BENCH_COUNT, &count, NULL, "processes" },
	{ "child", 0, BENCH_FLAG, &child, NULL, "be one of them" },
	{ "report", 0, BENCH_FLAG, &report, NULL, "be one that says how much memory it had" },
	{ .name = NULL },
};

struct child_memory {
	size_t started, peak;
};

static int be_child(void)
{
	static const size_t sizes[] = { 16, 64, 100, 500, 1024, 4096, 10000, 40000 };
	struct child_memory memory = { .started = report ? bench_rss_bytes() : 0 };
	void *blocks[10][sizeof(sizes) / sizeof(sizes[0])];

	for (unsigned i = 0; i < 10; i++) {
		for (unsigned j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			blocks[i][j] = bench_malloc(sizes[j]);
			bench_touch(blocks[i][j], sizes[j], 1);
		}
	}
	for (unsigned i = 0; i < 10; i++)
		for (unsigned j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
			free(blocks[i][j]);
	if (report) {
		memory.peak = bench_peak_rss_bytes();
		if (write(STDOUT_FILENO, &memory, sizeof(memory)) != sizeof(memory))
			return 1;
	}
	return 0;
}

static void run_child(const char *flag, posix_spawn_file_actions_t *actions)
{
	char program[] = "/proc/self/exe";
	char *arguments[] = { program, (char *)(uintptr_t)flag, NULL };
	pid_t pid;
	int status;

	if (posix_spawn(&pid, program, actions, NULL, arguments, environ) != 0)
		bench_die("posix_spawn failed");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			bench_die("waitpid failed");
	if (status)
		bench_die("a child failed");
}

static struct child_memory ask_child(void)
{
	struct child_memory memory;
	posix_spawn_file_actions_t actions;
	int ends[2];

	if (pipe(ends) != 0)
		bench_die("pipe failed");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	run_child("--report", &actions);
	posix_spawn_file_actions_destroy(&actions);
	if (read(ends[0], &memory, sizeof(memory)) != sizeof(memory))
		bench_die("a child said nothing");
	close(ends[0]);
	close(ends[1]);
	return memory;
}

int main(int argc, char **argv)
{
	struct bench_score score = { 0 };
	struct child_memory memory;
	struct bench_plant plant;
	uint64_t begin;

	bench_options(argc, argv, "From the start of a process to its end.", options, NULL);
	if (child || report)
		return be_child();
	for (uint64_t i = 0; i < count / 10 + 1; i++)
		run_child("--child", NULL);
	begin = bench_now_ns();
	bench_plant_begin(&plant);
	for (uint64_t i = 0; i < count; i++) {
		run_child("--child", NULL);
		bench_plant_tick(&plant);
	}
	score.ops = count;
	score.seconds = bench_seconds(bench_now_ns() - begin);
	memory = ask_child();

	bench_result_open("startup");
	bench_result_score(score);
	bench_result_count("child_rss_bytes", memory.started);
	bench_result_count("child_peak_rss_bytes", memory.peak);
	bench_result_close();
	return 0;
}
