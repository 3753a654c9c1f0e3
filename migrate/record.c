/* SPDX-License-Identifier: MIT */
/* migrate/record.c - recording: on, off, and what malloc and free tell; see record.h
 *
 *   start  writer and folder -> marks cleared -> record_active = generation -> SHIM_RECORD in the routes
 *   stop   SHIM_RECORD out of the routes -> record_active = 0 -> slots unwatched -> the writer takes the rest
 *
 * SYNCHRONIZATION
 *   configs[]       one is filled in before record_active names its generation (release) and stays for seven more
 *                   recordings, so a thread that is late reads one that nobody writes
 *   record_active   a malloc marks its block (seq_cst), then looks at record_active once more (seq_cst). A start clears all
 *                   marks, then sets it (seq_cst). If the look finds the old generation, the mark came before the next
 *                   start's clearing, and goes with it; else the thread takes it back. So no mark of one
 *                   recording is found in another
 *   watch_era       set to the generation before SHIM_RECORD is: what passes a thread has left are none any more
 *   state           exchanged by compare; whoever moved it on is the only one at work
 */
#include "migrate/record.h"

#include "migrate/record_draw.h"
#include "migrate/record_stream.h"
#include "migrate/record_write.h"
#include "migrate/report.h"
#include "next/next.h"
#include "shim/base/map.h"
#include "shim/base/os.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/linker.h"
#include "shim/marks.h"
#include "shim/route.h"
#include "shim/watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

#define CONFIGS		 8
#define EXIT_PATIENCE_MS 2000
/* In the last one ThreadSanitizer has given the thread up, and its clock_gettime() faults. */
#define LAST_ROUND  (PTHREAD_DESTRUCTOR_ITERATIONS - THREAD_SANITIZER)
#define CLAIM_AGAIN 256 /* events without a stream before one is asked for again */

enum record_state { RECORD_OFF, RECORD_STARTING, RECORD_ON, RECORD_STOPPING };

static _Atomic uint32_t state;
static uint32_t generations; /* [whoever moved state on] */
static struct record_config configs[CONFIGS];
static struct record_options options; /* [whoever moved state on] */
static char directory[PATH_MAX], option_text[RECORD_OPTIONS_BYTES];
static bool by_settings, wanted_again; /* [const after the start; the child of a fork] */
static struct record_status last;      /* of the recording that ended last */

static pthread_key_t end_key;
static bool end_key_made;

/* What a thread keeps. */
struct self {
	uint64_t passes;	      /* of watch.h; it comes first */
	struct record_stream *stream; /* NULL: none yet */
	uint32_t generation;	      /* of what follows, and of the stream */
	bool inside;		      /* in the middle of what is told already, or of telling it */
	bool gone;		      /* its last destructors run: no stream any more */
	bool drawn;		      /* by thread: this one */
	uint32_t patience;
	uint64_t number, draws;
};
_Static_assert(sizeof(struct self) <= NEXT_THREAD_ROOM, "it lives in the thread's heap");

/* NULL where the thread has no heap, or none any more. */
static struct self *self_of_thread(void)
{
	return next_thread_room();
}

static _Atomic uint64_t threads; /* numbered so far in this recording */

/* --- ids ------------------------------------------------------------------------------------------ */

/* A Feistel network over the 44 bits that differ between addresses of 16-byte blocks. */
static uint64_t shuffle(const struct record_config *config, uint64_t value)
{
	const uint32_t mask = ((uint32_t)1 << 22) - 1;
	uint32_t left = (uint32_t)(value >> 22) & mask, right = (uint32_t)value & mask;
	for (unsigned round = 0; round < 4; round++) {
		uint64_t mixed = (right ^ config->key[round]) * UINT64_C(0x9e3779b97f4a7c15);
		uint32_t next = left ^ (uint32_t)(mixed >> 42);
		left = right;
		right = next;
	}
	return (uint64_t)left << 22 | right;
}

static uint64_t id_of(const struct record_config *config, const void *block)
{
	uint64_t address = (uintptr_t)block & (((uint64_t)1 << 48) - 1);
	if (config->raw || !block)
		return address;
	return (shuffle(config, address >> 4) ^ config->zero_id) << 4 | (address & 15);
}

/* --- what malloc and free tell -------------------------------------------------------------------- */

