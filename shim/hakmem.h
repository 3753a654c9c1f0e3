/* SPDX-License-Identifier: MIT */
/* shim/hakmem.h - the public interface of libhakmem
 *
 * A program that preloads or links libhakmem needs nothing of this: malloc and its family are replaced.
 * The names below are the same functions under a name that nobody interposes, for programs that load
 * the library late (dlopen), build with a sanitizer, or want to know more than malloc's family tells.
 *
 * Unless it says otherwise, every function may be called by any thread at any time, also before main,
 * in destructors of thread-local storage and in atexit handlers; none is async-signal safe. Sizes and
 * alignments are bytes. A block from one of the allocating functions may be given to every freeing one,
 * and to the plain free(), realloc() and operator delete where those are the library's own.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <malloc.h> /* struct mallinfo */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__cplusplus)
extern "C" {
#define HAKMEM_NOEXCEPT noexcept
#else
#define HAKMEM_NOEXCEPT
#endif

#define HAKMEM_API __attribute__((visibility("default")))

/* "MAJOR.MINOR.PATCH", static text. */
HAKMEM_API const char *hakmem_version(void) HAKMEM_NOEXCEPT;

/* --- allocating ----------------------------------------------------------------------------------
 *
 * All of these give NULL and set errno to ENOMEM when there is no memory or the size (after any
 * multiplication or rounding) exceeds PTRDIFF_MAX. A size of 0 gives a unique block that may be freed.
 * Blocks are aligned to 16 bytes at least.
 */
HAKMEM_API void *hakmem_malloc(size_t bytes) HAKMEM_NOEXCEPT;

/* malloc(bytes) for a call site of the caller's choosing: next places small blocks of one site side by side,
 * for programs that walk them together; legacy writes the site into the block's header. With
 * HAKMEM_SITE=return-address in the environment every malloc does this, its return address being the site. */
HAKMEM_API void *hakmem_malloc_site(size_t bytes, uint32_t site) HAKMEM_NOEXCEPT;

/* count * bytes, zeroed. */
HAKMEM_API void *hakmem_calloc(size_t count, size_t bytes) HAKMEM_NOEXCEPT;

/* The block with room for `bytes` and its contents kept as far as they fit, perhaps elsewhere. On
 * failure the old block is untouched. block NULL: malloc(bytes). bytes 0: the block is freed and the
 * result is NULL, errno unchanged. */
HAKMEM_API void *hakmem_realloc(void *block, size_t bytes) HAKMEM_NOEXCEPT;

/* realloc(block, count * bytes). */
HAKMEM_API void *hakmem_reallocarray(void *block, size_t count, size_t bytes) HAKMEM_NOEXCEPT;

/* Stores the block in *result and gives 0, or gives EINVAL (alignment is no power of two, or no
 * multiple of sizeof(void *)) or ENOMEM and leaves *result alone. Never changes errno. */
HAKMEM_API int hakmem_posix_memalign(void **result, size_t alignment, size_t bytes) HAKMEM_NOEXCEPT;

/* EINVAL if the alignment is no power of two. bytes need not be a multiple of it. */
HAKMEM_API void *hakmem_aligned_alloc(size_t alignment, size_t bytes) HAKMEM_NOEXCEPT;

/* An alignment that is no power of two is rounded up to one; EINVAL if there is none. */
HAKMEM_API void *hakmem_memalign(size_t alignment, size_t bytes) HAKMEM_NOEXCEPT;

/* Aligned to the kernel's page; pvalloc also rounds the size up to whole pages. */
HAKMEM_API void *hakmem_valloc(size_t bytes) HAKMEM_NOEXCEPT;
HAKMEM_API void *hakmem_pvalloc(size_t bytes) HAKMEM_NOEXCEPT;

/* --- freeing -------------------------------------------------------------------------------------
 *
 * NULL is ignored, errno is kept. A pointer into memory of the library that is no live block ends the
 * process with one line on stderr and abort(); any other pointer is passed on to the allocator behind.
 */
HAKMEM_API void hakmem_free(void *block) HAKMEM_NOEXCEPT;
HAKMEM_API void hakmem_free_sized(void *block, size_t bytes) HAKMEM_NOEXCEPT;
HAKMEM_API void hakmem_free_aligned_sized(void *block, size_t alignment,
					  size_t bytes) HAKMEM_NOEXCEPT;

/* --- asking --------------------------------------------------------------------------------------*/

/* Bytes that may be used at `block`: the size asked for, or more. 0 for NULL. */
HAKMEM_API size_t hakmem_malloc_usable_size(void *block) HAKMEM_NOEXCEPT;

/* Gives free memory back to the kernel; pad_bytes is passed on to the allocator behind. 1 if anything
 * was given back, else 0. */
HAKMEM_API int hakmem_malloc_trim(size_t pad_bytes) HAKMEM_NOEXCEPT;

/* Prints totals to stderr. */
HAKMEM_API void hakmem_malloc_stats(void) HAKMEM_NOEXCEPT;

/* Writes totals to `stream` as XML and gives 0; EINVAL if options is not 0. */
HAKMEM_API int hakmem_malloc_info(int options, FILE *stream) HAKMEM_NOEXCEPT;

/* Sums over every allocator in the process. mallinfo stops at INT_MAX. */
HAKMEM_API struct mallinfo hakmem_mallinfo(void) HAKMEM_NOEXCEPT;
#if !defined(__GLIBC__) || __GLIBC_PREREQ(2, 33)
HAKMEM_API struct mallinfo2 hakmem_mallinfo2(void) HAKMEM_NOEXCEPT;
#endif

/* Passed on to the allocator behind, for which alone it has a meaning. Always 1. */
HAKMEM_API int hakmem_mallopt(int parameter, int value) HAKMEM_NOEXCEPT;

enum hakmem_owner {
	HAKMEM_OWNER_SYSTEM = 0, /* the allocator behind, or no allocator at all: the stack, NULL */
	HAKMEM_OWNER_NEXT = 1,
	HAKMEM_OWNER_LEGACY = 2,
};

/* Whose memory the address lies in. Never touches it, so any value may be asked about. Async-signal
 * safe. Told from the map of 4 MiB slots: what lies behind the end of a block of more than 4 MiB, in the
 * same slot, is taken for next's, whoever's it is. (free() looks, and is not misled.) */
HAKMEM_API enum hakmem_owner hakmem_owner(const void *address) HAKMEM_NOEXCEPT;

/* The layers of a legacy malloc, in the order in which it tries them: the indices of
 * legacy_layer_mallocs below. */
enum hakmem_legacy_layer {
	HAKMEM_LEGACY_RING,
	HAKMEM_LEGACY_LIFO,
	HAKMEM_LEGACY_ACTIVE_A, /* a fresh page, block after block */
	HAKMEM_LEGACY_ACTIVE_B, /* adjacent blocks from a shard */
	HAKMEM_LEGACY_TRANSFER,
	HAKMEM_LEGACY_SHARD,
	HAKMEM_LEGACY_REMOTE, /* what other threads had freed */
	HAKMEM_LEGACY_LAYERS,
};

/* Exact when no other thread allocates, else the estimate of a moment. */
struct hakmem_stats {
	size_t next_live_bytes, next_live_blocks;
	size_t next_mapped_bytes;	 /* address space */
	size_t next_resident_free_bytes; /* free and not given back to the kernel */
	size_t legacy_live_bytes, legacy_live_blocks;
	size_t legacy_mapped_bytes;
	/* What legacy has counted since the process began. */
	uint64_t legacy_contended_trylocks; /* of its 56 shard locks: somebody else held one */
	uint64_t legacy_shard_lock_waits;   /* a thread had to wait for one of these */
	uint64_t legacy_table_lock_waits;   /* or for the one lock of the hash table */
	uint64_t legacy_hash_lookups;
	uint64_t legacy_headers_written;
	uint64_t legacy_layer_mallocs[HAKMEM_LEGACY_LAYERS]; /* mallocs that each layer served */
	uint64_t legacy_fresh_page_mallocs;		     /* no layer did: a page was taken */
	uint64_t legacy_uncached_mallocs; /* by a thread without caches, past all layers */
	uint64_t legacy_remote_frees;	  /* pushed to the thread that owns the block's page */
	uint64_t legacy_purged_bytes;	  /* given back to the kernel */
};

/* Fills the first `stats_bytes` (pass sizeof(struct hakmem_stats): later versions append fields, and
 * what this version does not know becomes 0). Gives 0. */
HAKMEM_API int hakmem_stats(struct hakmem_stats *stats, size_t stats_bytes) HAKMEM_NOEXCEPT;

/* --- migrating -----------------------------------------------------------------------------------
 *
 * Which pool serves which size classes, live. docs/PLAN.md is the grammar of plans and says which source goes
 * before which; docs/CONTROL.md tells the same from outside, by the command. The library itself allocates nothing in
 * here. These are not in a build with --disable-migration.
 *
 * Those that return an int give 0, or EINVAL for a wrong text, or ENOTSUP in a program that brings its own
 * malloc; errno stays as it is.
 */

/* Where the plans of a process come from; the higher goes before the lower, class by class. */
enum hakmem_source {
	HAKMEM_SOURCE_DEFAULT = 0,     /* no plan names the class: it is old */
	HAKMEM_SOURCE_ENVIRONMENT = 1, /* HAKMEM_PLAN */
	HAKMEM_SOURCE_FILE = 2,	       /* HAKMEM_PLAN_FILE */
	HAKMEM_SOURCE_LIVE = 3,	       /* hakmem_plan_set(), or the command */
};

/* The live plan from now on, instead of the one before; NULL for none. A malloc that starts after the return
 * goes where the plan says. A wrong text changes nothing, and what is wrong with it is written to `error`, one
 * line of at most error_bytes with its NUL (256 are always enough); error may be NULL. */
HAKMEM_API int hakmem_plan_set(const char *text, char *error, size_t error_bytes) HAKMEM_NOEXCEPT;

/* The text of a source's plan as it was given, cut to text_bytes with its NUL. Its whole length; 0 if the
 * source has none. */
HAKMEM_API size_t hakmem_plan_get(enum hakmem_source source, char *text,
				  size_t text_bytes) HAKMEM_NOEXCEPT;

/* Sends classes ("4k, 8k-16k, mid"; NULL: all) to their old side and latches them there: no plan moves them until
 * hakmem_unlatch(). When it returns no malloc of theirs that starts is served by next. One line on stderr. */
HAKMEM_API int hakmem_rollback(const char *classes) HAKMEM_NOEXCEPT;
HAKMEM_API int hakmem_unlatch(const char *classes) HAKMEM_NOEXCEPT;

/* Everything old until it is switched off again, over plans and latches. */
HAKMEM_API int hakmem_kill_switch(int on) HAKMEM_NOEXCEPT;

/* Creates the control page of this process and the thread that waits for requests in it, as HAKMEM_CONTROL=1
 * does, so that the hakmem command finds the process. 0, also if they are there already; EPERM in a program that
 * changes user or gains capabilities (AT_SECURE); else the errno of what failed. Not from a signal handler or an
 * atfork handler. */
HAKMEM_API int hakmem_control_start(void) HAKMEM_NOEXCEPT;

enum hakmem_state {
	HAKMEM_STATE_OLD = 0,
	HAKMEM_STATE_CANARY = 1, /* next for a share */
	HAKMEM_STATE_NEXT = 2,
};

enum hakmem_share_of {
	HAKMEM_SHARE_OF_ALL = 0,
	HAKMEM_SHARE_OF_THREADS = 1,
	HAKMEM_SHARE_OF_PROCESSES = 2,
	HAKMEM_SHARE_OF_HOSTS = 3,
};

/* Why a class is where it is. */
enum hakmem_reason {
	HAKMEM_REASON_PLAN = 0,	     /* its source says so */
	HAKMEM_REASON_NOT_DRAWN = 1, /* this process or host is not in the share */
	HAKMEM_REASON_LATCHED = 2,   /* it was rolled back */
	HAKMEM_REASON_KILL_SWITCH = 3,
	HAKMEM_REASON_UNAVAILABLE = 4, /* the pool that is to serve it is not there */
};

/* What a guard says of a class. */
enum hakmem_guard {
	HAKMEM_GUARD_OFF = 0,
	HAKMEM_GUARD_HOLD = 1, /* not enough to see yet */
	HAKMEM_GUARD_GO = 2,
	HAKMEM_GUARD_ROLL_BACK = 3,
};

#define HAKMEM_UNKNOWN UINT64_MAX

struct hakmem_class {
	uint64_t min_bytes, max_bytes; /* of requests */
	uint32_t number;	       /* 0 is the smallest; without gaps */
	uint32_t state;		       /* enum hakmem_state */
	uint32_t served_by;   /* enum hakmem_owner; of a canary of threads: those in the share */
	uint32_t old_side;    /* enum hakmem_owner; who serves what next does not */
	uint32_t source;      /* enum hakmem_source: whose plan it is */
	uint32_t reason;      /* enum hakmem_reason */
	uint32_t share_of;    /* enum hakmem_share_of */
	uint32_t share;	      /* in millionths of a percent; 100000000 is all */
	uint32_t has_control; /* 1: with a control arm of the same size */
	uint32_t arm;	      /* of this process or host: 0 neither, 1 canary, 2 control */
	uint32_t latched;     /* 1: rolled back and not unlatched */
	uint32_t old_class_bytes; /* legacy's class, which old_live_* count: others may share it. 0: none */
	uint64_t next_live_blocks, next_live_bytes;
	uint64_t old_live_blocks, old_live_bytes; /* HAKMEM_UNKNOWN: the system does not tell */
	char cause[40];				  /* of the latch, "" for none */
	uint64_t flipped_ns; /* since its last flip, so what lives in the other pool is at least as old;
				HAKMEM_UNKNOWN: never */
	uint64_t old_pinned_pages, old_pinned_bytes; /* in which its old blocks lie, with those of old_class_bytes that are
					       cached by threads; HAKMEM_UNKNOWN: the system does not tell */
	uint64_t next_held_bytes;	    /* that its pages have in memory, free blocks and all */
	uint32_t guard_latency, guard_held; /* enum hakmem_guard, of the last look */
	/* Since its last flip, of a canary of threads: mallocs that were timed, in the canary and in the old cohort, the
	 * 99th percentile of each, and the interval in which the quotient of the two lies (in thousandths;
	 * HAKMEM_UNKNOWN: nothing bounds it yet). */
	uint64_t canary_samples, old_samples, canary_p99_ns, old_p99_ns;
	uint64_t ratio_low, ratio_high;
	/* Served since the process began; old_mallocs are those of legacy's class, as old_live_* are. HAKMEM_UNKNOWN: not
	 * counted. */
	uint64_t next_mallocs, old_mallocs;
	/* What its live blocks keep from going back, next to old_pinned_pages: next's pages, and on either side segments of
	 * 4 MiB. Several classes may share a segment, which then counts for each. */
	uint64_t next_pinned_pages, next_pinned_segments, old_pinned_segments;
	/* Since the process began: frees by another thread than the one that owns the block's page, times that a thread had
	 * to wait for a lock (next has none), and bytes given back to the kernel of what was the class's last. */
	uint64_t next_remote_frees, old_remote_frees, old_lock_waits;
	uint64_t next_purged_bytes, old_purged_bytes;
	/* As guard_latency: what was found since these two were armed, and the process's resident set at the last look. */
	uint32_t guard_misuse, guard_reservation, guard_rss;
	uint32_t zero;
};

/* Fills at most `count` classes of class_bytes each (pass sizeof(struct hakmem_class): later versions append
 * fields, and what this version does not know becomes 0). Gives how many classes there are. Walks both pools. */
HAKMEM_API size_t hakmem_read_classes(struct hakmem_class *classes, size_t class_bytes,
				      size_t count) HAKMEM_NOEXCEPT;

/* Arms the guards that the text names and disarms the others, "" or NULL all; docs/CONTROL.md has the grammar:
 * "misuse, reservation, held=1.5, latency=2/2000, rss=2g". HAKMEM_GUARD does the same at the start. A wrong text changes
 * nothing, and what is wrong with it is written to `error` as in hakmem_plan_set(). Starts the waiting thread if there is
 * none and one of them has to be looked after: not from a signal handler or an atfork handler then; EPERM if that is not
 * allowed (AT_SECURE), or the errno of what failed. */
HAKMEM_API int hakmem_guard_set(const char *text, char *error, size_t error_bytes) HAKMEM_NOEXCEPT;

/* A progressive rollout: classes go to next for one share of the threads after the other, and at every step the canary is
 * compared with the old cohort, by the p99 of sampled mallocs and by the bytes held per live byte. A step lasts hold_ns at
 * least, and until there was enough to see; what is worse rolls the classes back, latched; what is missing promotes
 * nothing. The hakmem command's `rollout` does the same from outside. */
struct hakmem_rollout_options {
	const char *classes;  /* "mid", "4k, 8k-16k" */
	const char *steps;    /* "1%,5%,25%,100%" */
	uint64_t hold_ns;     /* of each step */
	uint64_t patience_ns; /* without a verdict a step lasts no longer, and the rollout stops; 0: for ever */
	double latency_ratio; /* limit, canary over old; 0: 1.5; negative: not compared */
	double held_ratio;    /* the same */
	uint64_t min_samples; /* of each arm; 0: 2000 */
	uint64_t min_live_bytes; /* in next, before its held bytes say anything; 0: 16 MiB */
	int roll_back_on_stop;	 /* when patience is over: 1 roll back, 0 leave the step as it is */
};

enum hakmem_rollout_phase {
	HAKMEM_ROLLOUT_NONE = 0, /* none was started */
	HAKMEM_ROLLOUT_RUNNING = 1,
	HAKMEM_ROLLOUT_DONE = 2, /* all steps have held */
	HAKMEM_ROLLOUT_ROLLED_BACK = 3,
	HAKMEM_ROLLOUT_STOPPED = 4, /* by hakmem_rollout_stop() or for want of a verdict; the step is in force */
};

struct hakmem_rollout_status {
	uint32_t phase;			/* enum hakmem_rollout_phase */
	uint32_t steps, step, share;	/* step from 0; share in millionths of a percent */
	uint32_t outcome, latency, held; /* enum hakmem_guard, of the last look */
	uint64_t canary_samples, old_samples, canary_p99_ns, old_p99_ns; /* since the step began */
	uint64_t ratio_low, ratio_high; /* of the p99, in thousandths; HAKMEM_UNKNOWN: not bounded */
	uint64_t held_ratio;		/* in thousandths; 0: not known */
	char why[64];			/* it does not go on; "" where it may */
};

/* Starts one; pass sizeof(struct hakmem_rollout_options). Its steps are live plans, added to the live plan that there is; a
 * plan that somebody else sets meanwhile is replaced by the next step. EINVAL with a line in `error` as in
 * hakmem_plan_set(), also if there is one already; starts the waiting thread like hakmem_guard_set(). */
HAKMEM_API int hakmem_rollout_start(const struct hakmem_rollout_options *options, size_t options_bytes,
				    char *error, size_t error_bytes) HAKMEM_NOEXCEPT;

/* Ends the one that is running, if any, with its classes rolled back or left at its step. */
HAKMEM_API int hakmem_rollout_stop(int roll_back) HAKMEM_NOEXCEPT;

/* Fills the first `status_bytes` as hakmem_stats() does. Gives 0. */
HAKMEM_API int hakmem_rollout_read(struct hakmem_rollout_status *status,
				   size_t status_bytes) HAKMEM_NOEXCEPT;

struct hakmem_rollback_event {
	size_t classes;	   /* how many were named */
	size_t flipped;	   /* of these, how many left next by it */
	const char *cause; /* static text */
};
typedef void hakmem_rollback_handler(const struct hakmem_rollback_event *event, void *argument);

/* Calls the handler after every rollback, whoever asked for it; NULL: nobody. It is called by the thread that
 * rolled back (or by another a little later, where a guard found misuse in the middle of a malloc or free), which may be the library's own: that one has a small stack and a descriptor table of its own, in
 * which no file of the program is open, so a handler sets a flag or posts a semaphore and does the rest
 * elsewhere. It may call everything here. */
HAKMEM_API void hakmem_on_rollback(hakmem_rollback_handler *handler,
				   void *argument) HAKMEM_NOEXCEPT;

/* --- recording -----------------------------------------------------------------------------------
 *
 * What the program allocates and frees, as a trace in the Common Trace Format: docs/TRACE.md. These return 0, or
 * EALREADY if a recording is on already, or none is where one is asked for; ENOTSUP in a program that brings its own
 * malloc; EPERM in one that changes user or gains capabilities (AT_SECURE); EINVAL for wrong options; EIO for all else. In
 * each case a line is written to `error` as in hakmem_plan_set(). errno stays as it is. Not from a signal handler or an
 * atfork handler.
 */

struct hakmem_record {
	uint64_t on;	       /* 1: a recording is on */
	uint64_t events, lost; /* written so far, and lost for want of room in memory or on disk */
	uint64_t bytes;	       /* of all files */
	uint64_t streams;      /* files, one a thread */
	char folder[512];      /* of this recording, the last one, or the last dump; "" for none */
};

/* Records into a folder of its own below `directory`, which is made if it is not there; every malloc that starts after
 * the return is seen. `options`: words between blanks, NULL for none: "share=1% by=thread classes=2k-8k buffer=1m
 * memory=64m disk=4g ring raw" (docs/RECORD.md). */
HAKMEM_API int hakmem_record_start(const char *directory, const char *options, char *error,
				   size_t error_bytes) HAKMEM_NOEXCEPT;

/* Returns when the files are whole. *record may be NULL; record_bytes as in hakmem_stats(). */
HAKMEM_API int hakmem_record_stop(struct hakmem_record *record, size_t record_bytes) HAKMEM_NOEXCEPT;

/* With the option "ring" nothing is written but by this: what the rings hold, into a folder of its own. A rollback does
 * the same. */
HAKMEM_API int hakmem_record_dump(struct hakmem_record *record, size_t record_bytes, char *error,
				  size_t error_bytes) HAKMEM_NOEXCEPT;

/* How it goes. Gives 0. */
HAKMEM_API int hakmem_record_read(struct hakmem_record *record, size_t record_bytes) HAKMEM_NOEXCEPT;

#if defined(__cplusplus)
}
#endif

#endif
