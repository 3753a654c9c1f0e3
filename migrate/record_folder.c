/* SPDX-License-Identifier: MIT */
/* migrate/record_folder.c - the folder of a recording and its metadata; see record_folder.h */
#include "migrate/record_folder.h"

#include "migrate/record_metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS       10000
#define NAME_BYTES     64

/* --- metadata ------------------------------------------------------------------------------------- */

/* The clock's offset to 1970. */
static uint64_t clock_offset_ns(void)
{
	struct timespec real, monotonic;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	int64_t offset_ns = ((int64_t)real.tv_sec - monotonic.tv_sec) * 1000000000 + real.tv_nsec -
			    monotonic.tv_nsec;
	return offset_ns > 0 ? (uint64_t)offset_ns : 0;
}

static size_t metadata_text(const struct record_config *config, const struct record_options *options,
			    const char *program, char text[RECORD_METADATA_BYTES])
{
	const struct record_metadata metadata = {
		.uuid = config->uuid,
		.process = (uint64_t)getpid(),
		.program = program,
		.addresses = config->raw ? "raw" : "ids",
		.mode = config->ring ? "ring" : "stream",
		.by = config->by_thread ? "thread" : "block",
		.share_millionths = options->share_millionths,
		.classes = options->classes,
		.offset_ns = clock_offset_ns(),
	};
	return record_metadata_text(&metadata, text);
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
	static char text[RECORD_METADATA_BYTES]; /* [writer] */
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