/* The configuration of the recording that is on, NULL if none is. */
static const struct record_config *active_config(void)
{
	/* acquire: the configuration; pairs with the release in record_start() */
	uint32_t generation = load_acquire(&record_active);
	return unlikely(generation == 0) ? NULL : &configs[generation % CONFIGS];
}

/* The same; NULL also if this thread is in the middle of telling, or has nothing to remember by any more. */
static const struct record_config *config_now(void)
{
	const struct record_config *config = active_config();
	if (!config)
		return NULL;
	const struct self *self = self_of_thread();
	return unlikely(!self || self->inside) ? NULL : config;
}

/* How many of the thread's allocations pass before the next one that is drawn: a hash of the key, the thread and how many
 * were drawn before. */
static uint64_t draw_gap(const struct record_config *config, struct self *self)
{
	if (config->by_thread)
		return self->drawn ? 0 : WATCH_PASSES_MAX;
	if (config->draw_below >> 32)
		return 0;
	uint64_t number = config->key[0] ^ self->number << 40 ^ self->draws++;
	uint64_t gap = draw_gap_of(number, config->log_of_rest);
	return gap < WATCH_PASSES_MAX ? gap : WATCH_PASSES_MAX;
}

static uint64_t passes_of(const struct record_config *config, uint64_t left)
{
	return (uint64_t)config->generation << 32 | left;
}

/* A thread on its way out gets another heap in each of libc's rounds: its stream is still there. */
static COLD void begin_thread(const struct record_config *config)
{
	struct self *self = self_of_thread();
	struct record_stream *own = pthread_getspecific(end_key);
	bool same = own && load_relaxed(&own->generation) == config->generation;
	self->stream = own;
	self->number = same ? own->number : fetch_add_relaxed(&threads, 1) + 1;
	self->generation = config->generation;
	self->draws = 0;
	self->patience = 0;
	self->drawn = draw_hash(config->key[0] ^ self->number) < config->draw_below;
	self->passes = passes_of(config, draw_gap(config, self));
}

static COLD void claim_stream(const struct record_config *config)
{
	struct self *self = self_of_thread();
	int saved_errno = errno;
	if (self->gone || self->patience > 0) {
		self->patience -= self->patience > 0;
		return;
	}
	self->inside = true;
	struct record_stream *own = self->stream;
	self->stream = record_stream_claim(config, own, self->number);
	self->patience = self->stream ? 0 : CLAIM_AGAIN;
	if (self->stream != own) {
		if (self->stream)
			self->stream->end_rounds = 0;
		pthread_setspecific(end_key, self->stream);
	}
	self->inside = false;
	errno = saved_errno;
}

/* The thread's stream of this recording; NULL: it gets none, and has lost an event. */
static struct record_stream *stream_now(const struct record_config *config)
{
	struct self *self = self_of_thread();
	if (unlikely(self->generation != config->generation))
		begin_thread(config);
	if (unlikely(!self->stream || load_relaxed(&self->stream->generation) != config->generation))
		claim_stream(config);
	struct record_stream *stream = self->stream;
	if (likely(stream && load_relaxed(&stream->generation) == config->generation))
		return stream;
	fetch_add_relaxed(&record_lost_elsewhere, 1);
	return NULL;
}

/* The thread has no passes. True: this allocation is drawn. */
static bool draw(const struct record_config *config)
{
	struct self *self = self_of_thread();
	if (unlikely(self->generation != config->generation)) {
		begin_thread(config);
		if (self->passes != passes_of(config, 0)) {
			self->passes--;
			return false;
		}
	}
	self->passes = passes_of(config, draw_gap(config, self));
	return !config->by_thread || self->drawn;
}

static bool tell(const struct record_config *config, enum record_event event,
		 enum shim_served served, const void *payload, size_t bytes)
{
	struct record_stream *stream = stream_now(config);
	return stream && record_append(config, stream, event, served, payload, bytes);
}

static bool tell_free(const struct record_config *config, const void *block,
		      enum shim_served served)
{
	uint64_t id = id_of(config, block);
	return tell(config, RECORD_FREE, served, &id, 6);
}

/* A block that was handed out now still has a mark: its free was lost. False if it is again: then the mark, and in the
 * recording the block that was there, go on to live. */
static COLD bool tell_lost_free(const struct record_config *config, const void *block)
{
	if (!tell_free(config, block, SHIM_SERVED_UNKNOWN))
		return false;
	marks_clear(block);
	return true;
}

