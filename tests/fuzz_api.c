/* SPDX-License-Identifier: MIT */
/* tests/fuzz_api.c - libFuzzer target: any sequence of calls, by up to four threads, against a shadow of every block
 *
 * The first byte is the number of threads, the second what serves: next, the old side, the system, or a mixture that the
 * calls themselves change. The rest is calls of four bytes each, dealt out to the threads in equal parts:
 *
 *     what to call | which of the thread's blocks | size or alignment, 16 bits
 *
 * The shadow knows of each live block where it is, how long, how aligned, whose and what is in it, and that no two share
 * a byte. With one thread it also knows who has to serve a call, for then nobody else changes a route.
 *
 * tests/random_input.c runs the same with random input, where there is no libFuzzer.
 */
#include "next/bin.h"
#include "shim/base/atomic.h"
#include "shim/base/compiler.h"
#include "shim/base/map.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "shim/route.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A malloc that cannot be served is part of the contract, not a finding. Read by the sanitizers'
 * runtimes, and by nobody else. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

#define THREADS_MAX 4
#define BLOCKS	    48 /* a thread's own */
#define SHARED	    8  /* that any thread may take or leave */
#define CALL_BYTES  4

struct block {
	unsigned char *start;
	size_t bytes, usable_bytes;
	enum hakmem_owner owner;
	bool was_beside_huge; /* when its owner was asked for */
	uint64_t key; /* of what is in it; no other block ever had the same */
};

static __attribute__((noreturn, format(printf, 2, 3))) void found(const struct block *block,
								  const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "fuzz_api: block %p of %zu bytes: ", (void *)block->start, block->bytes);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	abort();
}

/* --- the shadow: contents ------------------------------------------------------------------------ */

static _Atomic uint64_t keys = 1;

/* All of a small block, of a large one both ends and a few bytes of each 4 KiB. */
static size_t step(size_t at, size_t bytes)
{
	return bytes <= 2048 || at < 256 || at + 256 >= bytes ? 1 : 509;
}

static unsigned char byte_at(const struct block *block, size_t at)
{
	return (unsigned char)((block->key * 0x9e3779b97f4a7c15u + at * 0xbf58476d1ce4e5b9u) >> 56);
}

static void fill(struct block *block)
{
	block->key = fetch_add_relaxed(&keys, 1);
	for (size_t at = 0; at < block->bytes; at += step(at, block->bytes))
		block->start[at] = byte_at(block, at);
}

/* The first `kept` bytes, wherever they are now. */
static void look(const struct block *block, const unsigned char *place, size_t kept)
{
	for (size_t at = 0; at < kept; at += step(at, block->bytes))
		if (place[at] != byte_at(block, at))
			found(block, "byte %zu, now at %p, is %#x and not %#x", at,
			      (const void *)(place + at), place[at], byte_at(block, at));
}

/* --- the shadow: where blocks are ---------------------------------------------------------------- */

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *table[THREADS_MAX * BLOCKS + SHARED]; /* [lock: table] live blocks, in no order */
static size_t table_count;

static void enter(struct block *block)
{
	pthread_mutex_lock(&table_lock);
	for (size_t i = 0; i < table_count; i++)
		if (block->start < table[i]->start + table[i]->usable_bytes &&
		    table[i]->start < block->start + block->usable_bytes)
			found(block, "overlaps the live block %p of %zu bytes",
			      (void *)table[i]->start, table[i]->bytes);
	table[table_count++] = block;
	pthread_mutex_unlock(&table_lock);
}

static void forget(const struct block *block)
{
	pthread_mutex_lock(&table_lock);
	size_t i = 0;
	while (table[i] != block)
		i++;
	table[i] = table[--table_count];
	pthread_mutex_unlock(&table_lock);
}

/* --- the shadow: who has to serve ---------------------------------------------------------------- */

static bool alone; /* one thread: what it is told about routes holds */

static enum hakmem_owner old_side(size_t bytes)
{
	return bytes > 1 * KIB && bytes <= 32 * KIB ? HAKMEM_OWNER_LEGACY : HAKMEM_OWNER_SYSTEM;
}

