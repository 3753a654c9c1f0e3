/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/ctf.c - reads our own binary format, docs/TRACE.md
 *
 * One stream a thread, merged by time through a heap. Of events of one moment those that give back come first, so that
 * no address lives twice. Everything in a packet is checked against the packet before it is used.
 */
#include "migrate/tool/trace/ctf.h"

#include "migrate/tool/trace/format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define METADATA_MAX (64 * KIB)
#define STREAMS_MAX  65536u
/* LTTng puts a trace several folders below its session's. */
#define DEPTH_MAX    6
#define NAMES_BYTES  160

const uint8_t ctf_fields[RECORD_EVENTS][4] = {
	[RECORD_FREE] = { 6 },
	[RECORD_MALLOC] = { 6, 2 },
	[RECORD_MALLOC_LARGE] = { 6, 8 },
	[RECORD_CALLOC] = { 6, 2, 2 },
	[RECORD_CALLOC_LARGE] = { 6, 8, 8 },
	[RECORD_ALIGNED] = { 6, 2, 2 },
	[RECORD_ALIGNED_LARGE] = { 6, 8, 8 },
	[RECORD_REALLOC_BEGIN] = { 6 },
	[RECORD_REALLOC] = { 6, 2 },
	[RECORD_REALLOC_LARGE] = { 6, 8 },
	[RECORD_THREAD_END] = { 1 },
	[RECORD_FREE_PRESENT] = { 6, 8 },
	[RECORD_REALLOC_BEGIN_PRESENT] = { 6, 8 },
};

struct stream {
	int fd; /* -1: `memory` */
	const uint8_t *memory;
	char name[24];
	uint64_t bytes, offset; /* of the file; of the packet after this one */
	uint8_t *packet;	/* RECORD_PACKET_BYTES */
	size_t at, end;		/* in the packet */
	uint64_t time, end_ns, discarded; /* of the event before; of the packet */
	uint32_t tid;
	struct trace_event event; /* the next one */
};

struct ctf {
	struct stream *streams;
	size_t count;
	uint32_t *heap; /* of streams that have an event, the earliest first */
	size_t heap_count;
	uint64_t bytes, done;
	uint64_t complete_ns; /* until then all streams are whole: what stream-0 says */
};

