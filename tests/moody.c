/* SPDX-License-Identifier: MIT */
/* tests/moody.c - a kernel that refuses; see moody.h */
#include "tests/moody.h"

#include "shim/base/atomic.h"
#include "shim/base/os.h"

#include <errno.h>

static _Atomic unsigned refused_kinds;
static long first_refused, last_refused; /* [const after moody_refuse()] */

static _Atomic long made;
static _Atomic int64_t held_bytes, unreturned_bytes;

bool moody_refuses(enum moody_call call)
{
	if (!(load_relaxed(&refused_kinds) & call))
		return false;
	long number = fetch_add_relaxed(&made, 1);
	return number >= first_refused && number <= last_refused;
}

static void *map(void *hint, size_t bytes, int prot, int extra_flags)
{
	void *p = moody_refuses(MOODY_MAP) ? NULL : os_real.map(hint, bytes, prot, extra_flags);
	if (p)
		fetch_add_relaxed(&held_bytes, (int64_t)bytes);
	return p;
}

static int unmap(void *start, size_t bytes)
{
	if (moody_refuses(MOODY_UNMAP)) {
		fetch_add_relaxed(&unreturned_bytes, (int64_t)bytes);
		return -ENOMEM;
	}
	fetch_sub_relaxed(&held_bytes, (int64_t)bytes);
	return os_real.unmap(start, bytes);
}

static int protect(void *start, size_t bytes, int prot)
{
	return moody_refuses(MOODY_PROTECT) ? -ENOMEM : os_real.protect(start, bytes, prot);
}

static int advise(void *start, size_t bytes, int advice)
{
	return moody_refuses(MOODY_ADVISE) ? -EAGAIN : os_real.advise(start, bytes, advice);
}

static int remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to)
{
	int error = moody_refuses(MOODY_REMAP)
			    ? -ENOMEM
			    : os_real.remap(start, old_bytes, new_bytes, fixed_to);
	if (error == 0) /* at another place the mapping that was there is gone */
		fetch_add_relaxed(&held_bytes, fixed_to ? -(int64_t)old_bytes
							: (int64_t)(new_bytes - old_bytes));
	return error;
}

static size_t page_bytes(void)
{
	return os_real.page_bytes();
}

static const struct os_ops moody = {
	.map = map,
	.unmap = unmap,
	.protect = protect,
	.advise = advise,
	.remap = remap,
	.page_bytes = page_bytes,
};

void moody_refuse(unsigned kinds, long first, long last)
{
	first_refused = first;
	last_refused = last;
	store_relaxed(&refused_kinds, kinds);
	os_swap(&moody);
}

void moody_relent(void)
{
	store_relaxed(&refused_kinds, 0);
}

long moody_calls(void)
{
	return load_relaxed(&made);
}

int64_t moody_held_bytes(void)
{
	return load_relaxed(&held_bytes);
}

int64_t moody_unreturned_bytes(void)
{
	return load_relaxed(&unreturned_bytes);
}
