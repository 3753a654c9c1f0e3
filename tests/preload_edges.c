/* SPDX-License-Identifier: MIT */
/* tests/preload_edges.c - helper: what programs do at the edges of what a malloc has to bear
 *
 *	preload_edges EDGE [ARGUMENT]
 *
 * Knows nothing of the library: preload it. Every edge allocates before, during and after, checks what it
 * allocated, and prints "ok"; a process that hangs is ended by its alarm. Without an argument the edges are
 * listed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SECONDS 100

extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;
extern char **environ;

static const char *self, *argument;

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "not true: %s\n", what);
	_exit(1);
}
#define REQUIRE(condition) require(condition, #condition)

/* A bit of every size class and path. */
static void churn(unsigned seed)
{
	unsigned char *blocks[24];
	for (unsigned i = 0; i < 24; i++) {
		size_t bytes = ((size_t)1 << ((seed + i) % 20)) + i;
		blocks[i] = i % 3 ? malloc(bytes) : calloc(1, bytes);
		REQUIRE(blocks[i] && (i % 3 || blocks[i][bytes - 1] == 0));
		blocks[i][0] = blocks[i][bytes - 1] = (unsigned char)i;
		blocks[i] = realloc(blocks[i], bytes + 500);
		REQUIRE(blocks[i] && (blocks[i][0] == i || bytes == 1));
	}
	for (unsigned i = 0; i < 24; i++)
		free(blocks[i]);
}

static void *churn_in_thread(void *seed)
{
	churn((unsigned)(size_t)seed);
	return NULL;
}

static int wait_for(pid_t child)
{
	int status = -1;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* --- forks ---------------------------------------------------------------------------------------- */

#define STORM_THREADS 64

static atomic_int forks_failed;

static void *fork_and_churn(void *seed)
{
	unsigned s = (unsigned)(size_t)seed;
	for (unsigned i = 0; i < 4; i++) {
		unsigned char *inherited = malloc(100 + 1000 * i);
		inherited[0] = 42;
		churn(s + i);
		pid_t child = fork();
		if (child == 0) {
			alarm(LIMIT_SECONDS);
			churn(s);
			inherited = realloc(inherited, 50000);
			_exit(inherited[0] != 42);
		}
		if (child < 0 || wait_for(child) != 0)
			atomic_fetch_add(&forks_failed, 1);
		free(inherited);
	}
	return NULL;
}

static void fork_storm(void)
{
	pthread_t threads[STORM_THREADS];
	for (size_t i = 0; i < STORM_THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, fork_and_churn, (void *)i) == 0);
	for (size_t i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	REQUIRE(atomic_load(&forks_failed) == 0);
}

static volatile sig_atomic_t outside, handled;

static void fork_in_handler(int number)
{
	int saved_errno = errno;
	(void)number;
	pid_t child = fork();
	if (child == 0) {
		alarm(LIMIT_SECONDS);
		churn(7);
		_exit(0);
	}
	if (child < 0 || wait_for(child) != 0)
		atomic_fetch_add(&forks_failed, 1);
	handled++;
	errno = saved_errno;
}

static void *raise_and_churn(void *seed)
{
	for (unsigned i = 0; i < 3; i++) {
		churn((unsigned)(size_t)seed + i);
		raise(SIGUSR1);
	}
	return NULL;
}

/* A handler that forks, in 64 threads at once; it never interrupts malloc, which only shim_fork_test may ask
 * for (libc's own malloc would hang). */
static void fork_in_handlers(void)
{
	pthread_t threads[STORM_THREADS];
	signal(SIGUSR1, fork_in_handler);
	for (size_t i = 0; i < STORM_THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, raise_and_churn, (void *)i) == 0);
	for (size_t i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	REQUIRE(atomic_load(&forks_failed) == 0);
}

static atomic_bool busy;

static void *stay_busy(void *seed)
{
	while (atomic_load(&busy))
		churn((unsigned)(size_t)seed);
	return NULL;
}

/* vfork's child shares our memory and may do nothing but exec. */
static void vfork_and_exec(void)
{
	pthread_t threads[4];
	atomic_store(&busy, true);
	for (size_t i = 0; i < 4; i++)
		REQUIRE(pthread_create(&threads[i], NULL, stay_busy, (void *)i) == 0);
	for (int i = 0; i < 30; i++) {
		churn((unsigned)i);
		pid_t child = vfork();
		if (child == 0) {
			execl(self, self, "churn", (char *)NULL);
			_exit(127);
		}
		REQUIRE(child > 0 && wait_for(child) == 0);
		char *const command[] = { (char *)(size_t)self, (char *)(size_t) "churn", NULL };
		REQUIRE(posix_spawn(&child, self, NULL, NULL, command, environ) == 0);
		REQUIRE(wait_for(child) == 0);
	}
	atomic_store(&busy, false);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void *exec_from_thread(void *unused)
{
	churn(3);
	execl(self, self, "churn", "loud", (char *)NULL);
	return unused;
}

/* Out of a thread that is not the first, while others allocate: they are gone at once. */
static void exec_among_threads(void)
{
	pthread_t threads[4];
	atomic_store(&busy, true);
	for (size_t i = 0; i < 3; i++)
		REQUIRE(pthread_create(&threads[i], NULL, stay_busy, (void *)i) == 0);
	REQUIRE(pthread_create(&threads[3], NULL, exec_from_thread, NULL) == 0);
	pthread_join(threads[3], NULL);
	require(false, "execl() came back");
}

static void just_churn(void)
{
	churn(1);
}

/* --- handlers ------------------------------------------------------------------------------------- */

static sigjmp_buf back;
static void *left_by_handler;

static void jump_out(int number)
{
	(void)number;
	if (!outside)
		return;
	handled++;
	left_by_handler = malloc(64 + (size_t)handled * 37 % 40000);
	siglongjmp(back, 1);
}

/* Jumps out of a timer's handler that interrupted a computation, and out of one of a fault. */
static void longjmp_out_of_handlers(void)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } };
	volatile unsigned seed = 0;
	signal(SIGALRM, jump_out);
	setitimer(ITIMER_REAL, &often, NULL);
	while (handled < 200) {
		if (sigsetjmp(back, 1) == 0) {
			outside = 1;
			for (volatile unsigned i = 0; i < 1000000; i++)
				;
		}
		outside = 0;
		free(left_by_handler);
		left_by_handler = NULL;
		churn(seed++);
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL);
	signal(SIGALRM, SIG_DFL);
	signal(SIGSEGV, jump_out);
	for (volatile int i = 0; i < 100; i++) {
		outside = 1;
		if (sigsetjmp(back, 1) == 0)
			*(volatile char *)(size_t)(16 + i) = 1;
		outside = 0;
		free(left_by_handler);
		churn((unsigned)i);
	}
	REQUIRE(handled == 300);
}

