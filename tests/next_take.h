/* SPDX-License-Identifier: MIT */
/* tests/next_take.h - a malloc of next as the layer above puts it together */
#ifndef TESTS_NEXT_TAKE_H
#define TESTS_NEXT_TAKE_H

#include "next/fast.h"
#include "next/next.h"

/* NULL if there is no memory. */
INLINE void *next_take(size_t bytes)
{
	void *block = next_malloc_fast(bytes);
	return block ? block : next_malloc(bytes);
}

#endif