struct payload {
	unsigned char bytes[RECORD_EVENT_MAX_BYTES];
	size_t length;
};

static void put(struct payload *payload, uint64_t value, size_t bytes)
{
	memcpy(payload->bytes + payload->length, &value, sizeof(value));
	payload->length += bytes;
}

static bool is_short(uint64_t a, uint64_t b)
{
	return (a | b) >> 16 == 0;
}

/* Marks the block, then tells of it; no mark where that fails. */
static void tell_new(const struct record_config *config, void *block, enum record_event event,
		     enum shim_served served, const struct payload *payload)
{
	if (unlikely(marks_has(block)) && !tell_lost_free(config, block))
		return;
	if (unlikely(!marks_set(block))) {
		fetch_add_relaxed(&record_lost_elsewhere, 1);
		return;
	}
	/* seq_cst: the second look, see above */
	if (unlikely(load_seq_cst(&record_active) != config->generation) ||
	    unlikely(!tell(config, event, served, payload->bytes, payload->length)))
		marks_clear(block);
}

bool shim_before_malloc(void)
{
	const struct record_config *config = config_now();
	return config && draw(config);
}

void shim_at_malloc(void *block, size_t bytes, enum shim_served served)
{
	const struct record_config *config = config_now();
	if (!config)
		return;
	bool compact = is_short(bytes, 0);
	struct payload payload = { .length = 0 };
	put(&payload, id_of(config, block), 6);
	put(&payload, bytes, compact ? 2 : 8);
	tell_new(config, block, compact ? RECORD_MALLOC : RECORD_MALLOC_LARGE, served, &payload);
}

void shim_at_calloc(void *block, size_t count, size_t bytes, enum shim_served served)
{
	const struct record_config *config = config_now();
	if (!config)
		return;
	bool compact = is_short(count, bytes);
	struct payload payload = { .length = 0 };
	put(&payload, id_of(config, block), 6);
	put(&payload, count, compact ? 2 : 8);
	put(&payload, bytes, compact ? 2 : 8);
	tell_new(config, block, compact ? RECORD_CALLOC : RECORD_CALLOC_LARGE, served, &payload);
}

void shim_at_aligned(void *block, size_t alignment, size_t bytes, enum shim_served served)
{
	const struct record_config *config = config_now();
	if (!config)
		return;
	bool compact = is_short(alignment, bytes);
	struct payload payload = { .length = 0 };
	put(&payload, id_of(config, block), 6);
	put(&payload, alignment, compact ? 2 : 8);
	put(&payload, bytes, compact ? 2 : 8);
	tell_new(config, block, compact ? RECORD_ALIGNED : RECORD_ALIGNED_LARGE, served, &payload);
}

/* The mark goes with the event. Where that is lost the next free of the address makes up for it, or the next malloc there
 * that is recorded. */
void shim_at_free(void *block, enum map_kind kind)
{
	const struct record_config *config = config_now();
	if (config && tell_free(config, block, watch_owner_of(block, kind)))
		marks_clear(block);
}

bool shim_at_realloc(void *block, enum map_kind kind)
{
	const struct record_config *config = config_now();
	uint64_t id = config ? id_of(config, block) : 0;
	if (!config || !tell(config, RECORD_REALLOC_BEGIN, watch_owner_of(block, kind), &id, 6))
		return false;
	marks_clear(block);
	/* What it allocates and frees on its way is this one event's. */
	self_of_thread()->inside = true;
	return true;
}

void shim_at_realloc_end(void *before, void *after, size_t bytes, enum shim_served served)
{
	self_of_thread()->inside = false;
	const struct record_config *config = config_now();
	if (!config)
		return;
	bool compact = is_short(bytes, 0);
	struct payload payload = { .length = 0 };
	put(&payload, id_of(config, after), 6);
	put(&payload, bytes, compact ? 2 : 8);
	tell_new(config, after ? after : before, compact ? RECORD_REALLOC : RECORD_REALLOC_LARGE,
		 served, &payload);
}

/* --- threads -------------------------------------------------------------------------------------- */

/* In each of libc's rounds: what other destructors still free belongs into the same stream. In the last one the
 * thread may have left its heap already, and then tells nothing more. */