static uint64_t number_at(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

static enum trace_status wrong(const struct stream *stream, size_t at, const char *why,
			       struct trace_error *error)
{
	trace_error_set(error, "%s: byte %llu: %s", stream->name,
			(unsigned long long)(stream->offset - RECORD_PACKET_BYTES + at), why);
	return TRACE_WRONG;
}

/* The next packet. TRACE_END: there is none, or not a whole one. */
static enum trace_status load_packet(struct ctf *ctf, struct stream *stream,
				     struct trace_error *error)
{
	if (stream->bytes - stream->offset < RECORD_PACKET_BYTES)
		return TRACE_END;
	if (stream->fd < 0) {
		memcpy(stream->packet, stream->memory + stream->offset, RECORD_PACKET_BYTES);
	} else {
		ssize_t got = pread(stream->fd, stream->packet, RECORD_PACKET_BYTES,
				    (off_t)stream->offset);
		if (got >= 0 && got < RECORD_PACKET_BYTES)
			return TRACE_END; /* it has become shorter */
		if (got < 0) {
			trace_error_set(error, "%s: %s", stream->name, strerror(errno));
			return TRACE_WRONG;
		}
	}
	stream->offset += RECORD_PACKET_BYTES;
	ctf->done += RECORD_PACKET_BYTES;

	const uint8_t *packet = stream->packet;
	uint64_t content = number_at(packet + CTF_AT_CONTENT, 8);
	if (number_at(packet, 4) != RECORD_MAGIC)
		return wrong(stream, 0, "no packet begins here", error);
	if (number_at(packet + CTF_AT_STREAM_ID, 4) != 0)
		return wrong(stream, CTF_AT_STREAM_ID, "no such stream id", error);
	if (number_at(packet + CTF_AT_SIZE, 8) != RECORD_PACKET_BYTES * 8)
		return wrong(stream, CTF_AT_SIZE, "a packet that is not 4096 bytes", error);
	if (content % 8 != 0 || content < RECORD_HEAD_BYTES * 8 || content > RECORD_PACKET_BYTES * 8)
		return wrong(stream, CTF_AT_CONTENT, "more, or less, in it than a packet holds",
			     error);
	stream->at = RECORD_HEAD_BYTES;
	stream->end = (size_t)(content / 8);
	stream->time = number_at(packet + CTF_AT_BEGIN, 8);
	stream->end_ns = number_at(packet + CTF_AT_END, 8);
	stream->discarded = number_at(packet + CTF_AT_DISCARDED, 8);
	stream->tid = (uint32_t)number_at(packet + CTF_AT_TID, 4);
	return TRACE_OK;
}

static void fill_event(struct trace_event *event, enum record_event id, const uint64_t field[4])
{
	static const enum trace_kind kinds[RECORD_EVENTS] = {
		[RECORD_FREE] = TRACE_FREE,
		[RECORD_MALLOC] = TRACE_MALLOC,
		[RECORD_MALLOC_LARGE] = TRACE_MALLOC,
		[RECORD_CALLOC] = TRACE_CALLOC,
		[RECORD_CALLOC_LARGE] = TRACE_CALLOC,
		[RECORD_ALIGNED] = TRACE_MEMALIGN,
		[RECORD_ALIGNED_LARGE] = TRACE_MEMALIGN,
		[RECORD_REALLOC_BEGIN] = TRACE_REALLOC_BEGIN,
		[RECORD_REALLOC] = TRACE_REALLOC,
		[RECORD_REALLOC_LARGE] = TRACE_REALLOC,
		[RECORD_THREAD_END] = TRACE_THREAD_END,
		[RECORD_FREE_PRESENT] = TRACE_FREE,
		[RECORD_REALLOC_BEGIN_PRESENT] = TRACE_REALLOC_BEGIN,
	};
	event->kind = kinds[id];
	switch (event->kind) {
	case TRACE_MALLOC:
		event->address = field[0];
		event->bytes = field[1];
		break;
	case TRACE_CALLOC:
		event->address = field[0];
		event->count = field[1];
		if (__builtin_mul_overflow(field[1], field[2], &event->bytes))
			event->bytes = UINT64_MAX;
		break;
	case TRACE_MEMALIGN:
		event->address = field[0];
		event->alignment = field[1];
		event->bytes = field[2];
		break;
	case TRACE_REALLOC:
		event->old_address = TRACE_UNKNOWN;
		event->address = field[0];
		event->bytes = field[1];
		break;
	case TRACE_REALLOC_BEGIN:
		event->old_address = field[0];
		break;
	case TRACE_FREE:
		event->address = field[0];
		break;
	case TRACE_THREAD_END:
		break;
	}
	if (id == RECORD_FREE_PRESENT || id == RECORD_REALLOC_BEGIN_PRESENT)
		event->present_bytes = field[1];
}

/* Steps over an event's header: its id, who served it, and the stream's time. */
static bool take_header(struct stream *stream, unsigned *id, unsigned *served)
{
	const uint8_t *at = stream->packet + stream->at;
	size_t left = stream->end - stream->at;

	if (left < CTF_COMPACT_BYTES)
		return false;
	uint32_t word = (uint32_t)number_at(at, CTF_COMPACT_BYTES);
	*id = word & 15;
	*served = word >> 28;
	if (*id != RECORD_EXTENDED) {
		uint64_t mask = (UINT64_C(1) << RECORD_TIME_BITS) - 1;
		uint64_t low = word >> 4 & mask;
		uint64_t time = (stream->time & ~mask) | low;
		if (low < (stream->time & mask))
			time += mask + 1;
		stream->time = time;
		stream->at += CTF_COMPACT_BYTES;
		return true;
	}
	if (left < CTF_EXTENDED_BYTES)
		return false;
	*id = at[0] >> 4;
	*served = at[9] & 15;
	stream->time = number_at(at + 1, 8);
	stream->at += CTF_EXTENDED_BYTES;
	return true;
}

/* Decodes the stream's next event into stream->event. */
static enum trace_status advance(struct ctf *ctf, struct stream *stream, struct trace_error *error)
{
	unsigned id, served;

	while (stream->at == stream->end) {
		enum trace_status status = load_packet(ctf, stream, error);
		if (status != TRACE_OK)
			return status;
	}
	size_t begin = stream->at;
	if (!take_header(stream, &id, &served))
		return wrong(stream, begin, "an event that is cut off", error);
	if (id >= RECORD_EVENTS)
		return wrong(stream, begin, "no such event", error);
	uint64_t field[4] = { 0 };
	for (size_t i = 0; i < 4 && ctf_fields[id][i]; i++) {
		size_t bytes = ctf_fields[id][i];
		if (stream->end - stream->at < bytes)
			return wrong(stream, begin, "an event that is cut off", error);
		field[i] = number_at(stream->packet + stream->at, bytes);
		stream->at += bytes;
	}
	stream->event = trace_event_of(TRACE_FREE, stream->tid);
	stream->event.time_ns = stream->time;
	stream->event.served = served;
	fill_event(&stream->event, (enum record_event)id, field);
	if (stream->event.bytes >= TRACE_BYTES_LIMIT || stream->event.alignment >= TRACE_BYTES_LIMIT)
		return wrong(stream, begin, "a size that no machine has", error);
	return TRACE_OK;
}

/* --- the merge --------------------------------------------------------------------------------- */

static bool gives_back(const struct trace_event *event)
{
	return event->kind == TRACE_FREE || event->kind == TRACE_REALLOC_BEGIN;
}

static bool comes_first(const struct ctf *ctf, uint32_t left, uint32_t right)
{
	const struct trace_event *a = &ctf->streams[left].event;
	const struct trace_event *b = &ctf->streams[right].event;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns;
	if (gives_back(a) != gives_back(b))
		return gives_back(a);
	return left < right;
}

static void sift_down(struct ctf *ctf, size_t at)
{
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= ctf->heap_count)
			return;
		if (child + 1 < ctf->heap_count &&
		    comes_first(ctf, ctf->heap[child + 1], ctf->heap[child]))
			child++;
		if (!comes_first(ctf, ctf->heap[child], ctf->heap[at]))
			return;
		uint32_t moved = ctf->heap[at];
		ctf->heap[at] = ctf->heap[child];
		ctf->heap[child] = moved;
		at = child;
	}
}

