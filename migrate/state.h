/* SPDX-License-Identifier: MIT */
/* migrate/state.h - what is in force: the plans of all sources, latches and kill switch, and their sum
 *
 * The one place that decides about routes. Every class goes where the first of these that has a word on it
 * sends it:
 *
 *     kill switch          everything old
 *     latch                a class that was rolled back stays old until it is unlatched
 *     SOURCE_LIVE          hakmem_plan_set(), hakmem route
 *     SOURCE_FILE          HAKMEM_PLAN_FILE
 *     SOURCE_ENVIRONMENT   HAKMEM_PLAN
 *     SOURCE_DEFAULT       old
 *
 * A source's plan speaks of the classes that it names and of no other. The old side and the salt are those
 * of the highest source that names them. A new plan of a source replaces the source's one before; a wrong one
 * changes nothing, and what was wrong is kept until a right one comes.
 *
 * Every change is one step under the lock of flips (shim/route.h): others see the sum before or after it, never
 * between, and only classes whose route differs are flipped. Any thread may call anything here at any time after
 * the library has started; nothing allocates, prints or waits for anybody but another flip.
 */
#ifndef MIGRATE_STATE_H
#define MIGRATE_STATE_H

#include "migrate/plan.h"
#include "shim/route.h"

enum state_source {
	SOURCE_DEFAULT,
	SOURCE_ENVIRONMENT,
	SOURCE_FILE,
	SOURCE_LIVE,
};
#define STATE_SOURCES 4

/* Why a class is where it is. */
enum state_reason {
	REASON_PLAN,	  /* its source says so, or no source speaks of it */
	REASON_NOT_DRAWN, /* this process or host is not in the share */
	REASON_LATCHED,	  /* rolled back */
	REASON_KILL_SWITCH,
	REASON_UNAVAILABLE, /* what is to serve it is not there: no memory at start, a static program */
};
#define STATE_REASONS 5

/* Of one class. */
struct state_class {
	struct plan_class said;	    /* what the highest source says of it */
	enum state_source source;   /* which one that is */
	enum state_reason reason;   /* why it is where it is */
	enum shim_backend route;    /* a backend or SHIM_SHARE */
	uint32_t door;		    /* of a SHIM_SHARE */
	enum shim_backend old_side; /* who serves it when it is not next's */
	enum share_arm arm;	    /* of this process or host; of threads ARM_NEITHER */
	const char *latch_cause;    /* static text; NULL: not latched */
	uint64_t flipped_at_ns;	    /* os_now_ns() of its last flip; 0: never since the start */
};

struct state {
	struct state_class class[NEXT_CLASSES];
	char salt[PLAN_SALT_MAX + 1];
	bool kill_switch;
	bool present[STATE_SOURCES]; /* the source has a plan */
	uint64_t changes;	     /* of the state, since the start */
	uint64_t flips,
		flip_ns; /* classes flipped since the start, and how long all of them took */
	uint64_t last_flip_ns, worst_flip_ns; /* of one change, however many classes it flipped */
	uint64_t rollbacks;
};

/* What a change did. */
struct state_outcome {
	unsigned flipped; /* classes whose route is another one now */
	unsigned unavailable; /* classes that a plan wants elsewhere and that stay old: REASON_UNAVAILABLE */
	uint64_t flip_ns; /* how long it took */
};

/* The source's plan from now on. False, and nothing changed, if the text is wrong: *error says why, and
 * state_error() remembers. *outcome may be NULL. */
MUST_USE bool state_set_plan(enum state_source source, const char *text, size_t length,
			     struct plan_error *error, struct state_outcome *outcome);

/* The source has no plan any more. */
void state_drop_plan(enum state_source source, struct state_outcome *outcome);

/* What would be in force if the live plan were this one; nothing changes. */
MUST_USE bool state_try_plan(const char *text, size_t length, struct plan_error *error,
			     struct state *would_be);

/* The named classes go to their old side and stay there. `cause` is static text, short enough for a line: "asked
 * for by the program". When this returns no malloc of theirs that starts is served by next. */
void state_rollback(const bool named[NEXT_CLASSES], const char *cause,
		    struct state_outcome *outcome);
void state_unlatch(const bool named[NEXT_CLASSES], struct state_outcome *outcome);
void state_kill_switch(bool on, struct state_outcome *outcome);

/* In the child of a fork: another process draws for itself. */
void state_fork_child(void);

void state_read(struct state *state);

/* The text of a source's plan and a NUL, as much as fits; returns its whole length, 0 if there is none. */
size_t state_plan_text(enum state_source source, char *out, size_t room);

/* Remembers what is wrong with a source, "" for nothing; and says it again. */
#define STATE_ERROR_BYTES PLAN_ERROR_BYTES
void state_set_error(enum state_source source, const char *text);
void state_error(enum state_source source, char out[STATE_ERROR_BYTES]);

/* "default", "environment", "file", "live". */
MUST_USE const char *state_source_name(enum state_source source);
/* "plan", "not drawn", "latched", "kill switch", "unavailable". */
MUST_USE const char *state_reason_name(enum state_reason reason);
/* "unset", "system", "legacy", "next", "share". */
MUST_USE const char *state_backend_name(enum shim_backend backend);

#endif
