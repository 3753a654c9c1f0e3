/* SPDX-License-Identifier: MIT */
/* shim/base/probes.h - the static probes (USDT) of the provider "hakmem"
 *
 * One no-operation each, in slow paths only, that perf, bpftrace and SystemTap can hook into. docs/CONTROL.md
 * lists them with their arguments. Without <sys/sdt.h> they are nothing.
 */
#ifndef BASE_PROBES_H
#define BASE_PROBES_H

#include "shim/base/compiler.h"

#if HAVE_SYS_SDT_H
#include <sys/sdt.h>
/* In a register: perf leaves constants out, and the kernel refuses an event of two places with different arguments. */
#define PROBE_VALUE(x)                                                                             \
	({                                                                                         \
		__auto_type probe_value_ = (x);                                                    \
		__asm__("" : "+r"(probe_value_));                                                  \
		probe_value_;                                                                      \
	})
#define PROBE2(name, a, b) DTRACE_PROBE2(hakmem, name, PROBE_VALUE(a), PROBE_VALUE(b))
#define PROBE4(name, a, b, c, d)                                                                   \
	DTRACE_PROBE4(hakmem, name, PROBE_VALUE(a), PROBE_VALUE(b), PROBE_VALUE(c), PROBE_VALUE(d))
#else
#define PROBE2(name, a, b)	 ((void)(a), (void)(b))
#define PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
