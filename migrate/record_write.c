/* SPDX-License-Identifier: MIT */
/* migrate/record_write.c - the writer of a recording; see record_write.h
 *
 * SYNCHRONIZATION
 *   phase     the writer's thread: NONE -> STARTING by whoever starts it, -> RUNNING or NONE by itself. Waited on as on a futex
 *   request   set by whoever asks, taken by the writer, which counts `served` when it is done with it. A futex
 *   wanted    a thread of the program has filled half a ring. The writer's futex to sleep on
 *   figures   written by the writer alone, read by anybody
 */
#include "migrate/record_write.h"

#include "migrate/apart.h"
#include "migrate/record_folder.h"
#include "migrate/report.h"
#include "shim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (HAKMEM_SANITIZER ? 1 * MIB : 128 * KIB)
#define BUSY_NS	    10000000u  /* between two looks while there are events */
#define IDLE_NS	    100000000u /* and while there are none */
#define END_PATIENCE_NS 100000000u /* for threads in the middle of an event */
#define NAME_BYTES  32

enum phase { WRITER_NONE, WRITER_STARTING, WRITER_RUNNING };

static _Atomic uint32_t phase, request, served, wanted;

/* [const while it runs] */
static const struct record_config *config;
static const struct record_options *options;
static const char *directory;

static char error_text[RECORD_ERROR_BYTES]; /* [writer] read by whoever has waited for it */
static char folder_path[512];		    /* the same */
static int folder = -1;			    /* [writer] */
static uint64_t file_bytes;		    /* [writer] of all files */
static uint64_t began_ns;		    /* [writer] */
static struct record_file ledger;	    /* [writer] of stream 0 */
static uint64_t ledger_ns; /* [writer] until when all streams are complete; UINT64_MAX: no ledger is written yet */
static bool untold; /* [writer] more than the ledger tells is written */
static uint64_t lost_of_ended;		    /* [writer] of streams whose thread has ended */
static uint64_t lost_without_file; /* [writer] of these, and others, where no packet was written */
static bool cut; /* [writer] there was no room: nothing is written any more but what was lost */

static _Atomic uint64_t events_written, bytes_written, streams_written;
static _Atomic uint64_t events_lost;

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* patience_ns 0: for ever. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t patience_ns)
{
	struct timespec patience = { .tv_sec = (time_t)(patience_ns / 1000000000u),
				     .tv_nsec = (long)(patience_ns % 1000000000u) };
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, patience_ns ? &patience : NULL, NULL,
		0);
}

/* --- files ---------------------------------------------------------------------------------------- */

