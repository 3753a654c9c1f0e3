/* SPDX-License-Identifier: MIT */
/* tests/support.c - what several tests need; see support.h */
#include "tests/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

size_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		abort();
	fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

size_t refused_bytes(void)
{
	int policy = 0;
	FILE *f = fopen("/proc/sys/vm/overcommit_memory", "r");
	if (f) {
		if (fscanf(f, "%d", &policy) != 1)
			policy = 0;
		fclose(f);
	}
	return (size_t)1 << (policy == 1 ? 47 : 46);
}

static bool has_all(const char *text, const char *words)
{
	char copy[256];
	snprintf(copy, sizeof(copy), "%s", words);
	char *rest = copy;
	for (char *word; (word = strsep(&rest, "|")) != NULL;)
		if (!strstr(text, word))
			return false;
	return true;
}

bool dies_with(void (*act)(void *argument), void *argument, const char *words)
{
	int fds[2];
	char text[4096];
	size_t used = 0;
	fflush(NULL);
	if (pipe(fds))
		abort();
	pid_t child = fork();
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL); /* cmocka catches it */
		signal(SIGSEGV, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		act(argument);
		_exit(0);
	}
	close(fds[1]);
	for (ssize_t n; used < sizeof(text) - 1 &&
			(n = read(fds[0], text + used, sizeof(text) - 1 - used)) > 0;)
		used += (size_t)n;
	text[used] = '\0';
	close(fds[0]);
	int status = 0;
	waitpid(child, &status, 0);
	bool ok = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
		  strncmp(text, "hakmem: ", 8) == 0 && has_all(text, words);
	if (!ok)
		print_error("wanted a death with \"%s\", got status %#x and: %s\n", words,
			    (unsigned)status, text);
	return ok;
}
