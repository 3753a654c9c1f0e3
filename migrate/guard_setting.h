/* SPDX-License-Identifier: MIT */
/* migrate/guard_setting.h - the text that arms guards, read
 *
 *   guards = [ item { "," item } ]
 *   item   = "all" | "misuse"
 *          | "reservation" [ "=" count ]
 *          | "held" [ "=" ratio ] [ "/" size ]          bytes held per live byte over the old pool's; least live bytes
 *          | "latency" [ "=" ratio ] [ "/" count ]      p99 of a malloc over the old cohort's; least samples of each
 *          | "rss" "=" size
 *   ratio  = digits [ "." digits ]       1 to 1000, three decimals
 *   size   = digits [ "k" | "m" | "g" ]  in either case
 *
 * Later items override earlier ones; "all" is all but rss, each with its default. Pure.
 */
#ifndef MIGRATE_GUARD_SETTING_H
#define MIGRATE_GUARD_SETTING_H

#include "shim/base/compiler.h"

#define GUARD_TEXT_MAX 255

struct guard_setting {
	bool misuse;
	uint32_t reservation;	 /* failures after which the class goes back; 0: off */
	double held_ratio;	 /* 0: off */
	uint64_t held_min_bytes; /* live in next */
	double latency_ratio;	 /* 0: off */
	uint64_t latency_min_samples;
	uint64_t rss_bytes; /* 0: off */
};

/* NULL, or what is wrong with the text; *setting is then nothing armed. */
MUST_USE const char *guard_read_setting(struct guard_setting *setting, const char *text);

#endif