/* --- the ends of threads and of the process ------------------------------------------------------- */

#define OBJECTS	 1000
#define HANDLERS 8192
#define KEYS	 600 /* far more than the 32 for which libc has room in a thread */

static atomic_uint destroyed;

static void destroy(void *object)
{
	free(object);
	void *other = calloc(1, 3000);
	REQUIRE(other);
	free(other);
	atomic_fetch_add(&destroyed, 1);
}

/* What C++ makes of a thread_local object with a destructor, a thousand times. */
static void *leave_objects(void *unused)
{
	for (size_t i = 0; i < OBJECTS; i++)
		__cxa_thread_atexit_impl(destroy, malloc(1 + i * 17), &__dso_handle);
	return unused;
}

static void thread_locals(void)
{
	for (unsigned i = 0; i < 20; i++) {
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, leave_objects, NULL) == 0);
		pthread_join(thread, NULL);
	}
	REQUIRE(atomic_load(&destroyed) == 20 * OBJECTS);
}

static pthread_key_t keys[KEYS];

static void *leave_values(void *unused)
{
	for (size_t i = 0; i < KEYS; i++)
		pthread_setspecific(keys[i], malloc(1 + i * 50));
	return unused;
}

static void many_keys(void)
{
	for (size_t i = 0; i < KEYS; i++)
		REQUIRE(pthread_key_create(&keys[i], destroy) == 0);
	for (unsigned i = 0; i < 20; i++) {
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, leave_values, NULL) == 0);
		pthread_join(thread, NULL);
	}
	REQUIRE(atomic_load(&destroyed) == 20 * KEYS);
}

static pthread_key_t late_key;

/* A destructor that starts a thread, waits for it, ends the rest of its own thread and comes back next round. */
static void end_in_destructor(void *value)
{
	pthread_t thread;
	if (atomic_fetch_add(&destroyed, 1) % 3 < 2)
		pthread_setspecific(late_key, malloc(5000));
	REQUIRE(pthread_create(&thread, NULL, churn_in_thread, (void *)5) == 0);
	pthread_join(thread, NULL);
	free(value);
	churn(9);
}