static void thread_ends(void *value)
{
	struct record_stream *stream = value;
	if (++stream->end_rounds < LAST_ROUND) {
		pthread_setspecific(end_key, stream);
		return;
	}
	const struct record_config *config = active_config();
	/* No heap is made for this: nobody would take it back. */
	struct self *self = next_has_heap() ? self_of_thread() : NULL;
	if (self) {
		self->gone = true;
		self->stream = NULL;
	}
	if (config && load_relaxed(&stream->generation) == config->generation) {
		uint64_t reserved = 0;
		(void)!record_append(config, stream, RECORD_THREAD_END, SHIM_SERVED_UNKNOWN,
				     &reserved, 1);
	}
	record_stream_end(stream);
}

/* --- on and off ----------------------------------------------------------------------------------- */

static bool move_on(enum record_state from, enum record_state to)
{
	uint32_t expected = from;
	/* what the last one who was at work wrote */
	return cas_acq_rel(&state, &expected, to);
}

static void settle(enum record_state to)
{
	/* release: pairs with move_on() */
	store_release(&state, to);
}

static int fails(char *error, const char *why, int reason)
{
	(void)snprintf(error, RECORD_ERROR_BYTES, "%s", why);
	return reason;
}

static void draw_keys(struct record_config *config)
{
	unsigned char *out = (unsigned char *)config->key;
	if (getrandom(config->key, sizeof(config->key), GRND_NONBLOCK) !=
		    (ssize_t)sizeof(config->key) ||
	    getrandom(config->uuid, sizeof(config->uuid), GRND_NONBLOCK) !=
		    (ssize_t)sizeof(config->uuid)) {
		/* Early after boot: what this process has of its own. */
		uint64_t seed = os_now_ns() ^ (uint64_t)getpid() << 32 ^ (uintptr_t)&seed;
		for (size_t i = 0; i < sizeof(config->key); i++)
			out[i] = (unsigned char)draw_hash(seed + i);
		for (size_t i = 0; i < sizeof(config->uuid); i++)
			config->uuid[i] = (unsigned char)draw_hash(seed - 1 - i);
	}
	/* Version 4 of RFC 4122. */
	config->uuid[6] = (unsigned char)((config->uuid[6] & 0x0f) | 0x40);
	config->uuid[8] = (unsigned char)((config->uuid[8] & 0x3f) | 0x80);
}

static struct record_config *make_config(void)
{
	generations += generations + 1 == 0 ? 2 : 1;
	struct record_config *config = &configs[generations % CONFIGS];
	*config = (struct record_config){
		.generation = generations,
		.ring = options.ring,
		.raw = options.raw,
		.by_thread = options.by_thread,
		.draw_below = ((uint64_t)options.share_millionths << 32) / RECORD_SHARE_WHOLE,
		.packets = (uint32_t)(options.buffer_bytes / RECORD_PACKET_BYTES),
		.memory_bytes = options.memory_bytes,
	};
	if (!(config->draw_below >> 32))
		config->log_of_rest = draw_log(((uint64_t)1 << 32) - config->draw_below);
	draw_keys(config);
	config->zero_id = shuffle(config, 0);
	return config;
}

static bool start(char *error)
{
	if (!end_key_made)
		end_key_made = pthread_key_create(&end_key, thread_ends) == 0;
	if (!end_key_made) {
		(void)fails(error, "no key for the ends of threads is left", EIO);
		return false;
	}
	struct record_config *config = make_config();
	record_streams_start(config);
	store_relaxed(&threads, 0);
	if (!record_writer_start(config, &options, directory, error))
		return false;
	marks_clear_all();
	store_relaxed(&watch_era, passes_of(config, 0));
	/* seq_cst: after the clearing, see above; release: the configuration */
	store_seq_cst(&record_active, config->generation);
	shim_record(options.class);
	return true;
}

int record_start(const char *where, const char *text, char error[RECORD_ERROR_BYTES])
{
	struct record_options wanted_options;

	if (getauxval(AT_SECURE))
		return fails(error, "the program changes user or gains capabilities", EPERM);
	if (!map_kinds)
		return fails(error, "there is no address map: too little address space", EIO);
	if (!record_options_parse(&wanted_options, text ? text : "", error))
		return EINVAL;
	if (!where[0] || strnlen(where, PATH_MAX) >= PATH_MAX - NAME_MAX)
		return fails(error, "the folder's name is too long, or empty", EINVAL);
	if (!move_on(RECORD_OFF, RECORD_STARTING))
		return fails(error, "a recording is on already", EALREADY);
	options = wanted_options;
	/* Of the child of a fork that starts again they are the same. */
	if (where != directory)
		strcpy(directory, where);
	if (text != option_text)
		strcpy(option_text, text ? text : "");
	bool started = start(error);
	settle(started ? RECORD_ON : RECORD_OFF);
	return started ? 0 : EIO;
}