static enum shim_backend routes[NEXT_CLASSES]; /* as this file set them */

static void route(unsigned class, unsigned choice)
{
	static const enum shim_backend backends[] = { SHIM_NEXT, SHIM_LEGACY, SHIM_SYSTEM };
	enum shim_backend backend = backends[choice % 3];
	if (!shim_route_possible(class, backend))
		backend = SHIM_NEXT;
	if (!shim_route_set(class, backend))
		abort();
	if (alone)
		routes[class] = backend;
}

static void check_owner(const struct block *block, size_t alignment)
{
	static const enum hakmem_owner owners[] = {
		[SHIM_SYSTEM] = HAKMEM_OWNER_SYSTEM,
		[SHIM_LEGACY] = HAKMEM_OWNER_LEGACY,
		[SHIM_NEXT] = HAKMEM_OWNER_NEXT,
	};
	/* Beside a huge block of next's the system may have mappings, which hakmem_owner() cannot tell. */
	if (!alone || map_is_huge(block->start))
		return;
	enum hakmem_owner wanted = owners[routes[next_class_of(block->bytes)]];
	if (wanted == HAKMEM_OWNER_LEGACY && alignment > 16)
		wanted = HAKMEM_OWNER_SYSTEM; /* legacy knows no larger alignment */
	if (block->owner != wanted)
		found(block, "is served by %d and not by %d", (int)block->owner, (int)wanted);
}

/* --- calls --------------------------------------------------------------------------------------- */

struct thread {
	pthread_t id;
	const uint8_t *calls;
	size_t call_count;
	struct block *own[BLOCKS];
};

static _Atomic(struct block *) shared[SHARED];

#define BAD_SIZES 8
static size_t bad_size(unsigned number)
{
	const size_t sizes[BAD_SIZES] = { (size_t)PTRDIFF_MAX + 1, SIZE_MAX,	      SIZE_MAX - 15,
					  SIZE_MAX - 4096,	   (size_t)1 << 48, SIZE_MAX / 2,
					  (size_t)1 << 62,	   (size_t)PTRDIFF_MAX };
	return sizes[number % BAD_SIZES];
}

/* Sixteen bits: most often small, around every border between classes and paths, now and then a huge one. */
static size_t size_of(unsigned code)
{
	size_t low = code & 0xfff;
	switch (code >> 12) {
	case 8:
	case 9:
		return low * 8; /* 32 KiB */
	case 10:
	case 11:
		return ((size_t)1 << (low & 15)) + (low >> 4) % 34 - 17 + 16; /* around powers of two */
	case 12:
		return low * 64; /* 256 KiB */
	case 13:
		return next_class_bytes((unsigned)(low % NEXT_BINS)) + (low >> 7) % 3 - 1;
	case 14:
		return low * 512; /* 2 MiB */
	case 15:
		return (low & 3) == 3 ? low * 4 * KIB : low; /* 16 MiB, seldom */
	default:
		return low % 1100;
	}
}

static void must_be_enomem(const void *start, size_t bytes)
{
	struct block none = { .start = (unsigned char *)(uintptr_t)start, .bytes = bytes };
	if (start)
		found(&none, "is larger than any object may be");
	if (errno != ENOMEM)
		found(&none, "was refused with errno %d", errno);
	errno = 4711;
}

static void refuse(unsigned code, void *block)
{
	size_t bytes = bad_size(code);
	switch (code >> 4 & 7) {
	case 0:
		must_be_enomem(hakmem_malloc(bytes), bytes);
		break;
	case 1:
		must_be_enomem(hakmem_calloc(bytes, 1 + (code >> 8)), bytes);
		break;
	case 2: /* the block stays as it is */
		must_be_enomem(hakmem_realloc(block, bytes), bytes);
		break;
	case 3:
		must_be_enomem(hakmem_reallocarray(block, bytes, 1 + (code >> 8)), bytes);
		break;
	case 4:
		must_be_enomem(hakmem_aligned_alloc((size_t)16 << (code >> 8) % 20, bytes), bytes);
		break;
	case 5:
		must_be_enomem(hakmem_malloc_site(bytes, code), bytes);
		break;
	case 6:
		must_be_enomem(hakmem_pvalloc(bytes), bytes);
		break;
	default:
		must_be_enomem(hakmem_calloc((size_t)1 << 33, (size_t)1 << (31 + code % 33)), bytes);
		break;
	}
}