static int open_stream(uint64_t number, bool make)
{
	char name[NAME_BYTES];
	(void)snprintf(name, sizeof(name), "stream-%llu", (unsigned long long)number);
	int fd = openat(folder, name,
			O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
	if (fd >= 0 && make)
		(void)!fchmod(fd, 0600);
	return fd;
}

/* As long as the file may become: after the cut as long as it is, for what is there of an open packet. */
static uint64_t room(const struct record_file *file)
{
	uint64_t left = options->disk_bytes - file_bytes;
	return file->bytes + (cut ? 0 : left - left % RECORD_PACKET_BYTES);
}

/* Writes packets behind the whole ones. How many are in the file now. */
static uint64_t write_packets(struct record_file *file, uint64_t number, const void *packets,
			      uint64_t count)
{
	uint64_t at = file->packets * RECORD_PACKET_BYTES, end = at + count * RECORD_PACKET_BYTES;
	uint64_t done = 0;

	if (end > room(file))
		end = room(file);
	if (at >= end)
		return 0;
	int fd = open_stream(number, !file->made);
	if (fd < 0)
		return 0;
	file->made = true;
	while (done < end - at) {
		ssize_t some = pwrite(fd, (const char *)packets + done, end - at - done,
				      (off_t)(at + done));
		if (some < 0 && errno == EINTR)
			continue;
		if (some <= 0)
			break;
		done += (uint64_t)some;
	}
	/* A file that ends within a packet is none: what a full disk left of one goes. */
	if (done % RECORD_PACKET_BYTES) {
		done -= done % RECORD_PACKET_BYTES;
		if (at + done >= file->bytes)
			(void)!ftruncate(fd, (off_t)(at + done));
	}
	close(fd);
	if (at + done > file->bytes) {
		counter_add(&bytes_written, at + done - file->bytes);
		if (file->bytes == 0 && number > 0)
			counter_add(&streams_written, 1);
		file_bytes += at + done - file->bytes;
		file->bytes = at + done;
	}
	return done / RECORD_PACKET_BYTES;
}

/* A recording with holes would break its rules, so it ends where the first one would be. Told once. */
static void lose(struct record_file *file, uint64_t events)
{
	char line[640];

	file->lost += events;
	if (cut)
		return;
	cut = true;
	(void)snprintf(line, sizeof(line),
		       "recording into %s: no more room; events are lost, and counted",
		       folder_path);
	report_text(line);
}

/* Packets that no thread touches any more. They are done with afterwards, in the file or lost. */
static void write_closed(struct record_stream *stream, struct record_packet *packets,
			 uint64_t count)
{
	struct record_file *file = &stream->file;
	uint64_t events = 0;

	for (uint64_t i = 0; i < count; i++)
		packets[i].discarded += file->lost;
	uint64_t done = write_packets(file, stream->number, packets, count);
	for (uint64_t i = 0; i < count; i++) {
		if (i < done)
			events += load_relaxed(&packets[i].events);
		else
			lose(file, load_relaxed(&packets[i].events));
	}
	counter_add(&events_written, events);
	file->packets += done;
	if (done > 0) {
		memcpy(stream->last_head, &packets[done - 1], RECORD_HEAD_BYTES);
		file->has_last = true;
		file->told = packets[done - 1].discarded;
	}
	if (count > 0)
		file->open_bits = 0;
}

/* What the open packet holds now, with all losses so far. False if it holds nothing. */
static bool copy_open(struct record_stream *stream, uint64_t sequence, struct record_packet *copy)
{
	const struct record_packet *packet = &stream->ring[sequence % stream->packets];
	/* acquire: pairs with the release in record_append() */
	uint64_t bits = load_acquire(&packet->content_bits);
	if (bits <= RECORD_HEAD_BYTES * 8)
		return false;
	memset(copy, 0, sizeof(*copy));
	copy->magic = packet->magic;
	memcpy(copy->uuid, packet->uuid, sizeof(copy->uuid));
	copy->stream = packet->stream;
	copy->begin_ns = packet->begin_ns;
	copy->packet_bits = packet->packet_bits;
	copy->sequence = packet->sequence;
	copy->tid = packet->tid;
	memcpy(copy->event, packet->event, bits / 8 - RECORD_HEAD_BYTES);
	/* Perhaps later than bits, and then of one event more: not too early, and that is what counts. */
	store_relaxed(&copy->end_ns, load_relaxed(&packet->end_ns));
	store_relaxed(&copy->events, load_relaxed(&packet->events));
	store_relaxed(&copy->content_bits, bits);
	copy->discarded = load_relaxed(&stream->lost) + stream->file.lost;
	return true;
}

/* final: its thread will not touch it any more. False if what it holds now is not in the file. */
static bool write_open(struct record_stream *stream, uint64_t sequence, bool final)
{
	static struct record_packet copy; /* [writer] */
	struct record_file *file = &stream->file;
	bool done = true;

	if (copy_open(stream, sequence, &copy)) {
		uint64_t bits = load_relaxed(&copy.content_bits);
		if (bits != file->open_bits || copy.discarded != file->told || final) {
			done = write_packets(file, stream->number, &copy, 1) == 1;
			file->open_bits = done ? bits : 0;
			file->told = done ? copy.discarded : file->told;
			if (final && done) {
				counter_add(&events_written, load_relaxed(&copy.events));
				file->packets++;
			} else if (final) {
				lose(file, load_relaxed(&copy.events));
			}
		}
	}
	/* No room for that: the packet before it tells of the losses, or the ledger. */
	uint64_t lost = load_relaxed(&stream->lost) + file->lost;
	if (final && file->told != lost && file->packets == 0) {
		lost_without_file += lost;
	} else if (final && file->told != lost && file->has_last) {
		struct record_packet *head = (struct record_packet *)(void *)stream->last_head;
		int fd = open_stream(stream->number, false);
		head->discarded = lost;
		if (fd >= 0) {
			(void)!pwrite(fd, head, RECORD_HEAD_BYTES,
				      (off_t)((file->packets - 1) * RECORD_PACKET_BYTES));
			close(fd);
		}
	}
	return done;
}

/* --- streams -------------------------------------------------------------------------------------- */

/* The places of [from, to) in the ring, in one piece or two. */
static void write_range(struct record_stream *stream, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t place = from % stream->packets, count = to - from;
		if (count > stream->packets - place)
			count = stream->packets - place;
		write_closed(stream, &stream->ring[place], count);
		from += count;
	}
}

