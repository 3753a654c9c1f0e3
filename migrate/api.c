/* SPDX-License-Identifier: MIT */
/* migrate/api.c - the part of hakmem.h that migrates */
#include "migrate/control.h"
#include "migrate/guard.h"
#include "migrate/record.h"
#include "migrate/rollback.h"
#include "migrate/rollout_run.h"
#include "migrate/state.h"
#include "migrate/status.h"
#include "shim/hakmem.h"
#include "shim/init.h"

#include <errno.h>
#include <string.h>

static bool can_migrate(void)
{
	shim_init();
	return shim_routed() && !shim_stands_aside();
}

static void copy_line(const char *line, char *out, size_t room)
{
	if (!out || room == 0)
		return;
	size_t length = strnlen(line, room - 1);
	memcpy(out, line, length);
	out[length] = '\0';
}

static void copy_error(const struct plan_error *error, char *out, size_t room)
{
	char line[PLAN_ERROR_BYTES];
	(void)plan_error_text(error, line);
	copy_line(line, out, room);
}

HAKMEM_API int hakmem_plan_set(const char *text, char *error, size_t error_bytes)
{
	struct plan_error fault;

	if (!can_migrate())
		return ENOTSUP;
	if (!text) {
		state_drop_plan(SOURCE_LIVE, NULL);
		return 0;
	}
	/* One byte more than a plan may have, so that the parser sees that it is too long. */
	if (state_set_plan(SOURCE_LIVE, text, strnlen(text, PLAN_TEXT_MAX + 1), &fault, NULL))
		return 0;
	copy_error(&fault, error, error_bytes);
	return EINVAL;
}

HAKMEM_API size_t hakmem_plan_get(enum hakmem_source source, char *text, size_t text_bytes)
{
	if (source <= HAKMEM_SOURCE_DEFAULT || source > HAKMEM_SOURCE_LIVE) {
		if (text_bytes > 0)
			text[0] = '\0';
		return 0;
	}
	shim_init();
	return state_plan_text((enum state_source)source, text, text_bytes);
}

/* NULL: all. */
static bool read_classes(const char *classes, bool named[NEXT_CLASSES])
{
	struct plan_error unused;
	memset(named, !classes, NEXT_CLASSES * sizeof(named[0]));
	return !classes ||
	       plan_parse_classes(named, classes, strnlen(classes, PLAN_TEXT_MAX + 1), &unused);
}

HAKMEM_API int hakmem_rollback(const char *classes)
{
	bool named[NEXT_CLASSES];

	if (!can_migrate())
		return ENOTSUP;
	if (!read_classes(classes, named))
		return EINVAL;
	rollback_classes(named, "asked for by the program", NULL);
	return 0;
}

HAKMEM_API int hakmem_unlatch(const char *classes)
{
	bool named[NEXT_CLASSES];

	if (!can_migrate())
		return ENOTSUP;
	if (!read_classes(classes, named))
		return EINVAL;
	state_unlatch(named, NULL);
	return 0;
}

HAKMEM_API int hakmem_kill_switch(int on)
{
	if (!can_migrate())
		return ENOTSUP;
	state_kill_switch(on != 0, NULL);
	return 0;
}

HAKMEM_API size_t hakmem_read_classes(struct hakmem_class *classes, size_t class_bytes,
				      size_t count)
{
	struct status status;
	struct hakmem_class known;

	shim_init();
	status_read(&status);
	for (size_t i = 0; i < count && i < NEXT_CLASSES; i++) {
		char *out = (char *)classes + i * class_bytes;
		status_of_class(&status, (unsigned)i, &known);
		memset(out, 0, class_bytes);
		memcpy(out, &known, class_bytes < sizeof(known) ? class_bytes : sizeof(known));
	}
	return NEXT_CLASSES;
}

HAKMEM_API int hakmem_guard_set(const char *text, char *error, size_t error_bytes)
{
	if (!can_migrate())
		return ENOTSUP;
	const char *wrong = guard_set(text ? text : "");
	if (wrong) {
		copy_line(wrong, error, error_bytes);
		return EINVAL;
	}
	int saved_errno = errno;
	int result = control_start_guards();
	errno = saved_errno;
	return result;
}

/* 0: the default; negative: not asked for. */
static double limit(double wanted, double otherwise)
{
	return wanted > 0 ? wanted : wanted < 0 ? 0 : otherwise;
}