static bool stop(struct record_status *status, int patience_ms)
{
	static const bool none[NEXT_CLASSES];

	if (!move_on(RECORD_ON, RECORD_STOPPING))
		return false;
	shim_record(none);
	store_seq_cst(&record_active, 0);
	marks_unwatch();
	bool done = record_writer_ask(RECORD_WRITE_END, patience_ms);
	record_writer_status(&last);
	last.on = 0;
	*status = last;
	/* A writer that hangs on a disk keeps its place. */
	settle(done ? RECORD_OFF : RECORD_STOPPING);
	return true;
}

bool record_stop(struct record_status *status)
{
	return stop(status, -1);
}

int record_dump(struct record_status *status, char error[RECORD_ERROR_BYTES])
{
	/* acquire: pairs with settle() */
	if (load_acquire(&state) != RECORD_ON || !options.ring)
		return fails(error, "no flight recorder is on", EALREADY);
	(void)!record_writer_ask(RECORD_WRITE_DUMP, -1);
	record_writer_status(status);
	status->on = 1;
	return record_writer_error()[0] ? fails(error, record_writer_error(), EIO) : 0;
}

void record_dump_soon(void)
{
	if (load_acquire(&state) == RECORD_ON && options.ring)
		(void)!record_writer_ask(RECORD_WRITE_DUMP, 0);
}

void record_read_status(struct record_status *status)
{
	memset(status, 0, sizeof(*status));
	if (load_acquire(&state) == RECORD_OFF) {
		*status = last;
		return;
	}
	record_writer_status(status);
	status->on = 1;
}

void record_at_exit(void)
{
	struct record_status status;
	(void)!stop(&status, EXIT_PATIENCE_MS);
}

/* --- settings, forks ------------------------------------------------------------------------------ */

void record_read_settings(void)
{
	const char *where = shim_setting("HAKMEM_RECORD"),
		   *text = shim_setting("HAKMEM_RECORD_OPTIONS");
	char error[RECORD_ERROR_BYTES], line[RECORD_ERROR_BYTES + 40];
	struct record_options unused;

	if (!where || !where[0])
		return;
	text = text ? text : "";
	if (strnlen(where, PATH_MAX) >= PATH_MAX - NAME_MAX)
		(void)fails(error, "the folder's name is too long", EINVAL);
	else if (record_options_parse(&unused, text, error))
		by_settings = true;
	if (by_settings) {
		strcpy(directory, where);
		strcpy(option_text, text);
		return;
	}
	(void)snprintf(line, sizeof(line), "HAKMEM_RECORD: %s; nothing is recorded", error);
	report_text(line);
}

static void start_and_report(void)
{
	char error[RECORD_ERROR_BYTES], line[RECORD_ERROR_BYTES + 40];
	if (record_start(directory, option_text, error) == 0)
		return;
	(void)snprintf(line, sizeof(line), "nothing is recorded: %s", error);
	report_text(line);
}

/* The environment of `hakmem run --record' is also that of every hakmem command below it, which is not what is meant. */
void record_start_by_settings(void)
{
	if (by_settings && !linker_symbol(RTLD_DEFAULT, "hakmem_command"))
		start_and_report();
}

bool record_fork_child(void)
{
	static const bool none[NEXT_CLASSES];
	uint32_t was = load_relaxed(&state);

	if (was == RECORD_OFF)
		return wanted_again;
	store_relaxed(&record_active, 0);
	shim_record(none);
	marks_unwatch();
	record_writer_fork_child();
	struct self *self = self_of_thread();
	record_streams_fork_child(self ? self->stream : NULL);
	if (self)
		self->inside = false;
	store_relaxed(&state, RECORD_OFF);
	/* What was being started or stopped is not the child's. */
	wanted_again = was == RECORD_ON;
	return wanted_again;
}

void record_start_again(void)
{
	if (!wanted_again)
		return;
	wanted_again = false;
	start_and_report();
}