/* True if there was something new. `*complete` becomes false if not all of it is in the file. */
static bool write_stream(struct record_stream *stream, bool end, bool *complete)
{
	/* acquire, both: pair with the releases of the thread */
	uint32_t state = load_acquire(&stream->state);
	if (state == RECORD_STREAM_FREE || load_acquire(&stream->generation) != config->generation)
		return false;
	uint64_t head = load_acquire(&stream->head), tail = load_relaxed(&stream->tail);
	uint64_t open_bits = stream->file.open_bits;
	/* acquire: as above. It fails where a thread that looks for a stream has it in its hands for a moment. */
	bool ended = state == RECORD_STREAM_ENDED &&
		     cas_acq_rel(&stream->state, &state, RECORD_STREAM_CLOSING);
	bool final = end || ended;

	write_range(stream, tail, head);
	/* release: the thread may have these places again; pairs with its acquire */
	store_release(&stream->tail, head);
	*complete &= write_open(stream, head, final);
	if (ended) {
		lost_of_ended += load_relaxed(&stream->lost) + stream->file.lost;
		store_relaxed(&stream->generation, 0);
		/* release: for the next one who takes it */
		store_release(&stream->state, RECORD_STREAM_FREE);
		return true;
	}
	return head != tail || stream->file.open_bits != open_bits;
}

/* Stream 0, one packet without events, made at the start and written again and again in its place, where no full disk is
 * in the way: until when the streams are complete, and what was lost by threads without a stream, or by streams without
 * a file. */
static void write_ledger(uint64_t complete_ns)
{
	static struct record_packet packet; /* [writer] */
	uint64_t lost = load_relaxed(&record_lost_elsewhere) + lost_without_file;

	if (complete_ns == ledger_ns && lost == packet.discarded)
		return;
	ledger_ns = complete_ns;
	memset(&packet, 0, sizeof(packet));
	packet.magic = RECORD_MAGIC;
	memcpy(packet.uuid, config->uuid, sizeof(packet.uuid));
	packet.begin_ns = began_ns;
	store_relaxed(&packet.end_ns, complete_ns);
	store_relaxed(&packet.content_bits, RECORD_HEAD_BYTES * 8);
	packet.packet_bits = RECORD_PACKET_BYTES * 8;
	packet.discarded = lost;
	(void)!write_packets(&ledger, 0, &packet, 1);
}

static void barrier(void)
{
#if defined(SYS_membarrier)
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
}

/* An event has its time before the writer can see it. So a stream whose thread is in between is complete only until the
 * last cycle. The thread's `busy` is a plain store; the barrier makes all threads' stores until now visible, and who
 * sets it later has a later time. At the end, and for a dump, there is no further cycle: they are waited for, but not for
 * ever, for one may have been stopped there. */
static bool all_are_idle(uint64_t patience_ns)
{
	barrier();
	size_t count = record_stream_count();
	uint64_t deadline_ns = os_now_ns() + patience_ns;
	for (size_t i = 0; i < count; i++) {
		const struct record_stream *stream = record_stream_at(i);
		/* acquire: what it appended before is there; pairs with the release in record_append() */
		while (stream && load_acquire(&stream->busy)) {
			if (os_now_ns() >= deadline_ns)
				return false;
			sched_yield();
		}
	}
	return true;
}

/* One cycle. True if there was something new. */
static bool write_all(bool end)
{
	bool found = false;
	uint64_t now_ns = os_now_ns(), lost = 0;

	bool complete = all_are_idle(end ? END_PATIENCE_NS : 0);
	size_t count = record_stream_count();
	for (size_t i = 0; i < count; i++) {
		struct record_stream *stream = record_stream_at(i);
		if (!stream)
			continue;
		found |= write_stream(stream, end, &complete);
		if (load_relaxed(&stream->generation) == config->generation)
			lost += load_relaxed(&stream->lost) + stream->file.lost;
	}
	untold |= found;
	complete &= !cut;
	write_ledger(complete && (untold || end) ? now_ns : ledger_ns);
	untold &= !complete;
	store_relaxed(&events_lost, lost + load_relaxed(&record_lost_elsewhere) + lost_of_ended);
	return found;
}

