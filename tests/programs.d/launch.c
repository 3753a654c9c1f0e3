// SPDX-License-Identifier: MIT
/* tests/programs.d/launch.c - runs one command and reports its pid, exit, peak RSS and CPU time
 *
 * Why not from Python: a process that is forked or spawned by Python and then execs keeps Python's
 * resident size as its own ru_maxrss, which hides every program smaller than the interpreter. This
 * one is about 1 MB, so that is the floor of the measurement.
 *
 *   launch FD COMMAND ARGS...
 *
 * writes to FD "pid\n" once the command is started and "status maxrss_kib user_us sys_us\n" when it
 * has ended; the figures include every descendant that was waited for, maxrss is that of the largest.
 * LAUNCH_PRELOAD becomes LD_PRELOAD of the command alone: the launcher runs without it. LAUNCH_CORE is
 * the one processor to run on.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long long microseconds(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int report = atoi(argv[1]);
	fcntl(report, F_SETFD, FD_CLOEXEC);
	const char *core = getenv("LAUNCH_CORE");
	if (core) {
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET((size_t)atoi(core), &one);
		if (sched_setaffinity(0, sizeof(one), &one)) {
			perror("launch: LAUNCH_CORE");
			return 2;
		}
		unsetenv("LAUNCH_CORE");
	}
	/* Nothing outlives the harness, even one that was killed with -9. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);

	pid_t pid = fork();
	if (pid < 0)
		return 2;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		const char *preload = getenv("LAUNCH_PRELOAD");
		if (preload && *preload)
			setenv("LD_PRELOAD", preload, 1);
		unsetenv("LAUNCH_PRELOAD");
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	dprintf(report, "%d\n", pid);

	int status;
	struct rusage used;
	if (wait4(pid, &status, 0, &used) != pid)
		return 2;
	dprintf(report, "%d %ld %lld %lld\n", status, used.ru_maxrss, microseconds(used.ru_utime),
		microseconds(used.ru_stime));
	return 0;
}
