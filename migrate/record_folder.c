/* SPDX-License-Identifier: MIT */
/* migrate/record_folder.c - the folder of a recording and its metadata; see record_folder.h */
#include "migrate/record_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS       10000
#define METADATA_BYTES 8192
#define NAME_BYTES     64

static const char types[] =
	"/* CTF 1.8 */\n"
	"typealias integer { size = 4; align = 1; signed = false; } := u4;\n"
	"typealias integer { size = 8; align = 8; signed = false; } := u8;\n"
	"typealias integer { size = 16; align = 8; signed = false; } := u16;\n"
	"typealias integer { size = 32; align = 8; signed = false; } := u32;\n"
	"typealias integer { size = 48; align = 8; signed = false; base = 16; } := id48;\n"
	"typealias integer { size = 64; align = 8; signed = false; } := u64;\n";

static const char layout[] =
	"typealias integer { size = 24; align = 1; signed = false; map = clock.monotonic.value; } := time24;\n"
	"typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := time64;\n"
	"typealias integer { size = 64; align = 1; signed = false; map = clock.monotonic.value; } := packed_time64;\n"
	"stream {\n"
	"	id = 0;\n"
	"	packet.context := struct {\n"
	"		time64 timestamp_begin;\n"
	"		time64 timestamp_end;\n"
	"		u64 content_size;\n"
	"		u64 packet_size;\n"
	"		u64 packet_seq_num;\n"
	"		u64 events_discarded;\n"
	"		u32 tid;\n"
	"		u32 events;\n"
	"	};\n"
	"	event.header := struct {\n"
	"		enum : u4 { compact = 0 ... 14, extended = 15 } id;\n"
	"		variant <id> {\n"
	"			struct {\n"
	"				time24 timestamp;\n"
	"			} compact;\n"
	"			struct {\n"
	"				u4 id;\n"
	"				packed_time64 timestamp;\n"
	"			} extended;\n"
	"		} v;\n"
	"	} align(8);\n"
	"	event.context := struct {\n"
	"		enum : u4 {\n"
	"			unknown = 0, system = 1, next_hand = 2, next_refill = 3, next_span = 4,\n"
	"			next_huge = 5, legacy_fresh = 6, legacy_ring = 7, legacy_lifo = 8,\n"
	"			legacy_active_a = 9, legacy_active_b = 10, legacy_transfer = 11,\n"
	"			legacy_shard = 12, legacy_remote = 13, legacy = 14, next = 15\n"
	"		} served;\n"
	"	};\n"
	"};\n";

/* By enum record_event. */
static const struct {
	const char *name, *fields;
} events[] = {
	[RECORD_FREE] = { "free", "id48 address;" },
	[RECORD_MALLOC] = { "malloc", "id48 address; u16 size;" },
	[RECORD_MALLOC_LARGE] = { "malloc", "id48 address; u64 size;" },
	[RECORD_CALLOC] = { "calloc", "id48 address; u16 count; u16 size;" },
	[RECORD_CALLOC_LARGE] = { "calloc", "id48 address; u64 count; u64 size;" },
	[RECORD_ALIGNED] = { "aligned_alloc", "id48 address; u16 alignment; u16 size;" },
	[RECORD_ALIGNED_LARGE] = { "aligned_alloc", "id48 address; u64 alignment; u64 size;" },
	[RECORD_REALLOC_BEGIN] = { "realloc_begin", "id48 old;" },
	[RECORD_REALLOC] = { "realloc", "id48 old; id48 address; u16 size;" },
	[RECORD_REALLOC_LARGE] = { "realloc", "id48 old; id48 address; u64 size;" },
	[RECORD_THREAD_END] = { "thread_end", "u8 reserved;" },
};

/* --- metadata ------------------------------------------------------------------------------------- */

static void print_uuid(const unsigned char *uuid, char out[37])
{
	size_t length = 0;
	for (size_t i = 0; i < RECORD_UUID_BYTES; i++)
		length += (size_t)snprintf(out + length, 37 - length, "%s%02x",
					   i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
					   uuid[i]);
}

__attribute__((format(printf, 3, 4))) static void print(char *text, size_t *length,
							const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int count = vsnprintf(text + *length, METADATA_BYTES - *length, format, arguments);
	va_end(arguments);
	if (count > 0)
		*length += (size_t)count;
}

/* The clock's offset to 1970. */
static void print_clock(char *text, size_t *length)
{
	struct timespec real, monotonic;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	int64_t offset_ns = ((int64_t)real.tv_sec - monotonic.tv_sec) * 1000000000 + real.tv_nsec -
			    monotonic.tv_nsec;
	if (offset_ns < 0)
		offset_ns = 0;
	print(text, length,
	      "clock {\n\tname = monotonic;\n\tfreq = 1000000000;\n\toffset_s = %lld;\n"
	      "\toffset = %lld;\n};\n",
	      (long long)(offset_ns / 1000000000), (long long)(offset_ns % 1000000000));
}