/* The earliest event of all streams. */
static enum trace_status take_first(struct ctf *ctf, struct trace_event *event,
				    struct trace_error *error)
{
	if (ctf->heap_count == 0)
		return TRACE_END;
	struct stream *stream = &ctf->streams[ctf->heap[0]];
	*event = stream->event;
	enum trace_status status = advance(ctf, stream, error);
	if (status == TRACE_WRONG)
		return status;
	if (status == TRACE_END)
		ctf->heap[0] = ctf->heap[--ctf->heap_count];
	sift_down(ctf, 0);
	return TRACE_OK;
}

static enum trace_status next(struct trace_reader *reader, struct trace_event *event,
			      struct trace_error *error)
{
	struct ctf *ctf = reader->own;
	enum trace_status status;

	/* Of a recording that was cut the streams end at different moments. */
	while ((status = take_first(ctf, event, error)) == TRACE_OK) {
		if (event->time_ns <= ctf->complete_ns)
			return TRACE_OK;
		reader->traits.cut++;
	}
	reader->traits.discarded = 0;
	for (size_t i = 0; i < ctf->count; i++)
		reader->traits.discarded += ctf->streams[i].discarded;
	return status;
}

static enum trace_status begin_merge(struct ctf *ctf, struct trace_error *error)
{
	ctf->heap = calloc(ctf->count + 1, sizeof(*ctf->heap));
	if (!ctf->heap) {
		trace_error_set(error, "%s", strerror(errno));
		return TRACE_WRONG;
	}
	for (size_t i = 0; i < ctf->count; i++) {
		enum trace_status status = advance(ctf, &ctf->streams[i], error);
		if (status == TRACE_WRONG)
			return status;
		if (strcmp(ctf->streams[i].name, "stream-0") == 0 && ctf->streams[i].offset != 0)
			ctf->complete_ns = ctf->streams[i].end_ns;
		if (status == TRACE_OK)
			ctf->heap[ctf->heap_count++] = (uint32_t)i;
	}
	for (size_t i = ctf->heap_count; i-- > 0;)
		sift_down(ctf, i);
	return TRACE_OK;
}

