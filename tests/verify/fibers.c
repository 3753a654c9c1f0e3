/* SPDX-License-Identifier: MIT */
/* tests/verify/fibers.c - the threads of a scenario, of which one runs at a time
 *
 * Each has a stack of its own, made once. A jump to `beginning` starts it again, a jump to `stopped` goes
 * on where it stopped; what is left on the stack of a thread that is not run to its end is forgotten. The
 * one thread that the system knows has one set of thread-local variables: those that the scenario named
 * are exchanged at every jump.
 */
#undef _FORTIFY_SOURCE /* its longjmp() refuses to leave a stack for another */
#include "tests/verify/fibers.h"

#include "tests/verify/memory.h"
#include "tests/verify/search.h"

#include <setjmp.h>
#include <string.h>
#include <ucontext.h>

#define STACK_BYTES (256 * 1024)
#define LOCALS_MAX  8
#define STEPS_MAX   10000000

struct fiber {
	jmp_buf beginning, stopped;
	void (*body)(void);
	bool started, done;
	bool was_chosen;	 /* to make its next access, so there is no choice before it */
	bool sees_newest;	 /* and that access sees the newest value */
	const uint64_t *waits_for; /* to be 0 */
	uint8_t locals[64], locals_at_start[64];
};

static char stacks[THREADS_MAX][STACK_BYTES] __attribute__((aligned(64)));
static struct fiber fibers[THREADS_MAX];
static unsigned count, running; /* running: from 1; 0 is the explorer itself */
static struct {
	void *variable;
	size_t bytes;
} locals[LOCALS_MAX];
static size_t local_count;

static jmp_buf explorer;
static struct bounds bounds;
static unsigned preemptions, stale, steps;

/* --- stacks and thread-local variables --------------------------------------------------------- */

static void save_locals(uint8_t *to)
{
	for (size_t i = 0; i < local_count; to += locals[i++].bytes)
		memcpy(to, locals[i].variable, locals[i].bytes);
}

static void load_locals(const uint8_t *from)
{
	for (size_t i = 0; i < local_count; from += locals[i++].bytes)
		memcpy(locals[i].variable, from, locals[i].bytes);
}

bool fibers_own(const void *address)
{
	const char *p = address;
	if (p >= stacks[0] && p < stacks[0] + sizeof(stacks))
		return true;
	for (size_t i = 0; i < local_count; i++)
		if (p >= (char *)locals[i].variable &&
		    p < (char *)locals[i].variable + locals[i].bytes)
			return true;
	return false;
}

void explore_local(void *variable, size_t bytes)
{
	size_t used = bytes;
	for (size_t i = 0; i < local_count; i++)
		used += locals[i].bytes;
	if (local_count == LOCALS_MAX || used > sizeof(fibers[0].locals))
		explore_fail("too many thread-local variables");
	locals[local_count].variable = variable;
	locals[local_count++].bytes = bytes;
}

unsigned explore_self(void)
{
	return running;
}

__attribute__((noreturn)) static void end_of_thread(void);

/* Runs once for each stack, and again from `beginning` in each execution. */
static void on_stack(void)
{
	if (_setjmp(fibers[count].beginning) == 0)
		_longjmp(explorer, 1);
	fibers[running - 1].body();
	end_of_thread();
}

void explore_thread(void (*body)(void))
{
	static ucontext_t context;
	if (count == THREADS_MAX)
		explore_fail("too many threads");
	struct fiber *fiber = &fibers[count];
	fiber->body = body;
	save_locals(fiber->locals_at_start);
	getcontext(&context);
	context.uc_stack.ss_sp = stacks[count];
	context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&context, on_stack, 0);
	if (_setjmp(explorer) == 0)
		setcontext(&context);
	count++;
}

/* --- who runs ---------------------------------------------------------------------------------- */

static bool can_run(const struct fiber *fiber)
{
	return !fiber->done &&
	       (!fiber->waits_for || memory_newest(fiber->waits_for, sizeof(uint64_t)) == 0);
}

