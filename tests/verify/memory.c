/* SPDX-License-Identifier: MIT */
/* tests/verify/memory.c - atomic accesses as C11 allows them, and what every thread knows
 *
 * The model is RC11 (Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing sequential consistency in C/C++11,
 * 2017; what C++20 took over) without fences, which the library has none of. As in RC11 nothing is read
 * before it is written in program order, so load buffering is not shown. litmus.c checks the model.
 *
 * A place keeps all that was written to it in this execution, in modification order:
 *
 *      oldest                                                newest
 *     [initial] ---- [T1] ---- [T2, read-modify-write of T1's] ---- [T1]
 *          \__ passed over by a thread that knows of a later one
 *
 *   known       A thread knows of a message that it wrote or read, or that happened before: its writing,
 *               or a reading of it, by an event that the thread knows of. What it knows of other threads
 *               is a number of events for each; an acquire that reads from a release takes over what the
 *               writer knew (and through any chain of read-modify-writes: the release sequence).
 *   a load      may see the newest known message and all newer ones.
 *   a store     may go behind any of those, only not between a message and the read-modify-write of it.
 *   read-modify-write   sees one that none follows so, and goes directly behind it.
 *   seq_cst     Events are seq_cst in the order in which they are executed. A load or store passes over no
 *               seq_cst store of its place that was executed before.
 *
 * Stores that go before others are what a store buffer does, and loads that see old values what a cache
 * does that hears late.
 *
 * Only places that one thread writes and another one uses are kept so. Which they are is learned: each
 * place is taken for private until an execution proves it wrong, and then the search starts anew. Between
 * two accesses to shared places it makes no difference when a thread is stopped.
 *
 * STATE. What a thread does next is decided by the messages it read so far; what it may read, by the
 * order of the messages at each place, the writer and number of each, and the last seq_cst one. Two
 * executions that agree in these go on alike, so the hash of these is the state.
 */
#include "tests/verify/memory.h"

#include "tests/verify/fibers.h"
#include "tests/verify/search.h"
#include "tests/verify/shadow.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLACES	     (1 << 16)
#define HISTORY_MAX  64
#define MESSAGES_MAX 8192
#define EVENTS_MAX   4096
#define NOBODY	     THREADS_MAX /* wrote it before the threads began */

struct message {
	uint64_t value, id;
	struct knowledge gives;	    /* what an acquire learns from it */
	uint16_t seen[THREADS_MAX]; /* the number of the event by which a thread first read it, or 0 */
	uint16_t number;	    /* of the event that wrote it */
	uint8_t writer;
	bool followed; /* by the read-modify-write that read it */
};

struct place {
	uintptr_t address; /* 0: an empty entry of the table */
	bool shared;
	/* since the start of `execution` */
	uint32_t execution;
	uint8_t writers, users; /* threads, as bits */
	uint8_t count, oldest_seq_cst; /* ranks: no seq_cst access sees one below */
	uint16_t order[HISTORY_MAX];   /* messages by rank */
	uint64_t hash;
};

static struct place places[PLACES];
static size_t shared_count;
static struct message messages[MESSAGES_MAX];
static size_t message_count;
static uint32_t execution;
static struct knowledge knowledge[THREADS_MAX];
static uint64_t chain[THREADS_MAX], places_hash;

/* What happened, for the report. */
static struct event {
	struct access access;
	uint64_t before, after;
	uint8_t thread, passed_over;
} events[EVENTS_MAX];
static size_t event_count;

/* --- places ------------------------------------------------------------------------------------ */

static uint64_t peek(const void *address, unsigned bytes)
{
	uint64_t value = 0;
	memcpy(&value, address, bytes);
	return value;
}

static void poke(void *address, unsigned bytes, uint64_t value)
{
	shadow_save(address, bytes);
	memcpy(address, &value, bytes);
}

uint64_t memory_newest(const void *word, unsigned bytes)
{
	return peek(word, bytes); /* memory itself always holds the newest */
}

static struct message *new_message(void)
{
	if (message_count == MESSAGES_MAX)
		explore_fail("an execution with too many stores: does it end?");
	messages[message_count] = (struct message){ .writer = NOBODY };
	return &messages[message_count++];
}

static struct message *at_rank(const struct place *place, unsigned rank)
{
	return &messages[place->order[rank]];
}

static void rehash(struct place *place)
{
	uint64_t hash = mix(place->address);
	for (unsigned r = 0; r < place->count; r++)
		hash = mix(hash ^ at_rank(place, r)->id);
	hash = mix(hash ^ place->oldest_seq_cst);
	places_hash += hash - place->hash;
	place->hash = hash;
}

static struct place *place_at(uintptr_t address)
{
	size_t i = mix(address) % PLACES;
	while (places[i].address && places[i].address != address)
		i = (i + 1) % PLACES;
	struct place *place = &places[i];
	place->address = address;
	if (place->execution != execution) {
		place->execution = execution;
		place->writers = place->users = 0;
		place->count = place->oldest_seq_cst = 0;
		place->hash = 0;
	}
	return place;
}