/* --- opening ----------------------------------------------------------------------------------- */

static void close_ctf(struct trace_reader *reader)
{
	struct ctf *ctf = reader->own;

	for (size_t i = 0; i < ctf->count; i++) {
		if (ctf->streams[i].fd >= 0)
			close(ctf->streams[i].fd);
		free(ctf->streams[i].packet);
	}
	free(ctf->streams);
	free(ctf->heap);
	free(ctf);
}

static void progress(const struct trace_reader *reader, uint64_t *done, uint64_t *all)
{
	const struct ctf *ctf = reader->own;
	*done = ctf->done;
	*all = ctf->bytes;
}

static struct trace_reader *new_reader(struct trace_error *error)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	struct ctf *ctf = calloc(1, sizeof(*ctf));

	if (!reader || !ctf) {
		trace_error_set(error, "%s", strerror(ENOMEM));
		free(reader);
		free(ctf);
		return NULL;
	}
	ctf->complete_ns = UINT64_MAX;
	reader->source.fd = -1;
	reader->own = ctf;
	reader->next = next;
	reader->close = close_ctf;
	reader->progress = progress;
	reader->traits = (struct trace_traits){
		.format = "hakmem",
		.title = "hakmem's own (CTF 1.8)",
		.has_threads = true,
	};
	return reader;
}

/* A place for one more stream; its packet is there. */
static struct stream *add_stream(struct ctf *ctf, const char *name)
{
	if ((ctf->count & (ctf->count - 1)) == 0) { /* full at every power of two */
		size_t room = ctf->count ? ctf->count * 2 : 1;
		struct stream *streams = realloc(ctf->streams, room * sizeof(*streams));
		if (!streams)
			return NULL;
		ctf->streams = streams;
	}
	struct stream *stream = &ctf->streams[ctf->count];
	*stream = (struct stream){ .fd = -1, .packet = malloc(RECORD_PACKET_BYTES) };
	if (!stream->packet)
		return NULL;
	(void)snprintf(stream->name, sizeof(stream->name), "%s", name);
	ctf->count++;
	return stream;
}

