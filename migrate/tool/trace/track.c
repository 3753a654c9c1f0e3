/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/track.c - from recorded events to operations on numbered blocks; see track.h */
#include "migrate/tool/trace/track.h"

#include <stdlib.h>
#include <string.h>

void track_open(struct track *track, struct trace_reader *reader)
{
	*track = (struct track){ .reader = reader };
}

void track_close(struct track *track)
{
	map_free(&track->addresses);
	map_free(&track->threads_by_name);
	free(track->blocks);
	free(track->unused);
	free(track->threads);
	*track = (struct track){ .reader = NULL };
}

static bool out_of_memory(struct trace_error *error)
{
	trace_error_set(error, "not enough memory for what lives in this trace");
	return false;
}

/* The thread's number; a name that is used again after its thread has ended is another thread. */
static bool find_thread(struct track *track, uint64_t name, uint32_t *number,
			struct trace_error *error)
{
	*number = map_find(&track->threads_by_name, name);
	if (*number != MAP_NONE)
		return true;
	if (track->thread_count == track->thread_room) {
		size_t room = track->thread_room ? track->thread_room * 2 : 16;
		struct track_thread *threads =
			realloc(track->threads, room * sizeof(*track->threads));
		if (!threads)
			return out_of_memory(error);
		track->threads = threads;
		track->thread_room = room;
	}
	if (track->thread_count >= MAP_NONE ||
	    !map_add(&track->threads_by_name, name, (uint32_t)track->thread_count))
		return out_of_memory(error);
	*number = (uint32_t)track->thread_count++;
	track->threads[*number] = (struct track_thread){
		.name = name,
		.first_ns = track->last_ns,
		.moving = MAP_NONE,
	};
	return true;
}

/* Times start at 0 and do not decrease; without times they count. */
static void advance_clock(struct track *track, const struct trace_event *event)
{
	if (event->time_ns == TRACE_UNKNOWN) {
		if (!track->has_first)
			track->last_ns = track->counts.operations;
		return;
	}
	if (!track->has_first) {
		track->has_first = true;
		track->first_ns = event->time_ns;
	}
	uint64_t now = event->time_ns > track->first_ns ? event->time_ns - track->first_ns : 0;
	if (now > track->last_ns)
		track->last_ns = now;
}

static bool take_slot(struct track *track, uint32_t *slot, struct trace_error *error)
{
	if (track->unused_count) {
		*slot = track->unused[--track->unused_count];
		return true;
	}
	if (track->blocks_used == track->blocks_room) {
		size_t room = track->blocks_room ? track->blocks_room * 2 : 1024;
		struct track_block *blocks = realloc(track->blocks, room * sizeof(*blocks));
		if (!blocks)
			return out_of_memory(error);
		track->blocks = blocks;
		uint32_t *unused = realloc(track->unused, room * sizeof(*unused));
		if (!unused)
			return out_of_memory(error);
		track->unused = unused;
		track->blocks_room = room;
	}
	if (track->blocks_used >= MAP_NONE)
		return out_of_memory(error);
	*slot = (uint32_t)track->blocks_used++;
	return true;
}

static bool add_block(struct track *track, const struct trace_event *event,
		      struct track_operation *operation, struct trace_error *error)
{
	uint32_t slot;

	if (!take_slot(track, &slot, error))
		return false;
	if (!map_add(&track->addresses, event->address, slot))
		return out_of_memory(error);
	operation->kept = &track->blocks[slot];
	operation->block = (struct track_block){
		.number = track->counts.allocations + track->counts.reallocations,
		.bytes = event->bytes,
		.alignment = event->alignment,
		.time_ns = operation->time_ns,
		.operation = operation->number,
		.thread = operation->thread,
	};
	*operation->kept = operation->block;
	if (operation->kind == TRACK_ALLOCATE)
		track->counts.allocations++;
	else
		track->counts.reallocations++;
	track->counts.live_blocks++;
	track->counts.live_bytes += event->bytes;
	return true;
}

static void take_out(struct track *track, uint32_t slot, struct track_operation *operation)
{
	operation->given_back = track->blocks[slot];
	track->unused[track->unused_count++] = slot;
	track->counts.live_blocks--;
	track->counts.live_bytes -= operation->given_back.bytes;
}

/* Takes the block at the address out, into operation->given_back. False: there is none. */
static bool take_block(struct track *track, uint64_t address, struct track_operation *operation)
{
	uint32_t slot = map_remove(&track->addresses, address);

	if (slot == MAP_NONE)
		return false;
	take_out(track, slot, operation);
	return true;
}

/* The same for the block that a realloc gives back. */
static bool take_moving(struct track *track, const struct trace_event *event,
			struct track_operation *operation)
{
	struct track_thread *thread = &track->threads[operation->thread];

	if (thread->moving == MAP_NONE)
		return take_block(track, event->old_address, operation);
	operation->present_bytes = thread->moving_present_bytes;
	take_out(track, thread->moving, operation);
	thread->moving = MAP_NONE;
	return true;
}

/* A realloc has begun. */
static void move_out(struct track *track, const struct trace_event *event, uint32_t number)
{
	struct track_thread *thread = &track->threads[number];

	thread->moving = map_remove(&track->addresses, event->old_address);
	thread->moving_address = event->old_address;
	thread->moving_present_bytes = event->present_bytes;
}

