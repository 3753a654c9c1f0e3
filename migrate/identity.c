/* SPDX-License-Identifier: MIT */
/* migrate/identity.c - which process and which host this is; see identity.h */
#include "migrate/identity.h"

#include "migrate/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define START_TICKS_FIELD 22
#define MACHINE_ID_DIGITS 32

/* The beginning of a file, or what there is of it. */
static size_t read_file(const char *path, char *out, size_t room)
{
	int saved_errno = errno;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t length = 0;
	if (fd >= 0) {
		length = read(fd, out, room);
		close(fd);
	}
	errno = saved_errno;
	return length > 0 ? (size_t)length : 0;
}

uint64_t identity_start_ticks(const char *stat, size_t length)
{
	const char *at = memrchr(stat, ')', length), *end = stat + length;
	uint64_t value = 0;

	if (!at)
		return 0;
	/* Behind the bracket comes a blank and field 3. */
	for (int field = 2; at < end && field < START_TICKS_FIELD; at++)
		field += *at == ' ';
	for (; at < end && *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

struct identity_process identity_process(void)
{
	char stat[1024];
	size_t length = read_file("/proc/self/stat", stat, sizeof(stat));
	return (struct identity_process){
		.pid = (uint64_t)getpid(),
		.start_ticks = identity_start_ticks(stat, length),
	};
}

static bool read_machine_id(const char *path, char out[IDENTITY_HOST_BYTES])
{
	char text[MACHINE_ID_DIGITS + 1];
	size_t length = read_file(path, text, sizeof(text));

	if (length < MACHINE_ID_DIGITS ||
	    (length > MACHINE_ID_DIGITS && text[MACHINE_ID_DIGITS] != '\n'))
		return false;
	for (size_t i = 0; i < MACHINE_ID_DIGITS; i++) {
		bool digit = (text[i] >= '0' && text[i] <= '9') ||
			     (text[i] >= 'a' && text[i] <= 'f');
		if (!digit)
			return false;
	}
	memcpy(out, text, MACHINE_ID_DIGITS);
	out[MACHINE_ID_DIGITS] = '\0';
	return true;
}

size_t identity_host(char out[IDENTITY_HOST_BYTES])
{
	struct utsname names;

	if (read_machine_id("/etc/machine-id", out) ||
	    read_machine_id("/var/lib/dbus/machine-id", out))
		return MACHINE_ID_DIGITS;
	if (uname(&names) != 0 || !names.nodename[0])
		strcpy(names.nodename, "?");
	size_t length = strnlen(names.nodename, IDENTITY_HOST_BYTES - 1);
	memcpy(out, names.nodename, length);
	out[length] = '\0';
	return length;
}

static uint32_t seed_of(const char *salt)
{
	return hash_bytes(salt, strlen(salt), 0);
}

uint32_t identity_process_draw(const struct identity_process *process, const char *salt)
{
	unsigned char bytes[16];

	for (unsigned i = 0; i < 8; i++) {
		bytes[i] = (unsigned char)(process->pid >> (8 * i));
		bytes[8 + i] = (unsigned char)(process->start_ticks >> (8 * i));
	}
	return hash_bytes(bytes, sizeof(bytes), seed_of(salt));
}

uint32_t identity_host_draw(const char *id, size_t length, const char *salt)
{
	return hash_bytes(id, length, seed_of(salt));
}