static bool open_stream(struct ctf *ctf, int folder, const char *name, struct trace_error *error)
{
	struct stat stat;

	if (ctf->count >= STREAMS_MAX) {
		trace_error_set(error, "more than %u streams", STREAMS_MAX);
		return false;
	}
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stream *stream = fd >= 0 && fstat(fd, &stat) == 0 ? add_stream(ctf, name) : NULL;
	if (!stream) {
		trace_error_set(error, "%s: %s", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	stream->fd = fd;
	stream->bytes = S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0;
	ctf->bytes += stream->bytes;
	return true;
}

/* Every thread has a file. */
static void allow_many_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool open_streams(struct ctf *ctf, int folder, struct trace_error *error)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;
	bool fine = true;

	if (!list) {
		trace_error_set(error, "%s", strerror(errno));
		if (copy >= 0)
			close(copy);
		return false;
	}
	allow_many_files();
	while (fine && (entry = readdir(list)))
		if (strncmp(entry->d_name, "stream-", 7) == 0)
			fine = open_stream(ctf, folder, entry->d_name, error);
	closedir(list);
	return fine;
}

/* The file `metadata` of an open folder, with a NUL behind it. NULL: there is none, or it cannot be read. */
static char *read_metadata(int folder)
{
	int fd = openat(folder, "metadata", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char *text = fd >= 0 ? malloc(METADATA_MAX + 1) : NULL;
	size_t length = 0;
	ssize_t got = 0;

	while (text && length < METADATA_MAX &&
	       (got = read(fd, text + length, METADATA_MAX - length)) > 0)
		length += (size_t)got;
	if (fd >= 0)
		close(fd);
	if (!text || got < 0) {
		free(text);
		return NULL;
	}
	text[length] = '\0';
	return text;
}

/* "NAME = NUMBER;" of the env block. */
static bool env_number(const char *metadata, const char *name, uint64_t *value)
{
	const char *at = strstr(metadata, name);
	if (!at)
		return false;
	struct cursor cursor = { at + strlen(name), at + strlen(at) };
	text_skip_blanks(&cursor);
	if (!text_take(&cursor, '='))
		return false;
	text_skip_blanks(&cursor);
	return text_decimal(&cursor, value);
}

/* The folders below (and with) `path` that hold a trace: how many, the first one's name in `found`, and some names in
 * `names`. */
static unsigned find_traces(char *path, unsigned depth, char *found, char names[NAMES_BYTES])
{
	size_t length = strlen(path);
	const struct dirent *entry;
	unsigned traces = 0;

	if (length + sizeof("/metadata") >= PATH_MAX)
		return 0;
	strcpy(path + length, "/metadata");
	bool is_one = access(path, F_OK) == 0;
	path[length] = '\0';
	if (is_one) {
		const char *slash = strrchr(path, '/');
		size_t used = strlen(names);
		(void)snprintf(names + used, NAMES_BYTES - used, "%s%.40s", used ? ", " : "",
			       slash ? slash + 1 : path);
		if (!*found)
			strcpy(found, path);
		return 1;
	}
	DIR *list = depth ? opendir(path) : NULL;
	while (list && (entry = readdir(list))) {
		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
		    length + strlen(entry->d_name) + 2 > PATH_MAX)
			continue;
		path[length] = '/';
		strcpy(path + length + 1, entry->d_name);
		traces += find_traces(path, depth - 1, found, names);
		path[length] = '\0';
	}
	if (list)
		closedir(list);
	return traces;
}

/* Of several folders with a trace in them none is meant more than the others. */
static int find_folder(const char *path, char *found, struct trace_error *error)
{
	char walk[PATH_MAX], names[NAMES_BYTES] = "";

	*found = '\0';
	(void)snprintf(walk, sizeof(walk), "%s", path);
	size_t length = strlen(walk);
	while (length > 1 && walk[length - 1] == '/')
		walk[--length] = '\0';
	unsigned traces = find_traces(walk, DEPTH_MAX, found, names);
	if (traces != 1) {
		trace_error_set(error,
				traces ? "holds %u traces, one a process; name one of them: %s" :
					 "is a folder without a file `metadata' in it or below",
				traces, names);
		return -1;
	}
	int folder = open(found, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		trace_error_set(error, "%s", strerror(errno));
	return folder;
}

struct trace_reader *ctf_open(const char *path, char *found, bool *foreign,
			      struct trace_error *error)
{
	uint64_t version = 0;

	*foreign = false;
	int folder = find_folder(path, found, error);
	if (folder < 0)
		return NULL;
	char *metadata = read_metadata(folder);
	if (!metadata || !strstr(metadata, "tracer_name = \"hakmem\"") ||
	    !env_number(metadata, "trace_version", &version)) {
		*foreign = true;
		trace_error_set(error, "is no trace of ours");
		free(metadata);
		close(folder);
		return NULL;
	}
	struct trace_reader *reader = new_reader(error);
	if (reader && version != RECORD_VERSION) {
		trace_error_set(error, "is of version %llu of the format; this command knows %d",
				(unsigned long long)version, RECORD_VERSION);
		trace_close(reader);
		reader = NULL;
	}
	if (reader) {
		(void)env_number(metadata, "vpid", &reader->traits.process);
		if (!open_streams(reader->own, folder, error) ||
		    begin_merge(reader->own, error) != TRACE_OK) {
			trace_close(reader);
			reader = NULL;
		}
	}
	free(metadata);
	close(folder);
	return reader;
}

struct trace_reader *ctf_open_memory(const void *data, size_t bytes, struct trace_error *error)
{
	struct trace_reader *reader = new_reader(error);
	if (!reader)
		return NULL;
	struct ctf *ctf = reader->own;
	struct stream *stream = add_stream(ctf, "stream-1");
	if (!stream) {
		trace_error_set(error, "%s", strerror(ENOMEM));
	} else {
		stream->memory = data;
		stream->bytes = ctf->bytes = bytes;
		if (begin_merge(ctf, error) == TRACE_OK)
			return reader;
	}
	trace_close(reader);
	return NULL;
}
