/* SPDX-License-Identifier: MIT */
/* migrate/place.c - where the control pages of a user lie; see place.h */
#include "migrate/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool place_path(unsigned number, const char *xdg, uid_t uid, char out[PLACE_BYTES])
{
	int length = -1;

	if (number == 0 && xdg && xdg[0] == '/')
		length = snprintf(out, PLACE_BYTES, "%s/hakmem", xdg);
	else if (number == 1)
		length = snprintf(out, PLACE_BYTES, "/run/user/%u/hakmem", (unsigned)uid);
	else if (number == 2)
		length = snprintf(out, PLACE_BYTES, "/tmp/hakmem-%u", (unsigned)uid);
	return length > 0 && length + PLACE_NAME_BYTES < PLACE_BYTES;
}

/* The folder around it: a runtime directory is the user's own. /tmp is everybody's, and sticky. */
static bool parent_is_own(unsigned number, const char *path, uid_t uid)
{
	char parent[PLACE_BYTES];
	struct stat stat_of;

	if (number == 2)
		return true;
	size_t length = (size_t)(strrchr(path, '/') - path);
	memcpy(parent, path, length);
	parent[length] = '\0';
	return stat(parent, &stat_of) == 0 && S_ISDIR(stat_of.st_mode) && stat_of.st_uid == uid &&
	       (stat_of.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

const char *place_check_folder(int fd, uid_t uid)
{
	struct stat stat_of;

	if (fstat(fd, &stat_of) == 0 && S_ISDIR(stat_of.st_mode) && stat_of.st_uid == uid &&
	    (stat_of.st_mode & 07777) == 0700)
		return NULL;
	return "the folder of control pages is not the user's alone";
}

int place_make(unsigned number, const char *xdg, uid_t uid, const char **why)
{
	char path[PLACE_BYTES];

	*why = "there is no runtime directory";
	if (!place_path(number, xdg, uid, path) || !parent_is_own(number, path, uid))
		return -1;
	/* What the umask took is given back: only to what was made just now. */
	if (mkdir(path, 0700) == 0)
		(void)!fchmodat(AT_FDCWD, path, 0700, 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*why = "the folder of control pages cannot be opened";
	if (fd < 0)
		return -1;
	*why = place_check_folder(fd, uid);
	if (!*why)
		return fd;
	close(fd);
	return -1;
}

void place_name(char out[PLACE_NAME_BYTES], uint64_t pid, uint64_t start_ticks, unsigned attempt)
{
	int length = snprintf(out, PLACE_NAME_BYTES, "%llu-%llu", (unsigned long long)pid,
			      (unsigned long long)start_ticks);
	if (attempt > 0)
		(void)snprintf(out + length, PLACE_NAME_BYTES - (size_t)length, ".%u", attempt);
}

const char *place_check_file(int fd, uid_t uid)
{
	struct stat stat_of;

	if (fstat(fd, &stat_of) != 0 || !S_ISREG(stat_of.st_mode))
		return "it is no regular file";
	if (stat_of.st_uid != uid)
		return "it is not the process's user's";
	if ((stat_of.st_mode & 07777) != 0600)
		return "others may read or write it";
	return stat_of.st_nlink > 1 ? "it has another name" : NULL;
}

static struct flock lock_of(unsigned byte, short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

bool place_lock(int fd, unsigned byte)
{
	struct flock lock = lock_of(byte, F_WRLCK);
	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

void place_unlock(int fd, unsigned byte)
{
	struct flock lock = lock_of(byte, F_UNLCK);
	(void)!fcntl(fd, F_OFD_SETLK, &lock);
}

bool place_is_locked(int fd, unsigned byte)
{
	struct flock lock = lock_of(byte, F_WRLCK);
	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