/* The place's history begins with what the memory holds when a thread first comes. */
static void begin_history(struct place *place, const struct access *access)
{
	struct message *initial = new_message();
	initial->value = peek(access->address, access->bytes);
	initial->id = 1;
	place->order[0] = (uint16_t)(initial - messages);
	place->count = 1;
	rehash(place);
}

static void note_use(struct place *place, unsigned thread, bool writes)
{
	place->users |= (uint8_t)(1 << thread);
	if (writes)
		place->writers |= (uint8_t)(1 << thread);
	if (!place->shared && place->writers && (place->users & (place->users - 1))) {
		place->shared = true;
		shared_count++;
		fibers_leave(EXECUTION_LEARNED);
	}
}

size_t memory_shared_count(void)
{
	return shared_count;
}

/* --- what a thread may see --------------------------------------------------------------------- */

static bool known(const struct message *message, const struct knowledge *mine)
{
	if (message->writer == NOBODY || message->number <= mine->of[message->writer])
		return true;
	for (unsigned t = 0; t < THREADS_MAX; t++)
		if (message->seen[t] && message->seen[t] <= mine->of[t])
			return true;
	return false;
}

static unsigned newest_known(const struct place *place, unsigned thread)
{
	unsigned rank = place->count - 1u;
	while (!known(at_rank(place, rank), &knowledge[thread]))
		rank--;
	return rank;
}

static bool modifies(const struct access *access, uint64_t seen)
{
	return access->operation != LOAD &&
	       (access->operation != CAS || seen == *access->expected);
}

static int order_of(const struct access *access, uint64_t seen)
{
	return access->operation == CAS && !modifies(access, seen) ? access->failure_order :
								     access->order;
}

static bool may_take(const struct place *place, const struct access *access, unsigned rank)
{
	const struct message *message = at_rank(place, rank);
	if (order_of(access, message->value) == memory_order_seq_cst &&
	    rank < place->oldest_seq_cst)
		return false;
	return !(modifies(access, message->value) && message->followed);
}

/* The message that the access reads from, or stores directly behind: the newest, or by choice an older
 * one. */
static unsigned choose_rank(const struct place *place, const struct access *access, unsigned thread)
{
	unsigned ranks[HISTORY_MAX], count = 0, oldest = newest_known(place, thread);
	for (unsigned rank = place->count; rank-- > oldest;)
		if (may_take(place, access, rank))
			ranks[count++] = rank;
	if (fibers_must_see_newest())
		count = 1;
	unsigned taken = fibers_choose_stale(count);
	events[event_count].passed_over = (uint8_t)taken;
	return ranks[taken];
}

/* --- an access --------------------------------------------------------------------------------- */

static uint64_t modified(const struct access *access, uint64_t before)
{
	uint64_t operand = access->operand, after = before;
	switch (access->operation) {
	case LOAD:
		break;
	case STORE:
	case EXCHANGE:
		after = operand;
		break;
	case CAS:
		after = before == *access->expected ? operand : before;
		break;
	case FETCH_ADD:
		after = before + operand;
		break;
	case FETCH_SUB:
		after = before - operand;
		break;
	case FETCH_OR:
		after = before | operand;
		break;
	case FETCH_AND:
		after = before & operand;
		break;
	case FETCH_XOR:
		after = before ^ operand;
		break;
	}
	return access->bytes == 8 ? after : after & (((uint64_t)1 << access->bytes * 8) - 1);
}

static uint64_t access_private(const struct access *access)
{
	uint64_t before = peek(access->address, access->bytes);
	if (modifies(access, before))
		poke(access->address, access->bytes, modified(access, before));
	return before;
}

static void join(struct knowledge *mine, const struct knowledge *other)
{
	for (unsigned t = 0; t < THREADS_MAX; t++)
		if (mine->of[t] < other->of[t])
			mine->of[t] = other->of[t];
}