static size_t metadata_text(const struct record_config *config,
			    const struct record_options *options, const char *program,
			    char text[METADATA_BYTES])
{
	char uuid[37];
	size_t length = 0;

	print_uuid(config->uuid, uuid);
	print(text, &length, "%s", types);
	print(text, &length,
	      "trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"%s\";\n\tbyte_order = le;\n"
	      "\tpacket.header := struct {\n\t\tu32 magic;\n\t\tu8 uuid[16];\n\t\tu32 stream_id;\n"
	      "\t\tu64 stream_instance_id;\n\t};\n};\n",
	      uuid);
	print(text, &length,
	      "env {\n\ttracer_name = \"hakmem\";\n\ttracer_version = \"%s\";\n"
	      "\ttrace_version = %d;\n\tvpid = %d;\n\tprocname = \"%s\";\n\taddresses = \"%s\";\n"
	      "\tmode = \"%s\";\n\tby = \"%s\";\n\tshare_millionths = %u;\n\tclasses = \"%s\";\n};\n",
	      PACKAGE_VERSION, RECORD_VERSION, (int)getpid(), program, config->raw ? "raw" : "ids",
	      config->ring ? "ring" : "stream", config->by_thread ? "thread" : "block",
	      options->share_millionths, options->classes);
	print_clock(text, &length);
	print(text, &length, "%s", layout);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		print(text, &length,
		      "event { name = \"%s\"; id = %zu; stream_id = 0; fields := struct { %s }; };\n",
		      events[i].name, i, events[i].fields);
	return length < METADATA_BYTES ? length : 0;
}

static bool write_metadata(int folder, const char *text, size_t length)
{
	int fd = openat(folder, "metadata", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (fd < 0)
		return false;
	bool done = fchmod(fd, 0600) == 0 && write(fd, text, length) == (ssize_t)length;
	close(fd);
	return done;
}

/* --- folder --------------------------------------------------------------------------------------- */

static bool fails(char *error, const char *directory, const char *why)
{
	(void)snprintf(error, RECORD_ERROR_BYTES, "%.180s: %s", directory, why);
	return false;
}

/* The name of the main thread, which ps shows; nothing in it that a path or the metadata could take amiss. */
static void program_name(char name[16])
{
	char path[32];
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)getpid());
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, name, 15) : 0;
	if (fd >= 0)
		close(fd);
	if (length > 0 && name[length - 1] == '\n')
		length--;
	for (ssize_t i = 0; i < length; i++) {
		bool plain = (name[i] >= '0' && name[i] <= '9') ||
			     (name[i] >= 'a' && name[i] <= 'z') ||
			     (name[i] >= 'A' && name[i] <= 'Z') || name[i] == '-' ||
			     name[i] == '_' || (name[i] == '.' && i > 0);
		name[i] = plain ? name[i] : '_';
	}
	if (length > 0)
		name[length] = '\0';
	else
		memcpy(name, "unknown", sizeof("unknown"));
}

static int open_directory(const char *directory, char *error)
{
	if (mkdir(directory, 0700) == 0)
		(void)!fchmodat(AT_FDCWD, directory, 0700, 0);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		(void)fails(error, directory,
			    errno == ELOOP || errno == ENOTDIR
				    ? "it is no folder, or a symbolic link"
				    : strerror(errno));
	return fd;
}

bool record_folder_check(const char *directory, char error[RECORD_ERROR_BYTES])
{
	int fd = open_directory(directory, error);
	if (fd < 0)
		return false;
	bool may = faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
	close(fd);
	return may || fails(error, directory, "it cannot be written");
}

/* A folder that was not there, under a name that says whose it is. */
static int make_own(int parent, const char *program, char name[NAME_BYTES])
{
	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		int length = snprintf(name, NAME_BYTES, "%s-%d", program, (int)getpid());
		if (attempt > 0)
			(void)snprintf(name + length, NAME_BYTES - (size_t)length, ".%u", attempt);
		if (mkdirat(parent, name, 0700) == 0)
			return openat(parent, name,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (errno != EEXIST)
			break;
	}
	return -1;
}

/* In a directory that others may write, someone may have put another folder in the place of the new one. */
static bool is_own(int fd)
{
	struct stat now;
	return fchmod(fd, 0700) == 0 && fstat(fd, &now) == 0 && now.st_uid == geteuid() &&
	       (now.st_mode & 07777) == 0700;
}

int record_folder_make(const struct record_config *config, const struct record_options *options,
		       const char *directory, char *path, size_t path_bytes,
		       char error[RECORD_ERROR_BYTES])
{
	static char text[METADATA_BYTES]; /* [writer] */
	char program[16], name[NAME_BYTES];

	int parent = open_directory(directory, error);
	if (parent < 0)
		return -1;
	program_name(program);
	int fd = make_own(parent, program, name);
	int reason = errno;
	close(parent);
	if (fd < 0) {
		(void)fails(error, directory, strerror(reason));
		return -1;
	}
	(void)snprintf(path, path_bytes, "%s/%s", directory, name);
	size_t length = metadata_text(config, options, program, text);
	errno = EACCES;
	if (is_own(fd) && length > 0 && write_metadata(fd, text, length))
		return fd;
	(void)fails(error, path, strerror(errno));
	close(fd);
	return -1;
}
