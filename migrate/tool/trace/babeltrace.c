/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/babeltrace.c - CTF of any tracer, through libbabeltrace2
 *
 * A graph of three components: the library's reader of CTF, its muxer, which puts all streams into one order, and a sink
 * of ours, from which trace_next() takes one batch of messages after the other.
 *
 * Events are known by their names, whatever stands before a colon: those of LTTng-UST's libc wrapper
 * (lttng_ust_libc:malloc ...), our own, and those of whoever uses the same words.
 */
#include "migrate/tool/trace/format.h"

#include <babeltrace2/babeltrace.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct babeltrace {
	bt_graph *graph;
	bt_message_iterator *iterator; /* the sink's */
	bt_message_array_const messages;
	uint64_t count, at; /* of the batch; the next one */
	bool ended;
};

/* What the library says of the last failure of this thread. */
static void take_words(struct trace_error *error, const char *what)
{
	const bt_error *reason = bt_current_thread_take_error();

	trace_error_set(error, "libbabeltrace2: %s", what);
	if (!reason)
		return;
	if (bt_error_get_cause_count(reason) > 0) {
		/* The first cause is the innermost. */
		const bt_error_cause *cause = bt_error_borrow_cause_by_index(reason, 0);
		trace_error_set(error, "libbabeltrace2: %s", bt_error_cause_get_message(cause));
	}
	bt_error_release(reason);
}

/* --- the sink ----------------------------------------------------------------------------------- */

static bt_graph_simple_sink_component_initialize_func_status
begin_sink(bt_message_iterator *iterator, void *data)
{
	struct babeltrace *own = data;
	own->iterator = iterator;
	return BT_GRAPH_SIMPLE_SINK_COMPONENT_INITIALIZE_FUNC_STATUS_OK;
}

static bt_graph_simple_sink_component_consume_func_status consume(bt_message_iterator *iterator,
								  void *data)
{
	struct babeltrace *own = data;

	own->at = own->count = 0;
	switch (bt_message_iterator_next(iterator, &own->messages, &own->count)) {
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_OK;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_AGAIN;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_MEMORY_ERROR:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_MEMORY_ERROR;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_ERROR:
		break;
	}
	return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_ERROR;
}

/* --- events ------------------------------------------------------------------------------------- */

static bool number_of(const bt_field *structure, const char *name, uint64_t *value)
{
	if (!structure || bt_field_get_class_type(structure) != BT_FIELD_CLASS_TYPE_STRUCTURE)
		return false;
	const bt_field *field =
		bt_field_structure_borrow_member_field_by_name_const(structure, name);
	if (!field)
		return false;
	bt_field_class_type type = bt_field_get_class_type(field);
	if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER)) {
		*value = bt_field_integer_unsigned_get_value(field);
		return true;
	}
	if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_SIGNED_INTEGER)) {
		*value = (uint64_t)bt_field_integer_signed_get_value(field);
		return true;
	}
	return false;
}

/* The first of the names that the event has a field for. */
static bool any_number(const bt_field *payload, const char *const names[], uint64_t *value)
{
	for (; *names; names++)
		if (number_of(payload, *names, value))
			return true;
	return false;
}

/* A number of the contexts, which whoever recorded may have added. */
static bool context_number(const bt_event *event, const char *name, uint64_t *value)
{
	const bt_packet *packet = bt_event_borrow_packet_const(event);

	return number_of(bt_event_borrow_common_context_field_const(event), name, value) ||
	       number_of(bt_event_borrow_specific_context_field_const(event), name, value) ||
	       (packet && number_of(bt_packet_borrow_context_field_const(packet), name, value));
}

static const char *const pointer_names[] = { "ptr", "out_ptr", "address", NULL };
static const char *const old_names[] = { "in_ptr", "old", NULL };
static const char *const count_names[] = { "nmemb", "count", NULL };

static const struct known {
	const char *name;
	enum trace_kind kind;
} known[] = {
	{ "malloc", TRACE_MALLOC },	     { "calloc", TRACE_CALLOC },
	{ "realloc", TRACE_REALLOC },	     { "memalign", TRACE_MEMALIGN },
	{ "posix_memalign", TRACE_MEMALIGN }, { "aligned_alloc", TRACE_MEMALIGN },
	{ "free", TRACE_FREE },		     { "realloc_begin", TRACE_REALLOC_BEGIN },
	{ "thread_end", TRACE_THREAD_END },
};

