/* SPDX-License-Identifier: MIT */
/* shim/aligned.h - aligned blocks, for the other entry points */
#ifndef SHIM_ALIGNED_H
#define SHIM_ALIGNED_H

#include "shim/base/compiler.h"

/* alignment: a power of two, any size; bytes: any. By policy. NULL without memory; errno is kept. */
MUST_USE void *shim_aligned(size_t alignment, size_t bytes);

#endif
