/* SPDX-License-Identifier: MIT */
/* migrate/page.h - the control page: its layout, and how both sides check what they read of it
 *
 * A file of one process, which that process and the hakmem command read and write by pread() and pwrite(); nobody
 * maps it, so that cutting it kills nobody. It belongs to one user, who could do the process any harm in other ways,
 * but a page may be old, torn in the middle of a write, or rubbish, so everything is checked at every reading: a part
 * counts only with its magic, its length in bounds and the checksum of what it says.
 *
 *        0   header    who this is: written once, and again when it is damaged          [process]
 *     4096   request   what the command wants                                           [command]
 *    12288   answer    what became of the request of that sequence number               [process]
 *    16384   status    the figures, on request, written before the answer that says so  [process]
 *
 * One command at a time: it holds the lock on byte PAGE_LOCK_COMMAND of the file (an OFD lock). The process holds the
 * one on byte PAGE_LOCK_PROCESS for as long as it attends to the page; the kernel releases it when the process ends, by
 * whatever end, so a page without it is stale. Numbers are little-endian, as all machines we build for are.
 */
#ifndef MIGRATE_PAGE_H
#define MIGRATE_PAGE_H

#include "migrate/guard_setting.h"
#include "migrate/plan.h"
#include "migrate/sequence.h"
#include "shim/hakmem.h"

#define PAGE_MAGIC   UINT64_C(0x4c52544345474150) /* "PAGECTRL" */
#define PAGE_VERSION 3

#define PAGE_AT_HEADER	0
#define PAGE_AT_REQUEST 4096
#define PAGE_AT_ANSWER	12288
#define PAGE_AT_STATUS	16384
#define PAGE_BYTES	131072

#define PAGE_LOCK_PROCESS 0
#define PAGE_LOCK_COMMAND 1

struct page_header {
	uint64_t magic;
	uint32_t checksum; /* of all that follows */
	uint32_t version;
	uint64_t pid, start_ticks; /* as the process sees them */
	uint32_t bytes;		   /* of the page */
	uint32_t classes, class_bytes;
	char program[16]; /* the name of its main thread; a NUL behind it, as in all texts */
	char library[16]; /* the library's version */
	uint32_t zero;
};

enum page_operation {
	PAGE_STATUS = 1,  /* the figures */
	PAGE_TRY,	  /* text: a live plan; nothing changes, page_status.would_be tells */
	PAGE_PLAN,	  /* text: the live plan */
	PAGE_DROP_PLAN,	  /* no live plan any more */
	PAGE_ROLLBACK,	  /* text: classes, or "" for all */
	PAGE_UNLATCH,	  /* the same */
	PAGE_KILL_SWITCH, /* text: "on" or "off" */
	PAGE_COMPARE,	  /* text: classes, or "" for all; the figures, and page_status.compared of these */
	PAGE_GUARD,	  /* text: what to arm, as HAKMEM_GUARD has it; "" disarms all */
	PAGE_RECORD_START, /* text: options, a newline, the folder; see migrate/record.h */
	PAGE_RECORD_STOP,  /* this and the next two answer with what is in the files */
	PAGE_RECORD_DUMP,
	PAGE_RECORD_READ,
};
#define PAGE_OPERATIONS 14

struct page_request {
	uint64_t magic;
	uint32_t checksum;
	uint32_t operation; /* enum page_operation */
	uint64_t sequence;  /* no other request's */
	uint32_t length;    /* of text, without the NUL behind it */
	uint32_t zero;
	char text[PLAN_TEXT_MAX + 8];
};

/* Of a request, as far as it says something: what is behind its text does not matter. A writer of less than a block is
 * seldom met in the middle. */
INLINE size_t page_request_bytes(uint32_t length)
{
	return offsetof(struct page_request, text) + length + 1;
}

enum page_result {
	PAGE_APPLIED = 1,
	PAGE_REFUSED, /* text says why */
};

