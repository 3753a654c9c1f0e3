/* SPDX-License-Identifier: MIT */
/* shim/hooks.h - what shim calls and a folder above implements
 *
 * shim never includes migrate; the link joins them. In a build without migration nobody calls these.
 */
#ifndef SHIM_HOOKS_H
#define SHIM_HOOKS_H

/* Reads the settings of the process and applies the plan through shim_route_set(). Called once, at the
 * end of the first allocation's initialisation, by the thread that made it; other threads may be
 * allocating already. Every backend is ready: it may allocate. Not called when the program brings its
 * own malloc, nor when AT_SECURE is set. Implemented by migrate/start.c. */
void shim_at_start(void);

#endif
