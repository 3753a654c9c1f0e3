/* SPDX-License-Identifier: MIT */
/* migrate/tool/show.h - a status, put into words and into JSON */
#ifndef TOOL_SHOW_H
#define TOOL_SHOW_H

#include "migrate/tool/client.h"

struct json_object;

/* Everything that a process says about itself becomes safe to print. To be called on whatever was read. */
void show_make_safe(struct client *client, struct page_status *status);

/* "next", "legacy", "system". */
const char *show_owner(uint32_t owner);

/* Why the class is where it is: "live plan", "latched: asked for by the command", "host not drawn". */
#define SHOW_WHY_BYTES 80
const char *show_why(const struct hakmem_class *class, char out[SHOW_WHY_BYTES]);

/* "redis-server (4711)  up 2 h 13 min, 45.1 MiB resident, 5 threads, hakmem 0.1.0" */
#define SHOW_TITLE_BYTES 200
void show_title(const struct client *client, const struct client_usage *usage,
		char out[SHOW_TITLE_BYTES]);

/* For people. `before`, an earlier look or NULL, is for what there is a second. each: a row for every class; else classes
 * that differ in figures only share one. */
void show_status(const struct client *client, const struct page_status *now,
		 const struct page_status *before, bool each);

/* What flips have left behind: in legacy of classes that are next's, in next of classes that are old. Segments are those of
 * each class, of which several may share one: of more than one class the sum is the most that there can be. youngest_ns:
 * since the last of these flips, so that every such block is at least as old; HAKMEM_UNKNOWN if there is none. */
struct show_stranded {
	unsigned old_classes, next_classes;
	uint64_t old_blocks, old_bytes, old_pages, old_segments, old_pinned_bytes;
	uint64_t next_blocks, next_bytes, next_pages, next_segments, next_held_bytes;
	uint64_t youngest_ns;
};
void show_stranded(const struct page_status *status, struct show_stranded *out);

/* What would move, and what would stay behind where it is. */
void show_trial(const struct page_status *status);

struct json_object *show_json(const struct client *client, const struct page_status *now,
			      const struct page_status *before);
struct json_object *show_trial_json(const struct page_status *status);

#endif