static const char *start_rollout(const struct hakmem_rollout_options *options)
{
	struct rollout rollout = { .limits = rollout_default_limits };
	struct rollout_limits *limits = &rollout.limits;

	if (!options->classes || !options->steps)
		return "classes and steps are needed";
	const char *wrong = rollout_read_steps(&rollout.steps, options->steps);
	if (wrong)
		return wrong;
	rollout.hold_ns = options->hold_ns;
	rollout.patience_ns = options->patience_ns;
	limits->latency_ratio = limit(options->latency_ratio, limits->latency_ratio);
	limits->held_ratio = limit(options->held_ratio, limits->held_ratio);
	if (options->min_samples > 0)
		limits->min_samples = options->min_samples;
	if (options->min_live_bytes > 0)
		limits->min_live_bytes = options->min_live_bytes;
	return rollout_run_start(&rollout, options->classes, options->roll_back_on_stop != 0);
}

HAKMEM_API int hakmem_rollout_start(const struct hakmem_rollout_options *options,
				    size_t options_bytes, char *error, size_t error_bytes)
{
	struct hakmem_rollout_options known = { .classes = NULL };

	if (!can_migrate())
		return ENOTSUP;
	memcpy(&known, options, options_bytes < sizeof(known) ? options_bytes : sizeof(known));
	const char *wrong = start_rollout(&known);
	if (wrong) {
		copy_line(wrong, error, error_bytes);
		return EINVAL;
	}
	int saved_errno = errno;
	int result = control_start_guards();
	errno = saved_errno;
	if (result)
		rollout_run_stop(false);
	return result;
}

HAKMEM_API int hakmem_rollout_stop(int roll_back)
{
	if (!can_migrate())
		return ENOTSUP;
	rollout_run_stop(roll_back != 0);
	return 0;
}

HAKMEM_API int hakmem_rollout_read(struct hakmem_rollout_status *status, size_t status_bytes)
{
	struct hakmem_rollout_status known;

	shim_init();
	rollout_run_read(&known);
	memset(status, 0, status_bytes);
	memcpy(status, &known, status_bytes < sizeof(known) ? status_bytes : sizeof(known));
	return 0;
}

HAKMEM_API void hakmem_on_rollback(hakmem_rollback_handler *handler, void *argument)
{
	rollback_set_handler(handler, argument);
}

/* --- recording ------------------------------------------------------------------------------------ */

/* What this version does not know becomes 0. */
static void copy_record(const struct record_status *status, struct hakmem_record *out, size_t room)
{
	struct hakmem_record known = {
		.on = status->on,
		.events = status->events,
		.lost = status->lost,
		.bytes = status->bytes,
		.streams = status->streams,
	};
	if (!out)
		return;
	memcpy(known.folder, status->folder, sizeof(known.folder));
	memset(out, 0, room);
	memcpy(out, &known, room < sizeof(known) ? room : sizeof(known));
}

HAKMEM_API int hakmem_record_start(const char *directory, const char *options, char *error,
				   size_t error_bytes)
{
	char line[RECORD_ERROR_BYTES] = "the program brings its own malloc";
	int saved_errno = errno;
	int result = can_migrate() ? record_start(directory, options, line) : ENOTSUP;
	if (result)
		copy_line(line, error, error_bytes);
	errno = saved_errno;
	return result;
}

HAKMEM_API int hakmem_record_stop(struct hakmem_record *record, size_t record_bytes)
{
	struct record_status status;
	int saved_errno = errno;
	int result = record_stop(&status) ? 0 : EALREADY;
	if (!result)
		copy_record(&status, record, record_bytes);
	errno = saved_errno;
	return result;
}

HAKMEM_API int hakmem_record_dump(struct hakmem_record *record, size_t record_bytes, char *error,
				  size_t error_bytes)
{
	char line[RECORD_ERROR_BYTES];
	struct record_status status;
	int saved_errno = errno;
	int result = record_dump(&status, line);
	if (result)
		copy_line(line, error, error_bytes);
	else
		copy_record(&status, record, record_bytes);
	errno = saved_errno;
	return result;
}

HAKMEM_API int hakmem_record_read(struct hakmem_record *record, size_t record_bytes)
{
	struct record_status status;
	record_read_status(&status);
	copy_record(&status, record, record_bytes);
	return 0;
}