static void *leave_one(void *unused)
{
	pthread_setspecific(late_key, malloc(100));
	churn(2);
	pthread_exit(unused);
}

static void threads_in_destructors(void)
{
	REQUIRE(pthread_key_create(&late_key, end_in_destructor) == 0);
	for (unsigned i = 0; i < 50; i++) {
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, leave_one, NULL) == 0);
		pthread_join(thread, NULL);
	}
	REQUIRE(atomic_load(&destroyed) == 150);
}

static unsigned handlers_run;

static void at_exit(void)
{
	churn(handlers_run);
	if (++handlers_run == HANDLERS && write(STDOUT_FILENO, "ok\n", 3) != 3)
		abort();
}

/* Says "ok" in the last of them. */
static void many_handlers(void)
{
	for (unsigned i = 0; i < HANDLERS; i++)
		REQUIRE(atexit(at_exit) == 0);
}

/* exit() while others are in the middle of everything. */
static void exit_among_threads(void)
{
	atomic_store(&busy, true);
	for (size_t i = 0; i < 8; i++) {
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, stay_busy, (void *)i) == 0);
	}
	churn(4);
}

static void *cancelled(void *unused)
{
	for (unsigned i = 0;; i++) {
		churn(i);
		pthread_testcancel();
	}
	return unused;
}

static void cancel(void)
{
	for (int i = 0; i < 200; i++) {
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, cancelled, NULL) == 0);
		churn((unsigned)i);
		REQUIRE(pthread_cancel(thread) == 0);
		pthread_join(thread, NULL);
	}
}

/* --- libraries that come and go ------------------------------------------------------------------- */

/* ARGUMENT: a library whose constructor takes memory and whose destructor frees it, and whose plugin_take()
 * leaves its caller a block. */
static void open_and_close(void)
{
	void *kept[100];
	for (int i = 0; i < 100; i++) {
		void *library = dlopen(argument, RTLD_NOW | RTLD_LOCAL);
		REQUIRE(library != NULL);
		void *(*take)(size_t) = (void *(*)(size_t))dlsym(library, "plugin_take");
		REQUIRE(take != NULL);
		kept[i] = take((size_t)1 << i % 20);
		REQUIRE(kept[i] != NULL);
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, churn_in_thread, (void *)(size_t)i) == 0);
		REQUIRE(dlclose(library) == 0);
		pthread_join(thread, NULL);
	}
	for (int i = 0; i < 100; i++)
		free(kept[i]);
}

/* --- huge pages ----------------------------------------------------------------------------------- */

/* "never" for this process alone; "always" and "madvise" are the machine's. */
static void no_huge_pages(void)
{
	REQUIRE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	for (unsigned i = 0; i < 50; i++)
		churn(i);
	char *block = calloc(1, 40 << 20);
	REQUIRE(block);
	for (size_t i = 0; i < 40 << 20; i += 4096)
		REQUIRE(block[i] == 0);
	free(block);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool says_itself; /* when all is well */
} edges[] = {
	{ "fork-storm", fork_storm, false },
	{ "fork-in-handlers", fork_in_handlers, false },
	{ "vfork-and-spawn", vfork_and_exec, false },
	{ "exec-among-threads", exec_among_threads, true },
	{ "longjmp-out-of-handlers", longjmp_out_of_handlers, false },
	{ "thousand-thread-locals", thread_locals, false },
	{ "many-keys", many_keys, false },
	{ "threads-in-destructors", threads_in_destructors, false },
	{ "many-exit-handlers", many_handlers, true },
	{ "exit-among-threads", exit_among_threads, false },
	{ "cancel", cancel, false },
	{ "no-huge-pages", no_huge_pages, false },
	/* not listed: part of the others, or with an argument of their own */
	{ "churn", just_churn, true },
	{ "open-and-close", open_and_close, false },
};
#define EDGES  (sizeof(edges) / sizeof(edges[0]))
#define LISTED (EDGES - 2)

int main(int argc, char **argv)
{
	self = argv[0];
	argument = argc > 2 ? argv[2] : NULL;
	for (size_t i = 0; argc == 1 && i < LISTED; i++)
		puts(edges[i].name);
	for (size_t i = 0; argc > 1 && i < EDGES; i++) {
		if (strcmp(argv[1], edges[i].name) != 0)
			continue;
		if (strcmp(argv[1], "longjmp-out-of-handlers") != 0)
			alarm(LIMIT_SECONDS);
		edges[i].run();
		if (!edges[i].says_itself || argument)
			puts("ok");
		return 0;
	}
	return argc == 1 ? 0 : 2;
}