#define PAGE_ANSWER_TEXT 512

struct page_answer {
	uint64_t magic;
	uint32_t checksum;
	uint32_t result;   /* enum page_result */
	uint64_t sequence; /* of the request */
	uint64_t flip_ns;  /* how long the flips took */
	uint32_t flipped;  /* classes */
	uint32_t unavailable;
	char text[PAGE_ANSWER_TEXT];
};

struct page_status {
	uint64_t magic;
	uint32_t checksum;
	uint32_t kill_switch;
	uint64_t sequence; /* of the request */
	uint64_t time_ns;  /* CLOCK_MONOTONIC of the process */
	uint64_t changes, flips, flip_ns, last_flip_ns, worst_flip_ns, rollbacks;
	uint64_t next_live_bytes, next_live_blocks, next_mapped_bytes, next_resident_free_bytes;
	uint64_t next_purged_bytes, next_segments, next_heaps, next_huge_blocks, next_huge_bytes;
	uint64_t legacy_live_bytes, legacy_live_blocks, legacy_mapped_bytes;
	uint64_t legacy_resident_free_bytes, legacy_purged_bytes, legacy_pages, legacy_segments;
	uint64_t legacy_threads;
	uint64_t legacy_lock_waits, legacy_contended_trylocks, legacy_table_waits;
	uint64_t legacy_hash_lookups, legacy_remote_frees;
	uint64_t next_quarantined_pages;
	uint64_t next_remote_frees;
	uint64_t guard_trips, guard_misuses, guard_failed_reservations;
	uint64_t drain_left; /* threads that still have to empty their caches of the old pool */
	/* Of PAGE_COMPARE: the canaries of threads among the classes that were asked about. Samples since each class's last
	 * flip; held bytes 0: not known. */
	struct {
		uint32_t classes, latched; /* asked about; of these latched */
		uint64_t next_held_bytes, next_live_bytes;
		uint64_t old_held_bytes, old_live_bytes; /* of the old pool at its best: held.h */
		struct latency canary, old;
	} compared;
	char guard[GUARD_TEXT_MAX + 1];
	char salt[PLAN_SALT_MAX + 8];
	char plan_file[512];
	struct {
		uint32_t present, length;
		char text[PLAN_TEXT_MAX + 8];
		char error[PLAN_ERROR_BYTES];
	} source[4]; /* by enum hakmem_source */
	struct hakmem_class class[NEXT_CLASSES];
	struct {
		uint32_t served_by, state; /* as in struct hakmem_class */
	} would_be[NEXT_CLASSES];	   /* of PAGE_TRY; else what is */
};

_Static_assert(sizeof(struct page_header) <= PAGE_AT_REQUEST, "parts do not overlap");
_Static_assert(PAGE_AT_REQUEST + sizeof(struct page_request) <= PAGE_AT_ANSWER, "nor these");
_Static_assert(PAGE_AT_ANSWER + sizeof(struct page_answer) <= PAGE_AT_STATUS, "nor these");
_Static_assert(PAGE_AT_STATUS + sizeof(struct page_status) <= PAGE_BYTES, "the page holds all");

/* Fill in the magic and the checksum; the rest is the caller's. */
void page_seal_header(struct page_header *header);
void page_seal_request(struct page_request *request);
void page_seal_answer(struct page_answer *answer);
void page_seal_status(struct page_status *status);

/* Whether `bytes` read at the part's place are such a part, whole and undamaged: every number that is an index or a
 * length is in bounds, every text ends within its field. Any bytes welcome. `bytes` is how many were read. NULL, or
 * what is wrong. */
MUST_USE const char *page_check_header(const struct page_header *header, size_t bytes);
MUST_USE const char *page_check_request(const struct page_request *request, size_t bytes);
MUST_USE const char *page_check_answer(const struct page_answer *answer, size_t bytes);
MUST_USE const char *page_check_status(const struct page_status *status, size_t bytes);

#endif
