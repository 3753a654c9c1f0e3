/* SPDX-License-Identifier: MIT */
/* migrate/tool/client.h - the command's side of the control page
 *
 * The page of a process is looked for where the process would have made it, below /proc/PID/root, so in its own mount
 * namespace, under the number it has in its own process-id namespace. It may be a hostile process and the command
 * root's: no link leads out of that root, nothing is opened but a regular file of the process's user, everything read is
 * checked (migrate/page.h) and nobody is waited for without an end.
 */
#ifndef TOOL_CLIENT_H
#define TOOL_CLIENT_H

#include "migrate/page.h"

#include <sys/types.h>

#define CLIENT_ERROR_BYTES 256
#define CLIENT_PATIENCE_MS 5000

/* A process as /proc tells of it. */
struct client_process {
	pid_t pid;	      /* here */
	uint64_t inner_pid;   /* as it sees itself */
	uint64_t start_ticks; /* 0: not told */
	uid_t uid, inner_uid; /* its effective user, here and as it sees itself */
	char name[16];
};

/* False if there is no such process. */
MUST_USE bool client_look_up(pid_t pid, struct client_process *process);

/* What the process takes now, as the kernel counts. 0 for what cannot be told. */
struct client_usage {
	uint64_t resident_bytes, threads, age_s;
};

void client_read_usage(const struct client_process *process, struct client_usage *usage);

struct client {
	struct client_process process;
	int fd;
	unsigned patience_ms; /* CLIENT_PATIENCE_MS unless the caller says otherwise */
	struct page_header header;
};

/* Opens the page of the process. False with one line in `error` if it has none that is attended to, or the caller may
 * not open it. */
MUST_USE bool client_open(struct client *client, pid_t pid, char error[CLIENT_ERROR_BYTES]);
void client_close(struct client *client);

/* The process still attends to the page. */
MUST_USE bool client_attended(const struct client *client);

/* Writes a request and waits for the answer. False with a line in `error` if none came; a refusal is an answer. `text`
 * may be NULL. `status`, where it is not NULL, gets the figures that came with the answer to PAGE_STATUS or PAGE_TRY,
 * unless that was refused. */
MUST_USE bool client_ask(struct client *client, enum page_operation operation, const char *text,
			 struct page_answer *answer, struct page_status *status,
			 char error[CLIENT_ERROR_BYTES]);

/* Removes the pages of dead processes in the caller's own folders. Returns how many. */
unsigned client_clean_up(void);

#endif
