/* SPDX-License-Identifier: MIT */
/* migrate/tool/target.c - whether a program will load a preloaded library at all
 *
 * The dynamic linker decides that after exec(), silently: a static program has none, a program that
 * changes user ignores LD_PRELOAD, one for another machine cannot load our library. It is told from
 * the file's first page. This is advice, so whatever cannot be read is passed over.
 */
#include "migrate/tool/tool.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#define OUR_MACHINE EM_NONE
#endif

#define SCRIPTS_DEEP 4 /* the kernel follows as many interpreters */

/* The beginning of a program's file. */
struct head {
	char path[PATH_MAX];
	struct stat stat;
	size_t bytes;
	_Alignas(Elf64_Ehdr) char data[4096];
};

/* As execvp() looks for it. */
static bool find_program(const char *command, char *path)
{
	const char *folders = getenv("PATH");

	if (strchr(command, '/'))
		return snprintf(path, PATH_MAX, "%s", command) < PATH_MAX;
	for (const char *at = folders ? folders : "/bin:/usr/bin"; at;) {
		size_t length = strcspn(at, ":");
		int used = snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, at,
				    length > 0 ? "/" : "", command);
		if (used > 0 && used < PATH_MAX && access(path, X_OK) == 0)
			return true;
		at = at[length] == ':' ? at + length + 1 : NULL;
	}
	return false;
}

static bool read_head(struct head *head)
{
	bool done = false;
	int fd = open(head->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (fstat(fd, &head->stat) == 0 && S_ISREG(head->stat.st_mode)) {
		ssize_t count = pread(fd, head->data, sizeof(head->data) - 1, 0);
		head->bytes = count > 0 ? (size_t)count : 0;
		head->data[head->bytes] = '\0';
		done = true;
	}
	close(fd);
	return done;
}

/* "#! /path/to/interpreter argument": the interpreter's path takes the script's place. */
static bool follow_script(struct head *head)
{
	if (head->bytes < 2 || memcmp(head->data, "#!", 2) != 0)
		return false;
	const char *path = head->data + 2 + strspn(head->data + 2, " \t");
	size_t length = strcspn(path, " \t\n");
	if (length == 0 || length >= sizeof(head->path))
		return false;
	memcpy(head->path, path, length);
	head->path[length] = '\0';
	return read_head(head);
}

/* exec() changes the user or gives capabilities: the linker then ignores LD_PRELOAD. */
static bool gains_privilege(const struct head *head)
{
	mode_t mode = head->stat.st_mode;

	if ((mode & S_ISUID) && head->stat.st_uid != getuid())
		return true;
	if ((mode & S_ISGID) && head->stat.st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(head->path, "security.capability", NULL, 0) > 0;
}

static bool is_for_other_machine(const struct head *head)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)head->data;

	return header->e_ident[EI_CLASS] != ELFCLASS64 ||
	       (OUR_MACHINE != EM_NONE && header->e_machine != OUR_MACHINE);
}

/* No program header names a dynamic linker. The linker itself looks like that too, and obeys
 * LD_PRELOAD, but is no position-independent executable as a static one is. */
static bool is_static(const struct head *head)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)head->data;
	bool dynamic = false;

	for (size_t i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;
		size_t start;
		if (__builtin_add_overflow(header->e_phoff, i * sizeof(segment), &start) ||
		    start > head->bytes || head->bytes - start < sizeof(segment))
			return false; /* beyond the first page: not told */
		memcpy(&segment, head->data + start, sizeof(segment));
		if (segment.p_type == PT_INTERP)
			return false;
		dynamic |= segment.p_type == PT_DYNAMIC;
	}
	const char *slash = strrchr(head->path, '/');
	return !dynamic || strncmp(slash ? slash + 1 : head->path, "ld", 2) != 0;
}

void target_check(const char *name, const char *command)
{
	static struct head head;

	if (!find_program(command, head.path) || !read_head(&head))
		return;
	for (int depth = 0; depth < SCRIPTS_DEEP && follow_script(&head); depth++)
		;
	if (gains_privilege(&head))
		tool_warning(name,
			     "%s runs with other rights than yours, so the library is not "
			     "loaded",
			     head.path);
	if (head.bytes < sizeof(Elf64_Ehdr) || memcmp(head.data, ELFMAG, SELFMAG) != 0)
		return;
	if (is_for_other_machine(&head))
		tool_warning(name,
			     "%s is for another kind of machine, so the library is not loaded",
			     head.path);
	else if (is_static(&head))
		tool_warning(name, "%s is a static program, so the library is not loaded",
			     head.path);
}
