/* SPDX-License-Identifier: MIT */
/* tests/verify/shadow.h - accesses that are not atomic: unordered ones are found, writes are undone */
#ifndef VERIFY_SHADOW_H
#define VERIFY_SHADOW_H

#include "shim/base/compiler.h"

void shadow_read(const void *address, size_t bytes);
void shadow_write(void *address, size_t bytes);

/* Keeps what is there now, unless it was kept in this execution before; shadow_undo() puts it back. */
void shadow_save(void *address, size_t bytes);

void shadow_start(void); /* of an execution; before the first one, writes stay */
void shadow_undo(void);

#endif