/* --- a flight recorder ---------------------------------------------------------------------------- */

static void dump_stream(struct record_stream *stream)
{
	if (load_acquire(&stream->state) == RECORD_STREAM_FREE ||
	    load_acquire(&stream->generation) != config->generation)
		return;
	/* seq_cst: after the store to record_frozen; acquire: pairs with the release at its end */
	while (load_seq_cst(&stream->opening))
		sched_yield();
	uint64_t head = load_acquire(&stream->head);
	uint64_t tail = load_relaxed(&stream->tail); /* where it began */
	if (head + 1 - tail > stream->packets)
		tail = head + 1 - stream->packets;
	memset(&stream->file, 0, sizeof(stream->file));
	write_range(stream, tail, head);
	(void)!write_open(stream, head, true);
}

static bool open_folder(char *error)
{
	if (folder >= 0)
		close(folder);
	file_bytes = lost_of_ended = lost_without_file = 0;
	/* What is in the buffers is older than its dump, of which nothing is complete before all of it is there. */
	began_ns = config->ring ? 0 : os_now_ns();
	ledger_ns = UINT64_MAX;
	memset(&ledger, 0, sizeof(ledger));
	cut = untold = false;
	store_relaxed(&events_written, 0);
	store_relaxed(&bytes_written, 0);
	store_relaxed(&streams_written, 0);
	folder = record_folder_make(config, options, directory, folder_path, sizeof(folder_path),
				    error);
	if (folder < 0)
		return false;
	write_ledger(began_ns);
	if (ledger.bytes > 0)
		return true;
	(void)snprintf(error, RECORD_ERROR_BYTES, "no room for a recording in %.200s", folder_path);
	return false;
}

static void dump(void)
{
	uint64_t lost = load_relaxed(&record_lost_elsewhere);

	error_text[0] = '\0';
	if (!open_folder(error_text)) {
		report_text(error_text);
		return;
	}
	/* seq_cst: see record_stream.h */
	store_seq_cst(&record_frozen, true);
	/* Threads go on appending to their open packets. What they appended until now is in all of them. */
	uint64_t now_ns = os_now_ns();
	bool complete = all_are_idle(END_PATIENCE_NS);
	size_t count = record_stream_count();
	for (size_t i = 0; i < count; i++) {
		struct record_stream *stream = record_stream_at(i);
		if (!stream)
			continue;
		dump_stream(stream);
		if (load_relaxed(&stream->generation) == config->generation)
			lost += load_relaxed(&stream->lost) + stream->file.lost;
	}
	write_ledger(complete && !cut ? now_ns : 0);
	store_seq_cst(&record_frozen, false);
	store_relaxed(&events_lost, lost);
}

/* --- the thread ----------------------------------------------------------------------------------- */

static void settle(enum phase to)
{
	/* release: pairs with the acquire in record_writer_start() */
	store_release(&phase, to);
	futex_wake(&phase);
}

/* Memory of rings that nobody reads any more goes back; what a late thread writes there later, nobody reads. */
static void end(void)
{
	size_t count = record_stream_count();
	for (size_t i = 0; i < count; i++) {
		struct record_stream *stream = record_stream_at(i);
		if (stream && stream->packets == config->packets)
			(void)!os_purge(stream->ring,
					(size_t)stream->packets * RECORD_PACKET_BYTES);
	}
	if (folder >= 0)
		close(folder);
	folder = -1;
}

static void serve(enum record_request what)
{
	if (what == RECORD_WRITE_DUMP)
		dump();
	else if (!config->ring)
		(void)write_all(true);
	if (what == RECORD_WRITE_END) {
		end();
		settle(WRITER_NONE);
	}
	store_relaxed(&request, RECORD_NO_REQUEST);
	/* release: what was written is there to be read; pairs with the acquire in record_writer_ask() */
	store_release(&served, load_relaxed(&served) + 1);
	futex_wake(&served);
}

static void work(void)
{
	bool news = true;
	for (;;) {
		futex_wait(&wanted, 0, config->ring ? 0 : news ? BUSY_NS : IDLE_NS);
		exchange_acquire(&wanted, 0);
		/* acquire: pairs with the release in record_writer_ask() */
		enum record_request what = (enum record_request)load_acquire(&request);
		if (what != RECORD_NO_REQUEST)
			serve(what);
		else if (!config->ring)
			news = write_all(false);
		if (what == RECORD_WRITE_END)
			return;
	}
}