__attribute__((noreturn)) static void go_on(unsigned thread)
{
	struct fiber *fiber = &fibers[thread];
	running = thread + 1;
	load_locals(fiber->locals);
	fiber->waits_for = NULL;
	if (fiber->started)
		_longjmp(fiber->stopped, 1);
	fiber->started = fiber->was_chosen = true;
	_longjmp(fiber->beginning, 1);
}

void fibers_leave(enum execution_end end)
{
	running = 0;
	_longjmp(explorer, (int)end + 1);
}

/* What decides how the execution can go on, apart from the number of preemptions left. Who runs matters
 * only where these are counted: it may go on for nothing. */
static uint64_t state(unsigned self, bool self_can)
{
	uint64_t rest = stale;
	if (bounds.preemptions != UNBOUNDED && self_can)
		rest |= (uint64_t)(self + 1) << 8;
	for (unsigned t = 0; t < count; t++)
		rest |= (uint64_t)fibers[t].done << (16 + t);
	return memory_state() ^ mix(rest);
}

/* The next thread; the running one, if it can go on, comes first and costs nothing. */
static unsigned choose_thread(void)
{
	unsigned options[THREADS_MAX], option_count = 0, self = running - 1;
	bool self_can = running && can_run(&fibers[self]);
	if (self_can)
		options[option_count++] = self;
	bool may_preempt = bounds.preemptions == UNBOUNDED || preemptions < bounds.preemptions;
	for (unsigned t = 0; t < count; t++)
		if (!(running && t == self) && can_run(&fibers[t]) && (!self_can || may_preempt))
			options[option_count++] = t;
	if (option_count == 0)
		explore_fail("every thread waits for another");
	if (running && search_is_new() &&
	    search_seen(state(self, self_can), (uint8_t)(bounds.preemptions - preemptions)))
		fibers_leave(EXECUTION_SEEN);
	unsigned taken = search_choose(option_count);
	if (self_can && taken != 0 && bounds.preemptions != UNBOUNDED)
		preemptions++;
	return options[taken];
}

static void stop_here(unsigned next)
{
	struct fiber *self = &fibers[running - 1];
	if (next == running - 1)
		return;
	save_locals(self->locals);
	if (_setjmp(self->stopped) == 0)
		go_on(next);
}

static bool all_done(void)
{
	for (unsigned t = 0; t < count; t++)
		if (!fibers[t].done)
			return false;
	return true;
}

static void end_of_thread(void)
{
	fibers[running - 1].done = true;
	if (all_done())
		fibers_leave(EXECUTION_COMPLETE);
	go_on(choose_thread());
}

void fibers_point(void)
{
	struct fiber *self = &fibers[running - 1];
	if (!self->was_chosen)
		stop_here(choose_thread());
	self->was_chosen = false;
}

void explore_wait_zero(const void *word)
{
	struct fiber *self = &fibers[running - 1];
	self->waits_for = word;
	if (can_run(self))
		self->waits_for = NULL;
	else
		stop_here(choose_thread());
	self->was_chosen = self->sees_newest = true;
}

bool fibers_must_see_newest(void)
{
	bool answer = fibers[running - 1].sees_newest;
	fibers[running - 1].sees_newest = false;
	return answer;
}

unsigned fibers_choose_stale(unsigned options)
{
	if (bounds.stale != UNBOUNDED && stale == bounds.stale)
		return 0;
	unsigned taken = search_choose(options);
	if (taken != 0 && bounds.stale != UNBOUNDED)
		stale++;
	return taken;
}

void fibers_step(void)
{
	if (running && ++steps == STEPS_MAX)
		explore_fail("an execution that does not end");
}

enum execution_end fibers_run(struct bounds wanted)
{
	bounds = wanted;
	preemptions = stale = steps = 0;
	for (unsigned t = 0; t < count; t++) {
		struct fiber *fiber = &fibers[t];
		fiber->started = fiber->done = fiber->was_chosen = fiber->sees_newest = false;
		fiber->waits_for = NULL;
		memcpy(fiber->locals, fiber->locals_at_start, sizeof(fiber->locals));
	}
	int left = _setjmp(explorer);
	if (left == 0)
		go_on(choose_thread());
	return (enum execution_end)(left - 1);
}
