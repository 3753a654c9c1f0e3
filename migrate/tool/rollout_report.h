/* SPDX-License-Identifier: MIT */
/* migrate/tool/rollout_report.h - what became of a rollout: kept while it walks, told at its end */
#ifndef TOOL_ROLLOUT_REPORT_H
#define TOOL_ROLLOUT_REPORT_H

#include "migrate/rollout.h"
#include "migrate/tool/client.h"

enum report_end {
	REPORT_GOES_ON,
	REPORT_PROMOTED,    /* the last step held */
	REPORT_ROLLED_BACK, /* a comparison said so, or somebody else did it */
	REPORT_HELD,	    /* patience was over */
	REPORT_OVERRULED,   /* somebody gave the process another live plan */
	REPORT_INTERRUPTED,
	REPORT_ENDED,	/* the process did */
	REPORT_REFUSED, /* the process refused what was asked */
	REPORT_LOST,	/* the process does not answer: what was last asked may still come */
};

struct report_step {
	uint32_t share;
	uint64_t begun_ns, ended_ns;	/* CLOCK_MONOTONIC */
	struct rollout_verdict verdict; /* the last one */
	bool looked;			/* there was one */
};

struct report {
	const struct client *client;
	const char *classes;
	const struct rollout_limits *limits;
	uint64_t begun_ns, ended_ns;
	struct report_step step[ROLLOUT_STEPS_MAX];
	unsigned steps; /* begun */
	enum report_end end;
	bool is_old;	  /* the classes were rolled back */
	uint64_t flip_ns; /* how long that took; 0: it was not asked for here */
};

void report_begin_step(struct report *report, uint32_t share, uint64_t now_ns);

/* A verdict on the step that was begun last; aloud: a line on standard error when it says something new. */
void report_look(struct report *report, const struct rollout_verdict *verdict, uint64_t now_ns,
		 bool aloud);

/* On standard output. */
void report_print(const struct report *report);
void report_json(const struct report *report);

MUST_USE int report_exit_status(enum report_end end);

#endif
