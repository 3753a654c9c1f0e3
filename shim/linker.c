/* SPDX-License-Identifier: MIT */
/* shim/linker.c - the dynamic linker, where there is one; see linker.h */
#include "shim/linker.h"

#include <dlfcn.h>

/* Weak, so as not to drag it into static programs. Where libc does so itself, dlsym() finds nothing there
 * and answers NULL, which is the same to us. */
extern __typeof__(dlsym) dlsym __attribute__((weak));

void *linker_symbol(void *scope, const char *name)
{
	return dlsym ? dlsym(scope, name) : NULL;
}

/* dlopen is not mentioned but looked up: the link of a static program warns of every mention. */
void *linker_loaded(const char *object)
{
	__typeof__(dlopen) *open = linker_symbol(RTLD_DEFAULT, "dlopen");
	return open ? open(object, RTLD_LAZY | RTLD_NOLOAD) : NULL;
}
