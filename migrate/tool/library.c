/* SPDX-License-Identifier: MIT */
/* migrate/tool/library.c - which library hakmem run preloads
 *
 * A tool in its build tree takes the library of that tree, an installed one what was installed with
 * it, also when the whole prefix was moved. Only places that belong to whoever put the tool there
 * are searched: the library becomes part of another program.
 */
#include "migrate/tool/tool.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef HAKMEM_LIBDIR
#define HAKMEM_LIBDIR "/usr/local/lib" /* the build passes its own */
#endif

/* The first is what a program needs to run, the second comes with the headers. */
static const char *const file_names[] = { "libhakmem.so.0", "libhakmem.so" };

/* Below the folder that an installed tool lies in. */
static const char *const installed_beside[] = {
	"../lib",
	"../lib64",
#if defined(__x86_64__)
	"../lib/x86_64-linux-gnu",
#elif defined(__aarch64__)
	"../lib/aarch64-linux-gnu",
#endif
};

/* folder/below/file, made absolute without symbolic links: LD_PRELOAD outlives a chdir(). */
static bool try_folder(const char *folder, const char *below, char *path)
{
	for (size_t i = 0; i < sizeof(file_names) / sizeof(file_names[0]); i++) {
		char *file;
		if (asprintf(&file, "%s/%s/%s", folder, below, file_names[i]) < 0)
			return false;
		bool found = realpath(file, path) != NULL && access(path, R_OK) == 0;
		free(file);
		if (found)
			return true;
	}
	return false;
}

/* Cuts `tail` off the end of the path, if it ends in it. */
static void cut_tail(char *path, const char *tail)
{
	size_t length = strlen(path), cut = strlen(tail);
	if (length > cut && strcmp(path + length - cut, tail) == 0)
		path[length - cut] = '\0';
}

/* In a build tree the tool lies in the root or in migrate/tool, and libtool may have moved the real
 * program into .libs and left a script in its place. */
static bool find_beside_tool(char *path)
{
	char folder[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	if (length <= 0)
		return false;
	folder[length] = '\0';
	char *slash = strrchr(folder, '/');
	if (!slash)
		return false;
	*slash = '\0';

	char root[PATH_MAX];
	memcpy(root, folder, sizeof(root));
	cut_tail(root, "/.libs");
	cut_tail(root, "/migrate/tool");
	if (try_folder(root, ".libs", path))
		return true;
	for (size_t i = 0; i < sizeof(installed_beside) / sizeof(installed_beside[0]); i++) {
		if (try_folder(folder, installed_beside[i], path))
			return true;
	}
	return false;
}

/* ld.so cuts LD_PRELOAD at blanks and colons and expands dollars, and knows no quoting. */
static bool can_be_preloaded(const char *name, const char *path)
{
	if (!path[strcspn(path, " :$")])
		return true;
	tool_error(name, "%s: a path with a blank, ':' or '$' cannot be preloaded", path);
	return false;
}

/* What ld.so cannot load it leaves out with a word, and another library without one; the program would run
 * all the same. */
static bool is_hakmem(const char *name, const char *path)
{
	void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (library && dlsym(library, "hakmem_version"))
		return true;
	if (library)
		tool_error(name, "%s is not the hakmem library", path);
	else
		tool_error(name, "%s", dlerror());
	return false;
}

bool library_find(const char *name, const char *option, char *path)
{
	const char *given = option ? option : getenv("HAKMEM_LIB");

	if (given && *given) {
		if (!realpath(given, path)) {
			tool_error(name, "%s: %s", given, strerror(errno));
			return false;
		}
		return can_be_preloaded(name, path) && is_hakmem(name, path);
	}
	if (find_beside_tool(path) || try_folder(HAKMEM_LIBDIR, ".", path))
		return can_be_preloaded(name, path) && is_hakmem(name, path);
	tool_error(name, "no %s: name it with --lib or HAKMEM_LIB", file_names[0]);
	return false;
}
