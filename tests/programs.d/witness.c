// SPDX-License-Identifier: MIT
/* tests/programs.d/witness.c - preloaded beside the library under test, says who serves malloc
 *
 * Appends one line for each process that starts, before its main:
 *
 *   pid <tab> command <tab> object that defines malloc <tab> object that defines hakmem_version
 *       <tab> the pool that serves each size of WITNESS_SIZES, as "64=next 4096=legacy"
 *
 * It asks in the global scope, as the program itself does, so an executable that brings its own
 * malloc, or a preload that the loader dropped, shows up as another object. No line at all means
 * that the preload never arrived. The line is written in one write(2) to a file opened for
 * appending: processes of one row write side by side.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The object that defines the name, in the order in which the program's own calls look for it. The program
 * itself may have an entry of that name and only jump on from there: one that is not position-independent
 * has, for every function whose address it takes, and dlsym() finds that first. */
static const char *object_of(const char *name)
{
	struct link_map *object = NULL;

	dlinfo(dlopen(NULL, RTLD_LAZY), RTLD_DI_LINKMAP, &object);
	for (; object; object = object->l_next) {
		void *handle = dlopen(object->l_name, RTLD_LAZY | RTLD_NOLOAD);
		void *address = handle ? dlsym(handle, name) : NULL;
		const ElfW(Sym) *symbol = NULL;
		Dl_info info;
		if (address && dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) &&
		    symbol && symbol->st_shndx != SHN_UNDEF)
			return info.dli_fname;
	}
	return "-";
}

/* Allocates the sizes that are asked for and says who owns them: a plan that is read but not followed
 * shows here, and nowhere in a program's output. */
static void list_owners(char *list, size_t list_bytes, const char *sizes)
{
	static const char *const names[] = { "system", "next", "legacy" }; /* enum hakmem_owner */
	int (*owner)(const void *) = (int (*)(const void *))dlsym(RTLD_DEFAULT, "hakmem_owner");
	size_t used = 0;
	char *end;

	list[0] = '\0';
	for (; owner && sizes && *sizes && used < list_bytes; sizes = end) {
		size_t size = strtoul(sizes, &end, 10);
		void *block = malloc(size);
		unsigned who = (unsigned)owner(block);
		used += (size_t)snprintf(list + used, list_bytes - used, "%s%zu=%s",
					 used ? " " : "", size, who < 3 ? names[who] : "unknown");
		free(block);
	}
}

__attribute__((constructor)) static void testify(void)
{
	const char *path = getenv("WITNESS_LOG");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	char owners[1024], line[4096];
	list_owners(owners, sizeof(owners), getenv("WITNESS_SIZES"));
	int length = snprintf(line, sizeof(line), "%d\t%s\t%s\t%s\t%s\n", getpid(),
			      program_invocation_short_name, object_of("malloc"),
			      object_of("hakmem_version"), owners);
	if (length > 0 && length < (int)sizeof(line) && write(fd, line, (size_t)length) < 0)
		perror("witness");
	close(fd);
}
