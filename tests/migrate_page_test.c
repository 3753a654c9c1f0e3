/* SPDX-License-Identifier: MIT */
/* tests/migrate_page_test.c - the control page's parts are taken whole and undamaged, or not at all */
#include "migrate/page.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

/* A part, with room behind it that no check may read: the sanitizers watch the block's end. */
struct part {
	size_t bytes; /* that say something */
	void (*fill)(void *part);
	void (*seal)(void *part);
	const char *(*check)(const void *part, size_t bytes);
};

static void fill_header(void *part)
{
	struct page_header *header = part;
	header->version = PAGE_VERSION;
	header->pid = 4711;
	header->bytes = PAGE_BYTES;
	header->classes = NEXT_CLASSES;
	header->class_bytes = sizeof(struct hakmem_class);
	strcpy(header->program, "redis-server");
	strcpy(header->library, "0.1.0");
}

static void fill_request(void *part)
{
	struct page_request *request = part;
	request->operation = PAGE_PLAN;
	request->sequence = 7;
	request->length = 9;
	strcpy(request->text, "tiny=next");
}

static void fill_answer(void *part)
{
	struct page_answer *answer = part;
	answer->result = PAGE_REFUSED;
	answer->sequence = 7;
	strcpy(answer->text, "no");
}

static void fill_status(void *part)
{
	struct page_status *status = part;
	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		status->class[i].number = i;
}

static void seal_header(void *part)
{
	page_seal_header(part);
}

static void seal_request(void *part)
{
	page_seal_request(part);
}

static void seal_answer(void *part)
{
	page_seal_answer(part);
}

static void seal_status(void *part)
{
	page_seal_status(part);
}

static const char *check_header(const void *part, size_t bytes)
{
	return page_check_header(part, bytes);
}

static const char *check_request(const void *part, size_t bytes)
{
	return page_check_request(part, bytes);
}

static const char *check_answer(const void *part, size_t bytes)
{
	return page_check_answer(part, bytes);
}

static const char *check_status(const void *part, size_t bytes)
{
	return page_check_status(part, bytes);
}

static const struct part parts[] = {
	{ sizeof(struct page_header), fill_header, seal_header, check_header },
	{ offsetof(struct page_request, text) + 10, fill_request, seal_request, check_request },
	{ sizeof(struct page_answer), fill_answer, seal_answer, check_answer },
	{ sizeof(struct page_status), fill_status, seal_status, check_status },
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void *sealed(const struct part *part)
{
	void *bytes = calloc(1, sizeof(struct page_status));
	part->fill(bytes);
	part->seal(bytes);
	return realloc(bytes, part->bytes);
}

static void a_sealed_part_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < PARTS; i++) {
		void *part = sealed(&parts[i]);
		assert_null(parts[i].check(part, parts[i].bytes));
		free(part);
	}
}

static void a_part_that_is_cut_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < PARTS; i++) {
		void *part = sealed(&parts[i]);
		for (size_t bytes = 0; bytes < parts[i].bytes; bytes += 1 + bytes / 16)
			assert_non_null(parts[i].check(part, bytes));
		free(part);
	}
}

/* Every bit of every part. */
static void one_bit_that_is_wrong_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < PARTS; i++) {
		unsigned char *part = sealed(&parts[i]);
		size_t step = parts[i].bytes > 8192 ? 7 : 1;
		for (size_t at = 0; at < parts[i].bytes; at += step) {
			part[at] ^= (unsigned char)(1u << at % 8);
			assert_non_null(parts[i].check(part, parts[i].bytes));
			part[at] ^= (unsigned char)(1u << at % 8);
		}
		assert_null(parts[i].check(part, parts[i].bytes));
		free(part);
	}
}

static void a_part_in_another_ones_place_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < PARTS; i++) {
		for (size_t k = 0; k < PARTS; k++) {
			size_t bytes = sizeof(struct page_status);
			void *part = calloc(1, bytes);
			parts[i].fill(part);
			parts[i].seal(part);
			assert_int_equal(parts[k].check(part, bytes) == NULL, i == k);
			free(part);
		}
	}
}

#define REFUSED_WITH(type, number, field, value)                                                   \
	do {                                                                                       \
		struct type *part = sealed(&parts[number]);                                        \
		part->field = (value);                                                             \
		parts[number].seal(part);                                                          \
		assert_non_null(parts[number].check(part, sizeof(*part)));                         \
		free(part);                                                                        \
	} while (0)

