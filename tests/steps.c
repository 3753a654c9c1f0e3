/* SPDX-License-Identifier: MIT */
/* tests/steps.c - instructions of the calls that bench/pairs makes, for libraries that callgrind cannot run
 *
 *	steps MALLOC FREE PAIRS PROGRAM [ARGUMENT]...
 *
 * MALLOC and FREE are where the program's two calling functions lie in its file (nm), PAIRS how many pairs each of its
 * cases makes to warm up, and again to be counted. Whatever a counted call executes outside of the program itself is
 * stepped through, an instruction at a time. At the end a line for each case: "steps CASE-NUMBER MALLOC-SUM FREE-SUM".
 * Ends with 0, 1 if something goes wrong, 77 where it cannot be done.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
int main(void)
{
	return 77; /* registers and breakpoints are the processor's own */
}
#else

#define CASES_MAX  64
#define BREAKPOINT 0xcc

enum kind { MALLOC, FREE };

static pid_t program;
static uintptr_t begin, end; /* of the program's own code */
static struct {
	uintptr_t address;
	long word;
	uint64_t calls;
} wrappers[2];
static uint64_t pairs, sums[CASES_MAX][2];

static long trace(int request, pid_t thread, uintptr_t address, uintptr_t data)
{
	errno = 0;
	long result = ptrace((enum __ptrace_request)request, thread, (void *)address, (void *)data);
	if (errno) {
		fprintf(stderr, "steps: ptrace %d: %s\n", request, strerror(errno));
		exit(1);
	}
	return result;
}

/* By way of a thread that is stopped: memory is all threads'. */
static void set_breakpoint(pid_t thread, enum kind kind, bool set)
{
	long word = wrappers[kind].word;
	trace(PTRACE_POKETEXT, thread, wrappers[kind].address,
	      set ? (uintptr_t)((word & ~0xffL) | BREAKPOINT) : (uintptr_t)word);
}

static void find_program(const char *path)
{
	char name[32], line[4352], real[4096];
	snprintf(name, sizeof(name), "/proc/%d/maps", (int)program);
	FILE *maps = fopen(name, "r");
	if (!maps || !realpath(path, real))
		exit(1);
	uintptr_t first, last, base = 0;
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, real) || sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &first, &last) != 2)
			continue;
		base = base ? base : first;
		end = last;
	}
	fclose(maps);
	begin = base;
	for (int kind = MALLOC; kind <= FREE; kind++) {
		wrappers[kind].address += base;
		wrappers[kind].word = trace(PTRACE_PEEKTEXT, program, wrappers[kind].address, 0);
		set_breakpoint(program, (enum kind)kind, true);
	}
}

/* One instruction of the thread, and what its registers are then. False if it is no more. */
static bool step(pid_t thread, struct user_regs_struct *registers)
{
	int status;
	trace(PTRACE_SINGLESTEP, thread, 0, 0);
	if (waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status))
		return false;
	trace(PTRACE_GETREGS, thread, 0, (uintptr_t)registers);
	return true;
}

/* The thread stands at the first instruction of the wrapper. */
static void count_call(pid_t thread, enum kind kind, struct user_regs_struct *registers)
{
	uint64_t number = wrappers[kind].calls++, steps = 0;
	uintptr_t stack = registers->rsp;
	bool counted = number / pairs % 2 == 1, first = true;
	registers->rip--;
	trace(PTRACE_SETREGS, thread, 0, (uintptr_t)registers);
	set_breakpoint(thread, kind, false);
	do {
		steps += registers->rip < begin || registers->rip >= end;
		if (!step(thread, registers))
			exit(1);
		if (first)
			set_breakpoint(thread, kind, true);
		first = false;
	} while (counted && registers->rsp <= stack);
	if (counted && number / pairs / 2 < CASES_MAX)
		sums[number / pairs / 2][kind] += steps;
}

static void go_on(pid_t thread, int status)
{
	struct user_regs_struct registers;
	int signal = WSTOPSIG(status);
	if (signal == SIGTRAP && status >> 16 == 0) {
		trace(PTRACE_GETREGS, thread, 0, (uintptr_t)&registers);
		for (int kind = MALLOC; kind <= FREE; kind++)
			if (registers.rip == wrappers[kind].address + 1)
				count_call(thread, (enum kind)kind, &registers);
	}
	/* A new thread begins with a SIGSTOP that is the tracer's own. */
	bool ours = signal == SIGTRAP || signal == SIGSTOP;
	trace(PTRACE_CONT, thread, 0, ours ? 0 : (uintptr_t)signal);
}

int main(int argc, char **argv)
{
	int status;
	if (argc < 5) {
		fprintf(stderr, "usage: steps MALLOC FREE PAIRS PROGRAM [ARGUMENT]...\n");
		return 1;
	}
	wrappers[MALLOC].address = strtoul(argv[1], NULL, 16);
	wrappers[FREE].address = strtoul(argv[2], NULL, 16);
	pairs = strtoull(argv[3], NULL, 10);
	/* What the library is to be preloaded to is the program alone. */
	const char *preload = getenv("STEPS_PRELOAD");
	program = fork();
	if (program == 0) {
		if (preload)
			setenv("LD_PRELOAD", preload, 1);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(77);
		execv(argv[4], argv + 4);
		_exit(127);
	}
	if (pairs == 0 || waitpid(program, &status, 0) != program)
		return 1;
	if (!WIFSTOPPED(status))
		return WEXITSTATUS(status);
	trace(PTRACE_SETOPTIONS, program, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	find_program(argv[4]);
	trace(PTRACE_CONT, program, 0, 0);
	for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
		if (WIFSTOPPED(status))
			go_on(thread, status);
		else if (thread == program)
			break;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "steps: the program ended with status %#x\n", (unsigned)status);
		return 1;
	}
	for (uint64_t i = 0; i < CASES_MAX && i < wrappers[MALLOC].calls / pairs / 2; i++)
		printf("steps %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", i, sums[i][MALLOC], sums[i][FREE]);
	return 0;
}
#endif
