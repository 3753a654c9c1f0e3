/* SPDX-License-Identifier: MIT */
/* tests/fuzz_control.c - libFuzzer target: whatever stands in the control page, the process lives and mends it
 *
 * The first byte says what the rest is: bits 0-1 which part it is written over, bit 2 whether that part is sealed then, so
 * that the fuzzer gets past the checksum. The page is a real one, and it is the library's own code that serves it. What
 * the command's side would read is held to its own checks.
 */
#include "migrate/attend.h"
#include "migrate/page.h"
#include "migrate/place.h"
#include "migrate/state.h"
#include "shim/init.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int page = -1;
static char folder[] = "/tmp/hakmem-fuzz-XXXXXX", pages[PLACE_BYTES], path[2 * PLACE_BYTES];

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void remove_folder(void)
{
	unlink(path);
	rmdir(pages);
	rmdir(folder);
}

/* The page in a folder of its own. */
static void open_once(void)
{
	const char *why;

	if (page >= 0)
		return;
	shim_init();
	require(mkdtemp(folder) != NULL);
	attend_set_runtime_directory(folder);
	require(attend_open(&why) == 0);
	require(place_path(0, folder, geteuid(), pages));
	DIR *list = opendir(pages);
	for (struct dirent *entry; (entry = readdir(list));)
		if (entry->d_name[0] != '.')
			snprintf(path, sizeof(path), "%s/%.60s", pages, entry->d_name);
	closedir(list);
	page = open(path, O_RDWR);
	require(page >= 0);
	atexit(remove_folder);
}

static union {
	struct page_header header;
	struct page_request request;
	struct page_answer answer;
	struct page_status status;
	unsigned char bytes[PAGE_BYTES];
} part;

static void check_texts(const char *text, size_t room)
{
	require(strnlen(text, room) < room);
}

/* As the command reads it. */
static void read_as_command(void)
{
	ssize_t length = pread(page, &part.header, sizeof(part.header), PAGE_AT_HEADER);
	if (!page_check_header(&part.header, length > 0 ? (size_t)length : 0))
		check_texts(part.header.program, sizeof(part.header.program));
	length = pread(page, &part.answer, sizeof(part.answer), PAGE_AT_ANSWER);
	if (!page_check_answer(&part.answer, length > 0 ? (size_t)length : 0))
		check_texts(part.answer.text, sizeof(part.answer.text));
	length = pread(page, &part.status, sizeof(part.status), PAGE_AT_STATUS);
	if (page_check_status(&part.status, length > 0 ? (size_t)length : 0))
		return;
	for (unsigned i = 0; i < 4; i++)
		check_texts(part.status.source[i].text, sizeof(part.status.source[i].text));
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		check_texts(part.status.class[i].cause, sizeof(part.status.class[i].cause));
		require(part.status.class[i].number == i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const off_t places[] = { PAGE_AT_HEADER, PAGE_AT_REQUEST, PAGE_AT_ANSWER,
					PAGE_AT_STATUS };
	static unsigned char whole[PAGE_BYTES];

	if (bytes == 0)
		return 0;
	open_once();
	unsigned which = data[0] & 3;
	bool seal = data[0] & 4, cut = data[0] & 8;
	size_t length = bytes - 1 < sizeof(whole) - (size_t)places[which]
				? bytes - 1
				: sizeof(whole) - (size_t)places[which];

	memset(whole, 0, sizeof(whole));
	memcpy(whole + places[which], data + 1, length);
	if (seal) {
		memcpy(part.bytes, whole + places[which], sizeof(whole) - (size_t)places[which]);
		if (part.request.length >= sizeof(part.request.text))
			part.request.length %= sizeof(part.request.text);
		if (which == 0)
			page_seal_header(&part.header);
		else if (which == 1)
			page_seal_request(&part.request);
		else if (which == 2)
			page_seal_answer(&part.answer);
		else
			page_seal_status(&part.status);
		memcpy(whole + places[which], part.bytes, sizeof(whole) - (size_t)places[which]);
	}
	require(pwrite(page, whole, sizeof(whole), 0) == (ssize_t)sizeof(whole));
	if (cut)
		require(ftruncate(page, (off_t)(bytes * 37 % PAGE_BYTES)) == 0);
	read_as_command();
	require(attend_serve());
	/* Mended, and known: served a second time nothing changes. */
	require(pread(page, &part.header, sizeof(part.header), PAGE_AT_HEADER) ==
		(ssize_t)sizeof(part.header));
	require(!page_check_header(&part.header, sizeof(part.header)));
	require(lseek(page, 0, SEEK_END) == PAGE_BYTES);
	require(attend_serve());
	read_as_command();
	return 0;
}
