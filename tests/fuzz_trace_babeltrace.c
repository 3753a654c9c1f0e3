/* SPDX-License-Identifier: MIT */
/* tests/fuzz_trace_babeltrace.c - libFuzzer target: CTF of other tracers, by way of libbabeltrace2
 *
 * An input is a metadata's text up to a NUL, and behind that a stream. Where there is no text it is the one below, and the
 * importer reads in this process, where coverage is seen. With a text of the input's own, of which the library may die, it
 * reads as the commands have it read, in another process, and may not do worse than an error.
 */
#include "migrate/tool/trace/format.h"
#include "tests/fuzz_trace.h"

#include <stdio.h>

/* The library does not free everything after an error, and what it was built with knows no sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* As LTTng-UST's libc wrapper has it, with fields of a byte where it has words: more events in fewer bytes. */
static const char metadata[] =
	"/* CTF 1.8 */\n"
	"typealias integer { size = 8; align = 8; signed = false; } := u8;\n"
	"typealias integer { size = 64; align = 8; signed = false; } := u64;\n"
	"typealias integer { size = 8; align = 8; signed = true; } := s8;\n"
	"trace { major = 1; minor = 8; byte_order = le; };\n"
	"clock { name = c; freq = 1000000000; };\n"
	"typealias integer { size = 8; align = 8; signed = false; map = clock.c.value; } := t8;\n"
	"stream { event.header := struct { u8 id; t8 timestamp; };\n"
	"event.context := struct { s8 vtid; s8 vpid; }; };\n"
	"event { name = \"lttng_ust_libc:malloc\"; id = 0; fields := struct { u8 size; u8 ptr; }; };\n"
	"event { name = \"lttng_ust_libc:free\"; id = 1; fields := struct { u8 ptr; }; };\n"
	"event { name = \"lttng_ust_libc:calloc\"; id = 2; fields := struct { u64 nmemb; u64 size; u8 ptr; }; };\n"
	"event { name = \"lttng_ust_libc:realloc\"; id = 3; fields := struct { u8 in_ptr; u64 size; u8 ptr; }; };\n"
	"event { name = \"lttng_ust_libc:memalign\"; id = 4; fields := struct { u64 alignment; u8 size; u8 ptr; }; };\n"
	"event { name = \"lttng_ust_libc:posix_memalign\"; id = 5;\n"
	"fields := struct { u8 out_ptr; u8 alignment; u8 size; s8 result; }; };\n"
	"event { name = \"realloc_begin\"; id = 6; fields := struct { u8 old; }; };\n"
	"event { name = \"realloc\"; id = 7; fields := struct { u8 address; s8 size; }; };\n"
	"event { name = \"thread_end\"; id = 8; fields := struct { u8 reserved; }; };\n"
	"event { name = \"malloc\"; id = 9; fields := struct { string size; u8 ptr; }; };\n";

static char folder[] = "/tmp/fuzz-babeltrace-XXXXXX";

static void remove_folder(void)
{
	char path[sizeof(folder) + 16];

	(void)snprintf(path, sizeof(path), "%s/metadata", folder);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/stream", folder);
	(void)unlink(path);
	(void)rmdir(folder);
}

static void write_file(const char *name, const void *data, size_t bytes)
{
	char path[sizeof(folder) + 16];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "we");
	require(file && fwrite(data, 1, bytes, file) == bytes);
	require(fclose(file) == 0);
}

static struct trace_reader *open_folder(const struct fuzz_input *input, struct trace_error *error)
{
	return input->data[0] ? trace_open_babeltrace(folder, error) :
				trace_open_babeltrace_here(folder, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static bool made;
	const uint8_t *end = bytes ? memchr(data, 0, bytes) : NULL;

	if (!end)
		return 0;
	if (!made) {
		require(mkdtemp(folder) && atexit(remove_folder) == 0);
		made = true;
	}
	size_t text = (size_t)(end - data);
	write_file("metadata", text ? (const void *)data : metadata, text ? text : sizeof(metadata) - 1);
	write_file("stream", end + 1, bytes - text - 1);
	struct fuzz_input input = { NULL, data, bytes };
	/* Fields may be of single bits. */
	return fuzz_trace_by(open_folder, &input, 8 * bytes + 1);
}