static struct block *shadow_of(void *start, size_t bytes, size_t alignment, bool zeroed)
{
	struct block *block = malloc(sizeof(*block));
	if (!block)
		abort();
	*block = (struct block){ .start = start, .bytes = bytes };
	if (!start)
		found(block, "no memory, errno %d", errno);
	if ((uintptr_t)start % alignment)
		found(block, "is not aligned to %zu", alignment);
	block->usable_bytes = hakmem_malloc_usable_size(start);
	if (block->usable_bytes < bytes)
		found(block, "has room for %zu", block->usable_bytes);
	block->owner = hakmem_owner(start);
	block->was_beside_huge = map_is_huge(start);
	check_owner(block, alignment);
	for (size_t at = 0; zeroed && at < bytes; at += step(at, bytes))
		if (block->start[at])
			found(block, "is not zeroed at %zu", at);
	enter(block);
	fill(block);
	return block;
}

static struct block *allocate(unsigned what, unsigned code)
{
	size_t bytes = size_of(code), alignment = (size_t)16 << what % 17; /* to 1 MiB */
	void *start = NULL;
	/* ThreadSanitizer takes a block of 0 bytes for one byte of nobody's. */
	bytes += THREAD_SANITIZER && bytes == 0;
	switch (what >> 4 & 7) {
	case 0:
		return shadow_of(hakmem_calloc(1 + what % 3, bytes), (1 + what % 3) * bytes, 16, true);
	case 1:
		return shadow_of(hakmem_malloc_site(bytes, what), bytes, 16, false);
	case 2:
		if (hakmem_posix_memalign(&start, alignment, bytes))
			start = NULL;
		return shadow_of(start, bytes, alignment, false);
	case 3:
		return shadow_of(hakmem_aligned_alloc(alignment, bytes), bytes, alignment, false);
	case 4:
		return shadow_of(hakmem_memalign(alignment - 3, bytes), bytes, alignment, false);
	case 5:
		if (what & 8)
			return shadow_of(hakmem_valloc(bytes), bytes, 4096, false);
		return shadow_of(hakmem_pvalloc(bytes), align_up(bytes, 4096), 4096, false);
	default:
		return shadow_of(hakmem_malloc(bytes), bytes, 16, false);
	}
}

static void check(const struct block *block)
{
	look(block, block->start, block->bytes);
	if (hakmem_malloc_usable_size(block->start) != block->usable_bytes)
		found(block, "had room for %zu and has for %zu now", block->usable_bytes,
		      hakmem_malloc_usable_size(block->start));
	if (hakmem_owner(block->start) != block->owner && !map_is_huge(block->start) &&
	    !block->was_beside_huge)
		found(block, "was served by %d and belongs to %d now", (int)block->owner,
		      (int)hakmem_owner(block->start));
}

static void drop(struct block *block, unsigned what)
{
	if (!block)
		return;
	check(block);
	forget(block);
	errno = 4711;
	if (what % 4 == 0)
		hakmem_free_sized(block->start, block->bytes);
	else
		hakmem_free(block->start);
	if (errno != 4711)
		found(block, "free changed errno to %d", errno);
	free(block);
}

static void resize(struct block **place, unsigned what, unsigned code)
{
	struct block *block = *place;
	size_t bytes = size_of(code), kept = bytes < block->bytes ? bytes : block->bytes;
	check(block);
	forget(block);
	unsigned char *start = what & 1 ? hakmem_realloc(block->start, bytes)
					: hakmem_reallocarray(block->start, 1, bytes);
	if (!bytes) { /* it was freed */
		if (start)
			found(block, "realloc to 0 gives %p", (void *)start);
		free(block);
		*place = NULL;
		return;
	}
	if (!start)
		found(block, "no memory for %zu bytes", bytes);
	look(block, start, kept);
	if ((uintptr_t)start % 16)
		found(block, "is not aligned after it moved to %p", (void *)start);
	block->start = start;
	block->bytes = bytes;
	block->usable_bytes = hakmem_malloc_usable_size(start);
	block->owner = hakmem_owner(start);
	block->was_beside_huge = map_is_huge(start);
	if (block->usable_bytes < bytes)
		found(block, "has room for %zu", block->usable_bytes);
	enter(block);
	fill(block);
}

