/* SPDX-License-Identifier: MIT */
/* tests/migrate_owner.c - helper: who serves a malloc of each size given on the command line, or asked for later
 *
 *	migrate_owner SIZE...	"SIZE=next SIZE=system ...", or "no library" if the process runs without ours
 *	migrate_owner -		the same for every line of sizes on standard input, until it ends. A line that is
 *				"fork" goes on in a child, with "child PID"; "chdir PATH" changes the directory;
 *				"exec COMMAND" becomes that
 */
#include "shim/hakmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void print_owner(const char *size, const char *before)
{
	void *block = malloc(strtoul(size, NULL, 10));
	printf("%s%s=%s", before, size, block ? owner_name(block) : "none");
	free(block);
}

/* The parent waits, so that whoever started it sees one process end. */
static void go_on_in_child(void)
{
	pid_t child = fork();
	if (child > 0) {
		int status = 1;
		waitpid(child, &status, 0);
		exit(status != 0);
	}
	printf("child %d\n", (int)getpid());
}

static void answer(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "fork") == 0) {
		go_on_in_child();
	} else if (strncmp(line, "chdir ", 6) == 0) {
		printf("%s\n", chdir(line + 6) == 0 ? "ok" : "failed");
	} else if (strncmp(line, "exec ", 5) == 0) {
		printf("ok\n");
		fflush(stdout);
		execl("/bin/sh", "sh", "-c", line + 5, (char *)NULL);
	} else {
		const char *before = "";
		for (char *size = strtok(line, " "); size; size = strtok(NULL, " ")) {
			print_owner(size, before);
			before = " ";
		}
		putchar('\n');
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char line[4096];

	if (!hakmem_owner) {
		puts("no library");
		return 1;
	}
	if (argc == 2 && strcmp(argv[1], "-") == 0) {
		setvbuf(stdin, NULL, _IONBF, 0);
		while (fgets(line, sizeof(line), stdin))
			answer(line);
		return 0;
	}
	for (int i = 1; i < argc; i++)
		print_owner(argv[i], i > 1 ? " " : "");
	putchar('\n');
	return 0;
}
