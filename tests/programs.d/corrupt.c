// SPDX-License-Identifier: MIT
/* tests/programs.d/corrupt.c - a malloc that hands blocks out twice, for `programs --self-test`
 *
 * Serves everything from libc, except that now and then a request gets a block that is still live:
 * the failure that every row has to notice. A table that reports "identical" under this library
 * proves nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* Programs make few big blocks and many small ones: give each big one twice, of the small ones few. */
enum { SLOTS = 256, BIG_BYTES = 4096, SMALL_EVERY = 64 };

struct slot { /* [lock: busy] the last block of a size, and how many owners it has */
	void *block;
	size_t size_bytes;
	unsigned owners;
	unsigned asked;
};

static struct slot slots[SLOTS];
static atomic_flag busy = ATOMIC_FLAG_INIT;

/* Only tried: a child of fork may find it held by a thread that it does not have. */
static int try_lock(void)
{
	return !atomic_flag_test_and_set(&busy);
}

void *malloc(size_t size)
{
	if (!try_lock())
		return __libc_malloc(size);
	struct slot *s = &slots[size % SLOTS];
	unsigned every = size >= BIG_BYTES ? 1 : SMALL_EVERY;

	if (s->owners == 1 && s->size_bytes == size && ++s->asked % every == 0)
		s->owners++;
	else if (s->owners == 0)
		*s = (struct slot){ __libc_malloc(size), size, 1, s->asked };
	else {
		atomic_flag_clear(&busy);
		return __libc_malloc(size);
	}
	void *block = s->block;
	atomic_flag_clear(&busy);
	return block;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	*block = alignment <= 16 ? malloc(size) : __libc_memalign(alignment, size);
	return *block ? 0 : ENOMEM;
}

void free(void *block)
{
	if (block && try_lock()) {
		for (struct slot *s = slots; s < slots + SLOTS; s++) {
			if (s->owners == 0 || s->block != block)
				continue;
			if (--s->owners > 0)
				block = NULL;
			break;
		}
		atomic_flag_clear(&busy);
	}
	__libc_free(block);
}