/* It has failed: the block lives on where it was, unless something says that another is there. */
static bool move_back(struct track *track, uint32_t number)
{
	struct track_thread *thread = &track->threads[number];
	uint32_t slot = thread->moving;

	thread->moving = MAP_NONE;
	return slot == MAP_NONE ||
	       map_find(&track->addresses, thread->moving_address) != MAP_NONE ||
	       map_add(&track->addresses, thread->moving_address, slot);
}

/* What an event comes to. TRACE_END: nothing. */
static enum trace_status free_of(struct track *track, const struct trace_event *event,
				 uint64_t address, struct track_operation *operation)
{
	operation->kind = TRACK_FREE;
	operation->address = address;
	operation->present_bytes = event->present_bytes;
	if (address == 0) {
		operation->kind = TRACK_FREE_NULL;
		track->counts.null_frees++;
		return TRACE_OK;
	}
	if (!take_block(track, address, operation)) {
		track->counts.unknown_frees++;
		return TRACE_END;
	}
	track->counts.frees++;
	return TRACE_OK;
}

static enum trace_status allocation_of(struct track *track, const struct trace_event *event,
				       struct track_operation *operation, struct trace_error *error)
{
	bool is_realloc = event->kind == TRACE_REALLOC && event->old_address != 0;

	if (event->address == 0 && is_realloc && event->bytes == 0)
		return free_of(track, event, event->old_address, operation);
	if (event->address == 0) {
		track->counts.failed++;
		if (move_back(track, operation->thread))
			return TRACE_END;
		(void)out_of_memory(error);
		return TRACE_WRONG;
	}
	/* One that lives is at the address: not so if it is the one that realloc gives back. */
	if (!(is_realloc && event->address == event->old_address) &&
	    map_find(&track->addresses, event->address) != MAP_NONE) {
		track->pending = *event;
		track->has_pending = true;
		track->counts.lost_frees++;
		track->counts.frees++;
		operation->supplied = true;
		operation->served = 0;
		operation->kind = TRACK_FREE;
		operation->address = event->address;
		return take_block(track, event->address, operation) ? TRACE_OK : TRACE_END;
	}
	operation->kind = TRACK_ALLOCATE;
	operation->zeroed = event->kind == TRACE_CALLOC;
	operation->address = event->address;
	operation->old_address = event->old_address;
	operation->count = event->count;
	operation->present_bytes = event->present_bytes;
	if (is_realloc) {
		if (take_moving(track, event, operation))
			operation->kind = TRACK_REALLOCATE;
		else
			track->counts.unknown_frees++;
	}
	return add_block(track, event, operation, error) ? TRACE_OK : TRACE_WRONG;
}

static enum trace_status end_of(struct track *track, const struct trace_event *event,
				struct track_operation *operation)
{
	operation->kind = TRACK_THREAD_END;
	track->threads[operation->thread].ended = true;
	map_remove(&track->threads_by_name, event->thread);
	return TRACE_OK;
}

/* A thread that has begun a realloc does something else: the end of the realloc was lost, and the block with it. */
static bool is_cut_short(const struct track *track, const struct trace_event *event, uint32_t number)
{
	const struct track_thread *thread = &track->threads[number];

	return thread->moving != MAP_NONE && !(event->kind == TRACE_REALLOC &&
					       event->old_address == thread->moving_address);
}

static enum trace_status supply_free_of_moving(struct track *track, const struct trace_event *event,
					       struct track_operation *operation)
{
	struct track_thread *thread = &track->threads[operation->thread];

	track->pending = *event;
	track->has_pending = true;
	track->counts.lost_frees++;
	track->counts.frees++;
	operation->supplied = true;
	operation->served = 0;
	operation->kind = TRACK_FREE;
	operation->address = thread->moving_address;
	operation->present_bytes = thread->moving_present_bytes;
	take_out(track, thread->moving, operation);
	thread->moving = MAP_NONE;
	return TRACE_OK;
}

enum trace_status track_next(struct track *track, struct track_operation *operation,
			     struct trace_error *error)
{
	struct trace_event event;
	enum trace_status status;

	do {
		if (track->has_pending) {
			event = track->pending;
			track->has_pending = false;
		} else {
			status = trace_next(track->reader, &event, error);
			if (status != TRACE_OK)
				return status;
		}
		advance_clock(track, &event);
		*operation = (struct track_operation){
			.number = track->counts.operations,
			.time_ns = track->last_ns,
			.duration_ns = event.duration_ns,
			.present_bytes = TRACE_UNKNOWN,
			.served = event.served,
			.count = 1,
		};
		if (!find_thread(track, event.thread, &operation->thread, error))
			return TRACE_WRONG;
		if (event.kind == TRACE_REALLOC && event.old_address == TRACE_UNKNOWN)
			event.old_address = track->threads[operation->thread].moving_address;
		if (is_cut_short(track, &event, operation->thread)) {
			status = supply_free_of_moving(track, &event, operation);
		} else if (event.kind == TRACE_THREAD_END) {
			status = end_of(track, &event, operation);
		} else if (event.kind == TRACE_REALLOC_BEGIN) {
			move_out(track, &event, operation->thread);
			status = TRACE_END;
		} else if (event.kind == TRACE_FREE) {
			status = free_of(track, &event, event.address, operation);
		} else {
			status = allocation_of(track, &event, operation, error);
		}
		if (event.kind != TRACE_REALLOC_BEGIN && !track->has_pending)
			track->threads[operation->thread].moving_address = 0;
	} while (status == TRACE_END);
	if (status != TRACE_OK)
		return status;
	track->counts.operations++;
	track->threads[operation->thread].operations++;
	track->threads[operation->thread].last_ns = track->last_ns;
	return TRACE_OK;
}