static bool acquires(int order)
{
	return order == memory_order_acquire || order == memory_order_consume ||
	       order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static bool releases(int order)
{
	return order == memory_order_release || order == memory_order_acq_rel ||
	       order == memory_order_seq_cst;
}

static void read_from(struct message *message, unsigned thread, int order)
{
	if (!message->seen[thread])
		message->seen[thread] = knowledge[thread].of[thread];
	if (acquires(order))
		join(&knowledge[thread], &message->gives);
	chain[thread] = mix(chain[thread] ^ message->id);
}

static void write_behind(struct place *place, unsigned rank, const struct access *access,
			 uint64_t value, unsigned thread)
{
	struct message *before = at_rank(place, rank), *message = new_message();
	bool reads = access->operation != STORE;
	uint16_t number = knowledge[thread].of[thread];
	message->value = value;
	message->writer = (uint8_t)thread;
	message->number = number;
	message->id = mix(((uint64_t)thread + 1) << 32 | number);
	if (releases(access->order))
		message->gives = knowledge[thread];
	if (reads) {
		before->followed = true;
		join(&message->gives, &before->gives);
	}
	if (place->count == HISTORY_MAX)
		explore_fail("an execution with too many stores to one place: does it end?");
	rank++;
	memmove(&place->order[rank + 1], &place->order[rank],
		(place->count - rank) * sizeof(place->order[0]));
	place->order[rank] = (uint16_t)(message - messages);
	place->count++;
	if (access->order == memory_order_seq_cst)
		place->oldest_seq_cst = (uint8_t)rank;
	else if (rank <= place->oldest_seq_cst)
		place->oldest_seq_cst++;
	if (rank == place->count - 1u)
		poke(access->address, access->bytes, value);
	rehash(place);
}

static struct event *note_event(const struct access *access, unsigned thread)
{
	if (event_count + 1 == EVENTS_MAX)
		explore_fail("an execution with too many accesses: does it end?");
	struct event *event = &events[event_count];
	event->access = *access;
	event->thread = (uint8_t)thread;
	return event;
}

static uint64_t access_shared(struct place *place, const struct access *access, unsigned thread)
{
	fibers_point();
	if (place->count == 0)
		begin_history(place, access);
	struct event *event = note_event(access, thread);
	unsigned rank = choose_rank(place, access, thread);
	struct message *message = at_rank(place, rank);
	uint64_t before = message->value;
	bool writes = modifies(access, before);
	if (++knowledge[thread].of[thread] == UINT16_MAX)
		explore_fail("a thread with too many events: does it end?");
	if (access->operation != STORE)
		read_from(message, thread, order_of(access, before));
	else
		chain[thread] = mix(chain[thread]);
	event->before = before;
	event->after = modified(access, before);
	event_count++;
	if (writes)
		write_behind(place, rank, access, event->after, thread);
	return before;
}

static uint64_t perform(const struct access *access)
{
	unsigned self = explore_self();
	if (self == 0)
		return access_private(access);
	struct place *place = place_at((uintptr_t)access->address);
	note_use(place, self - 1, access->operation != LOAD);
	return place->shared ? access_shared(place, access, self - 1) : access_private(access);
}

uint64_t memory_access(const struct access *access)
{
	uint64_t before = perform(access);
	if (access->operation == CAS && before != *access->expected)
		*access->expected = before;
	return before;
}

/* --- executions -------------------------------------------------------------------------------- */

const struct knowledge *memory_knowledge(unsigned thread)
{
	return &knowledge[thread];
}

void memory_start(void)
{
	execution++;
	message_count = event_count = 0;
	places_hash = 0;
	memset(knowledge, 0, sizeof(knowledge));
	memset(chain, 0, sizeof(chain));
}

uint64_t memory_state(void)
{
	uint64_t state = places_hash;
	for (unsigned t = 0; t < THREADS_MAX; t++)
		state += mix(chain[t] ^ (t + 1));
	return state;
}

static const char *order_name(int order)
{
	switch (order) {
	case memory_order_relaxed:
		return "relaxed";
	case memory_order_consume:
	case memory_order_acquire:
		return "acquire";
	case memory_order_release:
		return "release";
	case memory_order_acq_rel:
		return "acq_rel";
	default:
		return "seq_cst";
	}
}

/* The source line of each event by addr2line, one a line; NULL if that is not to be had. */
static FILE *open_lines(void)
{
	static char command[64 + EVENTS_MAX * 20];
	size_t used = (size_t)snprintf(command, sizeof(command),
				       "addr2line -s -e /proc/%d/exe 2>/dev/null", (int)getpid());
	for (size_t i = 0; i < event_count; i++) /* - 1: into the call, not behind it */
		used += (size_t)snprintf(command + used, sizeof(command) - used, " %#jx",
					 (uintmax_t)events[i].access.pc - 1);
	return popen(command, "r");
}

static void print_event(const struct event *event, const char *line)
{
	static const char *const names[] = { "load",	  "store",    "exchange",  "fetch_add", "fetch_sub",
					     "fetch_or", "fetch_and", "fetch_xor", "cas" };
	const struct access *access = &event->access;
	char value[64];
	if (access->operation == STORE)
		snprintf(value, sizeof(value), "-> %#jx", (uintmax_t)event->after);
	else if (event->before == event->after)
		snprintf(value, sizeof(value), "%#jx", (uintmax_t)event->before);
	else
		snprintf(value, sizeof(value), "%#jx -> %#jx", (uintmax_t)event->before,
			 (uintmax_t)event->after);
	fprintf(stderr, "  T%d  %s_%s  %p  %s%s  %s\n", event->thread + 1,
		names[access->operation], order_name(access->order), access->address, value,
		event->passed_over ? "  passing over newer ones" : "", line);
}

void memory_print_events(void)
{
	FILE *lines = open_lines();
	for (size_t i = 0; i < event_count; i++) {
		char line[128] = "";
		if (lines && fgets(line, sizeof(line), lines))
			line[strcspn(line, " \n")] = '\0';
		print_event(&events[i], line);
	}
	if (lines)
		pclose(lines);
}
