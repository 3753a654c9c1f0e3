/* SPDX-License-Identifier: MIT */
/* shim/aligned.h - aligned blocks, for the other entry points */
#ifndef SHIM_ALIGNED_H
#define SHIM_ALIGNED_H

#include "shim/route.h"

/* alignment: a power of two, any size; bytes: any. By policy. NULL without memory; errno is kept. */
MUST_USE void *shim_aligned(size_t alignment, size_t bytes);

/* For callers that have asked for the route already. alignment: above NEXT_ALIGNMENT. */
MUST_USE void *shim_aligned_from(enum shim_backend route, size_t alignment, size_t bytes);

#endif