static bool prepare(char *error)
{
	if (!apart_take_table()) {
		(void)snprintf(error, RECORD_ERROR_BYTES,
			       "the writer cannot have descriptors of its own");
		return false;
	}
#if defined(SYS_membarrier)
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
#endif
	return config->ring ? record_folder_check(directory, error) : open_folder(error);
}

static void *be_the_writer(void *unused)
{
	(void)unused;
	prctl(PR_SET_NAME, "hakmem-record");
	store_relaxed(&wanted, 0);
	if (prepare(error_text)) {
		settle(WRITER_RUNNING);
		work();
	} else {
		settle(WRITER_NONE);
	}
	report_ends();
	return NULL;
}

static int make_thread(size_t stack_bytes)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	int error = pthread_attr_init(&attributes);
	if (error)
		return error;
	(void)!pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (stack_bytes > 0)
		(void)!pthread_attr_setstacksize(&attributes, stack_bytes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, be_the_writer, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

bool record_writer_start(const struct record_config *with,
			 const struct record_options *wanted_options, const char *where,
			 char error[RECORD_ERROR_BYTES])
{
	config = with;
	options = wanted_options;
	directory = where;
	error_text[0] = folder_path[0] = '\0';
	store_relaxed(&events_written, 0);
	store_relaxed(&bytes_written, 0);
	store_relaxed(&streams_written, 0);
	store_relaxed(&events_lost, 0);
	store_relaxed(&request, RECORD_NO_REQUEST);
	store_relaxed(&phase, WRITER_STARTING);
	int reason = make_thread(STACK_BYTES);
	if (reason == EINVAL)
		reason = make_thread(0);
	if (reason) {
		store_relaxed(&phase, WRITER_NONE);
		(void)snprintf(error, RECORD_ERROR_BYTES, "no thread can be made");
		return false;
	}
	/* acquire: pairs with the release in settle() */
	while (load_acquire(&phase) == WRITER_STARTING)
		futex_wait(&phase, WRITER_STARTING, 0);
	if (load_acquire(&phase) == WRITER_RUNNING)
		return true;
	(void)snprintf(error, RECORD_ERROR_BYTES, "%s", error_text);
	return false;
}

void record_writer_wake(void)
{
	/* release: what is to be seen by the writer; pairs with its exchange */
	if (exchange_release(&wanted, 1) == 0) {
		int saved_errno = errno;
		futex_wake(&wanted);
		errno = saved_errno;
	}
}

bool record_writer_ask(enum record_request what, int patience_ms)
{
	uint64_t deadline_ns = patience_ms < 0 ? 0 : os_now_ns() + (uint64_t)patience_ms * 1000000u;
	/* acquire: pairs with the release in serve() */
	uint32_t before = load_acquire(&served), none = RECORD_NO_REQUEST;

	/* One at a time. Whoever finds another one's waits for that first; its end ends both. */
	while (!cas_acq_rel(&request, &none, what)) {
		if (load_acquire(&phase) != WRITER_RUNNING)
			return what == RECORD_WRITE_END;
		if (patience_ms >= 0 && os_now_ns() >= deadline_ns)
			return false;
		record_writer_wake();
		futex_wait(&served, before, 1000000);
		before = load_acquire(&served);
		none = RECORD_NO_REQUEST;
	}
	record_writer_wake();
	while (load_acquire(&served) == before) {
		uint64_t now_ns = os_now_ns();
		if (patience_ms >= 0 && now_ns >= deadline_ns)
			return false;
		futex_wait(&served, before, patience_ms < 0 ? 0 : deadline_ns - now_ns);
	}
	return true;
}

const char *record_writer_error(void)
{
	return error_text;
}

void record_writer_status(struct record_status *status)
{
	memset(status, 0, sizeof(*status));
	status->ring = config && config->ring;
	status->events = load_relaxed(&events_written);
	status->bytes = load_relaxed(&bytes_written);
	status->lost = load_relaxed(&events_lost);
	status->streams = load_relaxed(&streams_written);
	memcpy(status->folder, folder_path, sizeof(status->folder));
}

void record_writer_fork_child(void)
{
	store_relaxed(&phase, WRITER_NONE);
	store_relaxed(&request, RECORD_NO_REQUEST);
	folder = -1; /* of a table that is not here */
}
