/* SPDX-License-Identifier: MIT */
/* tests/migrate_owner.c - helper: who serves a malloc of each size given on the command line
 *
 * Prints "SIZE=next SIZE=system ...", or "no library" if the process runs without ours.
 */
#include "shim/hakmem.h"

#include <stdio.h>
#include <stdlib.h>

/* Weak: the program is linked without the library, which is preloaded or not. */
extern __typeof__(hakmem_owner) hakmem_owner __attribute__((weak));

static const char *owner_name(const void *block)
{
	switch (hakmem_owner(block)) {
	case HAKMEM_OWNER_NEXT:
		return "next";
	case HAKMEM_OWNER_LEGACY:
		return "legacy";
	case HAKMEM_OWNER_SYSTEM:
		return "system";
	}
	return "?";
}

int main(int argc, char **argv)
{
	if (!hakmem_owner) {
		puts("no library");
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		void *block = malloc(strtoul(argv[i], NULL, 10));
		printf("%s%s=%s", i > 1 ? " " : "", argv[i], block ? owner_name(block) : "none");
		free(block);
	}
	putchar('\n');
	return 0;
}