/* What is neither malloc nor free. */
static void do_else(unsigned what, unsigned code)
{
	struct hakmem_stats stats;
	switch (what % 8) {
	case 0:
		hakmem_malloc_trim(code);
		break;
	case 1:
		hakmem_stats(&stats, sizeof(stats));
		break;
	case 2:
		hakmem_free(NULL);
		break;
	default:
		route(code % NEXT_CLASSES, what >> 3);
		break;
	}
}

static void call(struct thread *t, const uint8_t *bytes)
{
	unsigned what = bytes[0] >> 4, how = ((unsigned)bytes[0] << 4 | bytes[1] >> 4) & 0xff,
		 code = bytes[2] | (unsigned)bytes[3] << 8;
	struct block **place = &t->own[bytes[1] % BLOCKS];
	errno = 4711;
	switch (what) {
	case 0:
	case 1: /* acq_rel: the block's contents go with it, and another's come back */
		*place = exchange_acq_rel(&shared[code % SHARED], *place);
		break;
	case 2:
	case 3:
	case 4:
		if (*place)
			resize(place, how, code);
		break;
	case 5:
		do_else(how, code);
		break;
	case 6:
		refuse(code, *place ? (*place)->start : NULL);
		break;
	case 7:
	case 8:
	case 9:
		drop(*place, how);
		*place = NULL;
		break;
	default:
		drop(*place, how);
		*place = allocate(how, code);
		break;
	}
}

static void *work(void *argument)
{
	struct thread *t = argument;
	for (size_t i = 0; i < t->call_count; i++)
		call(t, t->calls + i * CALL_BYTES);
	return NULL;
}

/* --- an input ------------------------------------------------------------------------------------ */

static size_t live_blocks(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	return stats.next_live_blocks + stats.legacy_live_blocks;
}

static void begin(unsigned thread_count, unsigned choice)
{
	shim_init();
	alone = true;
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		size_t bytes = class < NEXT_BINS ? next_class_bytes(class) : 2 * MIB;
		unsigned old = old_side(bytes) == HAKMEM_OWNER_LEGACY ? 1 : 2;
		route(class, choice % 4 == 0   ? 0
			     : choice % 4 == 1 ? old
			     : choice % 4 == 2 ? 2
					       : (class + choice / 4) % 3);
	}
	alone = thread_count == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct thread threads[THREADS_MAX];
	if (bytes < 2 + CALL_BYTES)
		return 0;
	unsigned count = data[0] % THREADS_MAX + 1;
	begin(count, data[1]);
	size_t each = (bytes - 2) / CALL_BYTES / count, live_before = live_blocks();
	for (unsigned i = 0; i < count; i++) {
		threads[i] = (struct thread){ .calls = data + 2 + i * each * CALL_BYTES,
					      .call_count = each };
		if (count > 1 && pthread_create(&threads[i].id, NULL, work, &threads[i]))
			abort();
	}
	if (count == 1)
		work(&threads[0]);
	for (unsigned i = 0; i < count; i++) {
		if (count > 1)
			pthread_join(threads[i].id, NULL);
		for (size_t k = 0; k < BLOCKS; k++)
			drop(threads[i].own[k], 1);
	}
	for (size_t i = 0; i < SHARED; i++)
		drop(exchange_acq_rel(&shared[i], NULL), 1);
	if (table_count != 0 || live_blocks() != live_before) {
		fprintf(stderr, "fuzz_api: %zu blocks live before, %zu after\n", live_before,
			live_blocks());
		abort();
	}
	return 0;
}
