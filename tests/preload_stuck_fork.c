/* SPDX-License-Identifier: MIT */
/* tests/preload_stuck_fork.c - helper: a fork that hangs in libc can be ended by a signal
 *
 * A handler interrupts libc's malloc while that holds its lock, and forks: libc's fork waits for the same
 * lock, for ever. That is libc's to mend, but SIGTERM has to end it, with the library preloaded as without.
 * Prints "ok" if it does, "no hang" where libc's fork comes back. Preload it with a plan that leaves malloc
 * to the system.
 */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE ((uintptr_t)4096)

static int is_in_handler;

static void fork_in_malloc(int number)
{
	(void)number;
	__atomic_store_n(&is_in_handler, 1, __ATOMIC_RELEASE);
	fork();
	_exit(3); /* on either side: it came back */
}

/* The state letter behind the name of the main thread, whose number is the process's. */
static char state_of_main(void)
{
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
	int fd = open(path, O_RDONLY);
	ssize_t count = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[count > 0 ? count : 0] = '\0';
	const char *end = strrchr(line, ')');
	return end ? end[2] : '?';
}

static void *terminate_sleeper(void *unused)
{
	while (!__atomic_load_n(&is_in_handler, __ATOMIC_ACQUIRE) || state_of_main() != 'S')
		sched_yield();
	kill(getpid(), SIGTERM);
	nanosleep(&(struct timespec){ .tv_sec = 20 }, NULL);
	kill(getpid(), SIGKILL);
	return unused;
}

/* Lets libc's malloc write to memory that it may only read: the rest of its heap, of which it cuts the next
 * block. */
static void fault_in_malloc(void)
{
	sigset_t terminate;
	pthread_t thread;

	mallopt(M_TOP_PAD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
	char *last = malloc(120000);
	uintptr_t rest = ((uintptr_t)last + 120000 + PAGE) & ~(PAGE - 1), end = (uintptr_t)sbrk(0);
	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &terminate, NULL);
	if (pthread_create(&thread, NULL, terminate_sleeper, NULL))
		_exit(4);
	pthread_sigmask(SIG_UNBLOCK, &terminate, NULL);
	signal(SIGSEGV, fork_in_malloc);
	if (rest >= end || mprotect((void *)rest, end - rest, PROT_READ))
		_exit(5);
	_exit(malloc(100000) ? 6 : 7);
}

int main(void)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0)
		fault_in_malloc();
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
		puts("ok");
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		puts("no hang");
	else
		printf("status %#x\n", (unsigned)status);
	return 0;
}
