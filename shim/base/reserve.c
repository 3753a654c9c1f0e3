/* SPDX-License-Identifier: MIT */
/* shim/base/reserve.c - large sparse tables; see reserve.h */
#include "shim/base/reserve.h"

#include "shim/base/os.h"

void *reserve_table(size_t bytes)
{
	return os_reserve(bytes);
}

bool reserve_writable(void *start, size_t bytes)
{
	uintptr_t first = (uintptr_t)start & ~(OS_PAGE_BYTES - 1);
	uintptr_t end = align_up((uintptr_t)start + bytes, OS_PAGE_BYTES);
	return os_make_writable((void *)first, end - first) == 0;
}
