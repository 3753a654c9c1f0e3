/* SPDX-License-Identifier: MIT */
/* migrate/hash.h - MurmurHash3_x86_32 (Austin Appleby, public domain): who is in a share, and checksums
 *
 * The same bytes and seed give the same number on every machine and in every version: shares must not
 * move when the library is updated.
 */
#ifndef MIGRATE_HASH_H
#define MIGRATE_HASH_H

#include "shim/base/compiler.h"

MUST_USE uint32_t hash_bytes(const void *data, size_t bytes, uint32_t seed);

#endif