static const struct known *find_known(const bt_event *event)
{
	const char *name = bt_event_class_get_name(bt_event_borrow_class_const(event));

	if (!name)
		return NULL;
	const char *colon = strrchr(name, ':');
	if (colon)
		name = colon + 1;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

/* Fills in what the kind needs. NULL, or which field is missing. */
static const char *take_fields(const bt_field *payload, struct trace_event *event)
{
	uint64_t result = 0;

	if (event->kind == TRACE_THREAD_END)
		return NULL;
	bool begins = event->kind == TRACE_REALLOC_BEGIN;
	if ((begins || event->kind == TRACE_REALLOC) &&
	    !any_number(payload, old_names, &event->old_address)) {
		if (begins)
			return "an event without in_ptr";
		event->old_address = TRACE_UNKNOWN;
	}
	if (event->kind == TRACE_REALLOC_BEGIN)
		return NULL;
	if (!any_number(payload, pointer_names, &event->address))
		return "an event without ptr";
	if (event->kind == TRACE_FREE)
		return NULL;
	if (!number_of(payload, "size", &event->bytes))
		return "an event without size";
	if (event->kind == TRACE_CALLOC) {
		if (!any_number(payload, count_names, &event->count))
			return "a calloc without nmemb";
		if (__builtin_mul_overflow(event->count, event->bytes, &event->bytes))
			event->bytes = UINT64_MAX;
	}
	if (event->kind == TRACE_MEMALIGN && !number_of(payload, "alignment", &event->alignment))
		return "an event without alignment";
	if (number_of(payload, "result", &result) && result != 0)
		event->address = 0; /* posix_memalign failed, and left the pointer alone */
	return NULL;
}

/* The stream stands for the thread where nothing else does. */
static uint64_t thread_of(struct trace_reader *reader, const bt_event *event)
{
	uint64_t thread = 0;

	if (context_number(event, "vtid", &thread) || context_number(event, "tid", &thread))
		reader->traits.has_threads = true;
	else
		thread = bt_stream_get_id(bt_event_borrow_stream_const(event));
	return thread;
}

static enum trace_status take_event(struct trace_reader *reader, const bt_message *message,
				    struct trace_event *event, struct trace_error *error)
{
	const bt_event *source = bt_message_event_borrow_event_const(message);
	const struct known *which = find_known(source);
	uint64_t process = 0;

	if (!which)
		return TRACE_END;
	*event = trace_event_of(which->kind, thread_of(reader, source));
	if (bt_stream_class_borrow_default_clock_class_const(
		    bt_stream_borrow_class_const(bt_event_borrow_stream_const(source)))) {
		int64_t ns;
		const bt_clock_snapshot *clock =
			bt_message_event_borrow_default_clock_snapshot_const(message);
		if (bt_clock_snapshot_get_ns_from_origin(clock, &ns) ==
			    BT_CLOCK_SNAPSHOT_GET_NS_FROM_ORIGIN_STATUS_OK &&
		    ns >= 0)
			event->time_ns = (uint64_t)ns;
	}
	const char *why = take_fields(bt_event_borrow_payload_field_const(source), event);
	if (!why && event->address != 0 &&
	    (event->bytes >= TRACE_BYTES_LIMIT || event->alignment >= TRACE_BYTES_LIMIT))
		why = "a size that no machine has";
	if (why) {
		trace_error_set(error, "event %s at %lld ns: %s", which->name,
				(long long)event->time_ns, why);
		return TRACE_WRONG;
	}
	if (context_number(source, "vpid", &process) || context_number(source, "pid", &process)) {
		if (!reader->only_process)
			reader->only_process = process;
		reader->traits.process = reader->only_process;
		if (process != reader->only_process) {
			reader->traits.other_processes++;
			return TRACE_END;
		}
	}
	return TRACE_OK;
}

static void count_discarded(struct trace_reader *reader, const bt_message *message)
{
	uint64_t count;

	if (bt_message_discarded_events_get_count(message, &count) ==
	    BT_PROPERTY_AVAILABILITY_AVAILABLE)
		reader->traits.discarded += count;
	else
		reader->traits.discarded++;
}

/* One more batch. */
static enum trace_status fetch(struct babeltrace *own, struct trace_error *error)
{
	if (own->ended)
		return TRACE_END;
	switch (bt_graph_run_once(own->graph)) {
	case BT_GRAPH_RUN_ONCE_STATUS_OK:
	case BT_GRAPH_RUN_ONCE_STATUS_AGAIN:
		return TRACE_OK;
	case BT_GRAPH_RUN_ONCE_STATUS_END:
		own->ended = true;
		return TRACE_END;
	case BT_GRAPH_RUN_ONCE_STATUS_MEMORY_ERROR:
	case BT_GRAPH_RUN_ONCE_STATUS_ERROR:
		break;
	}
	own->ended = true;
	take_words(error, "the trace cannot be read");
	return TRACE_WRONG;
}

static enum trace_status next(struct trace_reader *reader, struct trace_event *event,
			      struct trace_error *error)
{
	struct babeltrace *own = reader->own;
	enum trace_status status;

	for (;;) {
		while (own->at == own->count) {
			status = fetch(own, error);
			if (status != TRACE_OK)
				return status;
		}
		const bt_message *message = own->messages[own->at++];
		status = TRACE_END;
		if (bt_message_get_type(message) == BT_MESSAGE_TYPE_EVENT)
			status = take_event(reader, message, event, error);
		else if (bt_message_get_type(message) == BT_MESSAGE_TYPE_DISCARDED_EVENTS)
			count_discarded(reader, message);
		bt_message_put_ref(message);
		if (status != TRACE_END)
			return status;
	}
}

/* --- the graph ---------------------------------------------------------------------------------- */

static void close_graph(struct trace_reader *reader)
{
	struct babeltrace *own = reader->own;

	while (own->at < own->count)
		bt_message_put_ref(own->messages[own->at++]);
	bt_graph_put_ref(own->graph);
	free(own);
}

static void progress(const struct trace_reader *reader, uint64_t *done, uint64_t *all)
{
	(void)reader;
	*done = *all = 0;
}

static bool add_source(bt_graph *graph, const char *path, const bt_component_source **source)
{
	const bt_plugin *plugin = NULL;
	bt_value *parameters = bt_value_map_create(), *inputs = NULL;
	bool added = false;

	if (parameters &&
	    bt_value_map_insert_empty_array_entry(parameters, "inputs", &inputs) ==
		    BT_VALUE_MAP_INSERT_ENTRY_STATUS_OK &&
	    bt_value_array_append_string_element(inputs, path) ==
		    BT_VALUE_ARRAY_APPEND_ELEMENT_STATUS_OK &&
	    bt_plugin_find("ctf", BT_TRUE, BT_TRUE, BT_TRUE, BT_TRUE, BT_FALSE, &plugin) ==
		    BT_PLUGIN_FIND_STATUS_OK) {
		const bt_component_class_source *class =
			bt_plugin_borrow_source_component_class_by_name_const(plugin, "fs");
		added = class &&
			bt_graph_add_source_component(graph, class, "trace", parameters,
						      BT_LOGGING_LEVEL_NONE, source) ==
				BT_GRAPH_ADD_COMPONENT_STATUS_OK;
	}
	bt_plugin_put_ref(plugin);
	bt_value_put_ref(parameters);
	return added;
}

static bool add_muxer(bt_graph *graph, const bt_component_filter **muxer)
{
	const bt_plugin *plugin = NULL;
	bool added = false;

	if (bt_plugin_find("utils", BT_TRUE, BT_TRUE, BT_TRUE, BT_TRUE, BT_FALSE, &plugin) ==
	    BT_PLUGIN_FIND_STATUS_OK) {
		const bt_component_class_filter *class =
			bt_plugin_borrow_filter_component_class_by_name_const(plugin, "muxer");
		added = class && bt_graph_add_filter_component(graph, class, "muxer", NULL,
							       BT_LOGGING_LEVEL_NONE, muxer) ==
					 BT_GRAPH_ADD_COMPONENT_STATUS_OK;
	}
	bt_plugin_put_ref(plugin);
	return added;
}

static bool connect_all(bt_graph *graph, const bt_component_source *source,
			const bt_component_filter *muxer, const bt_component_sink *sink)
{
	uint64_t ports = bt_component_source_get_output_port_count(source);

	/* The muxer has one more port whenever one was taken. */
	for (uint64_t i = 0; i < ports; i++)
		if (bt_graph_connect_ports(
			    graph, bt_component_source_borrow_output_port_by_index_const(source, i),
			    bt_component_filter_borrow_input_port_by_index_const(muxer, i),
			    NULL) != BT_GRAPH_CONNECT_PORTS_STATUS_OK)
			return false;
	return bt_graph_connect_ports(
		       graph, bt_component_filter_borrow_output_port_by_index_const(muxer, 0),
		       bt_component_sink_borrow_input_port_by_index_const(sink, 0),
		       NULL) == BT_GRAPH_CONNECT_PORTS_STATUS_OK;
}

static bool make_graph(struct babeltrace *own, const char *path)
{
	const bt_component_source *source;
	const bt_component_filter *muxer;
	const bt_component_sink *sink;

	own->graph = bt_graph_create(0);
	return own->graph && add_source(own->graph, path, &source) &&
	       add_muxer(own->graph, &muxer) &&
	       bt_graph_add_simple_sink_component(own->graph, "sink", begin_sink, consume, NULL, own,
						  &sink) == BT_GRAPH_ADD_COMPONENT_STATUS_OK &&
	       connect_all(own->graph, source, muxer, sink);
}

struct trace_reader *trace_open_babeltrace_here(const char *path, struct trace_error *error)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	struct babeltrace *own = calloc(1, sizeof(*own));

	if (!reader || !own) {
		trace_error_set(error, "%s", strerror(ENOMEM));
		free(reader);
		free(own);
		return NULL;
	}
	reader->source.fd = -1;
	reader->own = own;
	reader->next = next;
	reader->close = close_graph;
	reader->progress = progress;
	reader->traits = (struct trace_traits){ .format = "ctf", .title = "CTF" };
	if (make_graph(own, path))
		return reader;
	take_words(error, "the trace cannot be opened");
	trace_close(reader);
	return NULL;
}
