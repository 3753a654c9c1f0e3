/* SPDX-License-Identifier: MIT */
/* migrate/plan.h - the text of a plan, read into a target for every class
 *
 *   plan      = [ item { "," item } ]
 *   item      = selector "=" target [ share ]  |  "old" "=" ( "legacy" | "system" )  |  "salt" "=" text
 *   selector  = "all" | "tiny" | "mid" | "large" | "huge" | size | size "-" size
 *   size      = digits [ ("k" | "m" | "g") [ "iB" ] ]       in either case
 *   target    = "next" | "old" | "legacy" | "system"
 *   share     = "@" percent "%" ":" ( "thread" | "process" | "host" ) [ "/" "control" ]     next only
 *   percent   = digits [ "." digits ]
 *   text      = 1 to 32 printable characters, no comma
 *
 * Blanks may stand around every word. Later items override earlier ones; classes that no item names
 * stay old. docs/PLAN.md is the page for people.
 *
 * Nothing here allocates, reads the environment or keeps state, so the library may parse before
 * main and the tool may parse on behalf of another process.
 */
#ifndef MIGRATE_PLAN_H
#define MIGRATE_PLAN_H

#include "migrate/share.h"
#include "next/bin.h"
#include "shim/base/compiler.h"

#define PLAN_TEXT_MAX	    4096 /* bytes; every class by itself takes half of it */
#define PLAN_SALT_MAX	    32	 /* bytes */
#define PLAN_TINY_MAX_BYTES (1 * KIB)
#define PLAN_MID_MAX_BYTES  (32 * KIB)

enum plan_target {
	PLAN_OLD, /* whatever serves the class before the migration */
	PLAN_NEXT,
	PLAN_LEGACY,
	PLAN_SYSTEM,
};
#define PLAN_TARGETS 4

/* What a plan says about one class. */
struct plan_class {
	enum plan_target target; /* as written: may be PLAN_OLD */
	struct share share;	 /* who goes there; the others stay old */
	bool named;		 /* an item names it */
};

struct plan {
	struct plan_class class[NEXT_CLASSES];
	enum plan_target old_mid; /* PLAN_LEGACY or PLAN_SYSTEM: the old side of the mid band */
	bool old_named;		  /* an item says so */
	bool salt_named;
	char salt[PLAN_SALT_MAX + 1]; /* mixed into the draws of shares; "" if no item names one */
	bool has_system; /* there is an allocator behind us: false in a static program */
};

/* Room for the item of an error: cut and escaped, so that any terminal and any log can take it. */
#define PLAN_ITEM_BYTES 64

struct plan_error {
	size_t offset;		    /* of the word that is wrong, in bytes from the start */
	char item[PLAN_ITEM_BYTES]; /* the item it stands in: printable ASCII */
	const char *reason;	    /* static text */
};

/* The plan of a process without a plan: everything old. */
void plan_init(struct plan *plan, bool has_system);

/* Reads `length` bytes at `text` (no NUL needed, any bytes welcome). True: *plan holds the plan.
 * False: *plan is everything old and *error says why. has_system false: system is refused as a
 * target and as the old side. */
MUST_USE bool plan_parse(struct plan *plan, const char *text, size_t length, bool has_system,
			 struct plan_error *error);

/* Whatever `upper` names replaces what `plan` says of it; the rest of `plan` stays. */
void plan_overlay(struct plan *plan, const struct plan *upper);

/* Reads classes alone: "4k, 8k-16k, mid". Sets the flag of every class that is named and leaves the
 * others. False: *error says why and some flags may be set. */
MUST_USE bool plan_parse_classes(bool named[NEXT_CLASSES], const char *text, size_t length,
				 struct plan_error *error);

/* What serves a class before the migration; never PLAN_OLD. Outside the mid band that is system, or
 * next where there is no system. */
MUST_USE enum plan_target plan_old_side(const struct plan *plan, unsigned class);

/* What serves a class under the plan, those in its share if it has one; never PLAN_OLD. */
MUST_USE enum plan_target plan_served_by(const struct plan *plan, unsigned class);

/* "next", "old", "legacy", "system". */
MUST_USE const char *plan_target_name(enum plan_target target);

/* The class's target and share as a plan would have them, "next@25%:thread", and a NUL. */
#define PLAN_CLASS_TEXT_BYTES (SHARE_TEXT_BYTES + 8)
void plan_class_text(const struct plan_class *class, char out[PLAN_CLASS_TEXT_BYTES]);

/* "tiny", "mid", "large", "huge". */
MUST_USE const char *plan_band_name(unsigned class);

/* Writes the error as one line without a newline, `"ITEM": REASON (byte OFFSET)`, and a NUL.
 * Returns its length; PLAN_ERROR_BYTES are always enough. */
#define PLAN_ERROR_BYTES 256
size_t plan_error_text(const struct plan_error *error, char out[PLAN_ERROR_BYTES]);

/* Fills *error for a word at `at` that is wrong, inside the item of `length` bytes at `item`, in the text
 * that starts at `text`. An item too long for its place ends in "...". */
void plan_error_set(struct plan_error *error, const char *text, const char *item, size_t length,
		    const char *at, const char *reason);

#endif