/* A right checksum alone makes no number right. */
static void numbers_out_of_bounds_are_refused(void **state)
{
	(void)state;
	REFUSED_WITH(page_header, 0, version, PAGE_VERSION + 1);
	REFUSED_WITH(page_header, 0, bytes, 0);
	REFUSED_WITH(page_header, 0, classes, NEXT_CLASSES + 1);
	REFUSED_WITH(page_header, 0, class_bytes, 8);
	REFUSED_WITH(page_request, 1, operation, 0);
	REFUSED_WITH(page_request, 1, operation, PAGE_OPERATIONS);
	REFUSED_WITH(page_request, 1, operation, UINT32_MAX);
	REFUSED_WITH(page_request, 1, length, 8);
	REFUSED_WITH(page_request, 1, text[9], 'x');
	REFUSED_WITH(page_answer, 2, result, 0);
	REFUSED_WITH(page_answer, 2, result, 3);
	REFUSED_WITH(page_status, 3, kill_switch, 2);
	REFUSED_WITH(page_status, 3, source[3].length, UINT32_MAX);
	REFUSED_WITH(page_status, 3, source[3].present, 2);
	REFUSED_WITH(page_status, 3, class[NEXT_CLASS_HUGE].number, NEXT_CLASS_HUGE - 1);
	REFUSED_WITH(page_status, 3, class[5].state, 3);
	REFUSED_WITH(page_status, 3, class[5].served_by, 3);
	REFUSED_WITH(page_status, 3, class[5].old_side, UINT32_MAX);
	REFUSED_WITH(page_status, 3, class[5].source, 4);
	REFUSED_WITH(page_status, 3, class[5].reason, 5);
	REFUSED_WITH(page_status, 3, class[5].share_of, 4);
	REFUSED_WITH(page_status, 3, class[5].share, SHARE_WHOLE + 1);
	REFUSED_WITH(page_status, 3, class[5].arm, 3);
	REFUSED_WITH(page_status, 3, would_be[5].served_by, 3);
	REFUSED_WITH(page_status, 3, would_be[5].state, 3);
}

#define REFUSED_WITHOUT_END(type, number, field)                                                   \
	do {                                                                                       \
		struct type *part = sealed(&parts[number]);                                        \
		memset(part->field, 'x', sizeof(part->field));                                     \
		parts[number].seal(part);                                                          \
		assert_non_null(parts[number].check(part, sizeof(*part)));                         \
		free(part);                                                                        \
	} while (0)

static void texts_without_an_end_are_refused(void **state)
{
	(void)state;
	REFUSED_WITHOUT_END(page_header, 0, program);
	REFUSED_WITHOUT_END(page_header, 0, library);
	REFUSED_WITHOUT_END(page_answer, 2, text);
	REFUSED_WITHOUT_END(page_status, 3, salt);
	REFUSED_WITHOUT_END(page_status, 3, plan_file);
	REFUSED_WITHOUT_END(page_status, 3, source[1].text);
	REFUSED_WITHOUT_END(page_status, 3, source[2].error);
	REFUSED_WITHOUT_END(page_status, 3, class[7].cause);
}

/* No checksum is worked out over a length that is none. */
static void a_length_out_of_bounds_is_refused(void **state)
{
	(void)state;
	struct page_request *request = sealed(&parts[1]);
	static const uint32_t lengths[] = {
		10, 4096, sizeof(request->text) - 1, sizeof(request->text), INT32_MAX, UINT32_MAX
	};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		request->length = lengths[i];
		assert_non_null(page_check_request(request, parts[1].bytes));
	}
	free(request);
}

static void rubbish_is_refused(void **state)
{
	(void)state;
	uint64_t random = 20251024;
	for (unsigned round = 0; round < 2000; round++) {
		for (size_t i = 0; i < PARTS; i++) {
			unsigned char *part = malloc(parts[i].bytes);
			for (size_t at = 0; at < parts[i].bytes; at++) {
				random = random * 6364136223846793005u + 1442695040888963407u;
				part[at] = (unsigned char)(random >> 56);
			}
			assert_non_null(parts[i].check(part, parts[i].bytes));
			free(part);
			if (round > 50 && i == 2)
				break; /* the status is large */
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sealed_part_is_taken),
		cmocka_unit_test(a_part_that_is_cut_is_refused),
		cmocka_unit_test(one_bit_that_is_wrong_is_noticed),
		cmocka_unit_test(a_part_in_another_ones_place_is_refused),
		cmocka_unit_test(numbers_out_of_bounds_are_refused),
		cmocka_unit_test(texts_without_an_end_are_refused),
		cmocka_unit_test(a_length_out_of_bounds_is_refused),
		cmocka_unit_test(rubbish_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
