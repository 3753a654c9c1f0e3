/* SPDX-License-Identifier: MIT */
/* tests/migrate_control_test.c - the control page and its thread: requests are served, and nothing that is written there,
 * closed, cut or removed ends the process
 */
#include "migrate/page.h"
#include "migrate/place.h"
#include "migrate/state.h"
#include "migrate/tool/client.h"
#include "next/next.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES	    4096
#define CHILD_LIMIT 60		 /* seconds until a child counts as hung */
#define PATIENCE_NS 20000000000u /* until something that should happen counts as not happening */

static char folder[] = "/tmp/hakmem-test-XXXXXX";

static char *page_path(char out[PLACE_BYTES + PLACE_NAME_BYTES])
{
	char pages[PLACE_BYTES], prefix[32];
	int length = snprintf(prefix, sizeof(prefix), "%d-", (int)getpid());
	out[0] = '\0';
	if (!place_path(0, folder, geteuid(), pages))
		fail();
	DIR *list = opendir(pages);
	for (struct dirent *entry; list && (entry = readdir(list));)
		if (strncmp(entry->d_name, prefix, (size_t)length) == 0)
			snprintf(out, PLACE_BYTES + PLACE_NAME_BYTES, "%s/%.60s", pages,
				 entry->d_name);
	if (list)
		closedir(list);
	return out;
}

/* True as soon as the process attends to a page. */
static bool page_comes(pid_t pid)
{
	char error[CLIENT_ERROR_BYTES];
	uint64_t until_ns = os_now_ns() + PATIENCE_NS;
	struct client client;
	while (!client_open(&client, pid, error)) {
		if (os_now_ns() > until_ns) {
			print_error("%s\n", error);
			return false;
		}
		usleep(1000);
	}
	client_close(&client);
	return true;
}

static void open_own(struct client *client)
{
	char error[CLIENT_ERROR_BYTES];
	assert_true(page_comes(getpid()));
	if (!client_open(client, getpid(), error))
		fail_msg("%s", error);
}

static struct page_answer asked(enum page_operation operation, const char *text,
				struct page_status *status)
{
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;
	struct client client;
	open_own(&client);
	if (!client_ask(&client, operation, text, &answer, status, error))
		fail_msg("%s", error);
	client_close(&client);
	return answer;
}

static void applied(enum page_operation operation, const char *text)
{
	struct page_answer answer = asked(operation, text, NULL);
	if (answer.result != PAGE_APPLIED)
		fail_msg("%s: %s", text ? text : "", answer.text);
}

static enum hakmem_owner served_by(void)
{
	void *block = hakmem_malloc(BYTES);
	enum hakmem_owner owner = hakmem_owner(block);
	hakmem_free(block);
	return owner;
}

static int start_clean(void **state)
{
	bool all[NEXT_CLASSES];
	(void)state;
	memset(all, true, sizeof(all));
	state_drop_plan(SOURCE_LIVE, NULL);
	state_unlatch(all, NULL);
	state_kill_switch(false, NULL);
	return hakmem_control_start();
}

/* --- requests ------------------------------------------------------------------------------------- */

static void every_request_is_applied_before_it_is_answered(void **state)
{
	(void)state;
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	applied(PAGE_PLAN, "4k=next");
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	applied(PAGE_ROLLBACK, "4k");
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	applied(PAGE_PLAN, "all=next");
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	applied(PAGE_UNLATCH, "4k");
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	applied(PAGE_KILL_SWITCH, "on");
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	applied(PAGE_KILL_SWITCH, "off");
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	applied(PAGE_ROLLBACK, "");
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	applied(PAGE_UNLATCH, "");
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	applied(PAGE_DROP_PLAN, NULL);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
}

static void what_is_wrong_is_refused_with_the_reason(void **state)
{
	(void)state;
	static const struct {
		enum page_operation operation;
		const char *text, *reason;
	} cases[] = {
		{ PAGE_PLAN, "4k=nxt", "\"4k=nxt\": no such target" },
		{ PAGE_PLAN, "tiny=legacy", "legacy serves above 1 KiB" },
		{ PAGE_TRY, "4k=next@5%", "a share of what?" },
		{ PAGE_ROLLBACK, "4k,", "an empty item" },
		{ PAGE_UNLATCH, "everything", "no such selector" },
		{ PAGE_KILL_SWITCH, "perhaps", "on or off" },
		{ PAGE_KILL_SWITCH, "", "on or off" },
	};
	char longest[PLAN_TEXT_MAX + 2];
	struct state before, after;

	applied(PAGE_PLAN, "4k=next");
	state_read(&before);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct page_answer answer = asked(cases[i].operation, cases[i].text, NULL);
		assert_int_equal(answer.result, PAGE_REFUSED);
		assert_non_null(strstr(answer.text, cases[i].reason));
	}
	memset(longest, ' ', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	struct page_answer answer = asked(PAGE_PLAN, longest, NULL);
	assert_int_equal(answer.result, PAGE_REFUSED);
	assert_non_null(strstr(answer.text, "longer than 4096 bytes"));
	state_read(&after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void the_status_is_what_the_program_sees_itself(void **state)
{
	(void)state;
	static struct page_status status;
	static struct hakmem_class classes[NEXT_CLASSES];

	applied(PAGE_PLAN, "tiny=next, 4k=next@25%:thread/control, salt=s");
	applied(PAGE_ROLLBACK, "64");
	void *block = hakmem_malloc(100);
	assert_int_equal(asked(PAGE_STATUS, NULL, &status).result, PAGE_APPLIED);
	assert_int_equal(hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES),
			 NEXT_CLASSES);
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		/* The figures are of another moment. */
		classes[i].next_live_blocks = status.class[i].next_live_blocks;
		classes[i].next_live_bytes = status.class[i].next_live_bytes;
		classes[i].old_live_blocks = status.class[i].old_live_blocks;
		classes[i].old_live_bytes = status.class[i].old_live_bytes;
		classes[i].old_pinned_pages = status.class[i].old_pinned_pages;
		classes[i].old_pinned_bytes = status.class[i].old_pinned_bytes;
		classes[i].next_held_bytes = status.class[i].next_held_bytes;
		if (status.class[i].flipped_ns != HAKMEM_UNKNOWN) {
			assert_true(classes[i].flipped_ns >= status.class[i].flipped_ns);
			classes[i].flipped_ns = status.class[i].flipped_ns;
		}
		assert_memory_equal(&classes[i], &status.class[i], sizeof(classes[i]));
		assert_int_equal(status.would_be[i].state, status.class[i].state);
	}
	const struct hakmem_class *class = &status.class[next_class_of(64)];
	assert_int_equal(class->latched, 1);
	assert_int_equal(class->reason, HAKMEM_REASON_LATCHED);
	assert_string_equal(class->cause, "asked for by the command");
	class = &status.class[next_class_of(100)];
	assert_int_equal(class->state, HAKMEM_STATE_NEXT);
	assert_true(class->next_live_blocks >= 1 && class->next_live_bytes >= 100);
	class = &status.class[next_class_of(BYTES)];
	assert_int_equal(class->state, HAKMEM_STATE_CANARY);
	assert_int_equal(class->share, 25 * SHARE_PERCENT);
	assert_int_equal(class->share_of, HAKMEM_SHARE_OF_THREADS);
	assert_int_equal(class->has_control, 1);
	assert_int_equal(class->old_class_bytes, 4096);
	assert_string_equal(status.salt, "s");
	assert_true(status.source[HAKMEM_SOURCE_LIVE].present);
	assert_string_equal(status.source[HAKMEM_SOURCE_LIVE].text,
			    "tiny=next, 4k=next@25%:thread/control, salt=s");
	hakmem_free(block);
}

static void a_trial_shows_what_would_be_and_leaves_what_is(void **state)
{
	(void)state;
	static struct page_status status;
	unsigned class = next_class_of(BYTES);

	assert_int_equal(asked(PAGE_TRY, "4k=next", &status).result, PAGE_APPLIED);
	assert_int_equal(status.class[class].served_by, HAKMEM_OWNER_LEGACY);
	assert_int_equal(status.would_be[class].served_by, HAKMEM_OWNER_NEXT);
	assert_int_equal(status.would_be[class + 1].served_by, HAKMEM_OWNER_LEGACY);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
}

static void the_thread_takes_nothing_from_the_pools(void **state)
{
	(void)state;
	struct next_stats before, after;
	static struct page_status status;

	applied(PAGE_PLAN, "all=next");
	served_by();
	next_read_stats(&before);
	for (int i = 0; i < 50; i++) {
		applied(PAGE_PLAN, i % 2 ? "all=next" : "all=next@50%:thread");
		assert_int_equal(asked(PAGE_STATUS, NULL, &status).result, PAGE_APPLIED);
		applied(PAGE_ROLLBACK, "4k");
		applied(PAGE_UNLATCH, "4k");
	}
	next_read_stats(&after);
	assert_int_equal(after.heaps, before.heaps);
	assert_int_equal(after.live_blocks, before.live_blocks);
}

static _Atomic int told;

static void count_rollback(const struct hakmem_rollback_event *event, void *argument)
{
	assert_ptr_equal(argument, &told);
	told += (int)event->flipped;
	/* It may call everything. */
	hakmem_unlatch("4k");
}

static void the_program_hears_of_a_rollback(void **state)
{
	(void)state;
	told = 0;
	applied(PAGE_PLAN, "4k=next");
	hakmem_on_rollback(count_rollback, &told);
	applied(PAGE_ROLLBACK, "4k");
	assert_int_equal(told, 1);
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	assert_int_equal(hakmem_rollback("4k"), 0);
	assert_int_equal(told, 2);
	hakmem_on_rollback(NULL, NULL);
	assert_int_equal(hakmem_rollback("4k"), 0);
	assert_int_equal(told, 2);
}

/* --- the public calls ----------------------------------------------------------------------------- */

static void the_program_can_do_what_the_command_can(void **state)
{
	(void)state;
	char error[256], text[16];

	assert_int_equal(hakmem_plan_set("4k=next", NULL, 0), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	assert_int_equal(hakmem_plan_get(HAKMEM_SOURCE_LIVE, text, sizeof(text)), 7);
	assert_string_equal(text, "4k=next");
	assert_int_equal(hakmem_plan_get(HAKMEM_SOURCE_LIVE, text, 4), 7);
	assert_string_equal(text, "4k=");
	assert_int_equal(hakmem_plan_get(HAKMEM_SOURCE_LIVE, NULL, 0), 7);
	assert_int_equal(hakmem_plan_get(HAKMEM_SOURCE_ENVIRONMENT, text, sizeof(text)), 0);
	assert_int_equal(hakmem_plan_get((enum hakmem_source)99, text, sizeof(text)), 0);

	errno = 12345;
	assert_int_equal(hakmem_plan_set("4k=nxt", error, sizeof(error)), EINVAL);
	assert_non_null(strstr(error, "no such target"));
	assert_int_equal(hakmem_plan_set("4k=nxt", error, 5), EINVAL);
	assert_string_equal(error, "\"4k=");
	assert_int_equal(hakmem_plan_set("4k=nxt", NULL, 0), EINVAL);
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);

	assert_int_equal(hakmem_kill_switch(1), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	assert_int_equal(hakmem_kill_switch(0), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	assert_int_equal(hakmem_rollback("4k=next"), EINVAL);
	assert_int_equal(hakmem_unlatch(""), EINVAL);
	assert_int_equal(hakmem_rollback(NULL), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	assert_int_equal(hakmem_unlatch("tiny"), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	assert_int_equal(hakmem_unlatch(NULL), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	assert_int_equal(hakmem_plan_set(NULL, NULL, 0), 0);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
	assert_int_equal(errno, 12345);
}

static void classes_fit_programs_of_other_versions(void **state)
{
	(void)state;
	struct {
		struct hakmem_class known;
		uint64_t later;
	} newer[2];
	struct hakmem_class all[NEXT_CLASSES];

	memset(newer, 0xee, sizeof(newer));
	assert_int_equal(hakmem_read_classes(&newer[0].known, sizeof(newer[0]), 2), NEXT_CLASSES);
	assert_int_equal(newer[1].known.number, 1);
	assert_int_equal(newer[1].later, 0);
	memset(all, 0xee, sizeof(all));
	/* An older program knows less of each. */
	assert_int_equal(hakmem_read_classes(all, 16, 3), NEXT_CLASSES);
	assert_int_equal(((uint64_t *)(void *)all)[4], 33); /* min_bytes of the third */
	assert_int_equal(((unsigned char *)all)[48], 0xee);
	assert_int_equal(hakmem_read_classes(NULL, sizeof(all[0]), 0), NEXT_CLASSES);
}

/* --- a page that is hurt -------------------------------------------------------------------------- */

static void the_page_is_its_users_alone(void **state)
{
	(void)state;
	char path[PLACE_BYTES + PLACE_NAME_BYTES], pages[PLACE_BYTES];
	struct stat stat_of;

	assert_true(page_comes(getpid()));
	assert_int_equal(stat(page_path(path), &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 07777, 0600);
	assert_int_equal(stat_of.st_size, PAGE_BYTES);
	assert_true(place_path(0, folder, geteuid(), pages));
	assert_int_equal(stat(pages, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 07777, 0700);
}

/* Cuts it, fills it with rubbish, lengthens it, again and again, while another thread asks for all it can. */
static void whatever_is_done_to_the_page_the_process_lives(void **state)
{
	(void)state;
	char path[PLACE_BYTES + PLACE_NAME_BYTES];
	static unsigned char rubbish[PAGE_BYTES];
	uint64_t random = 20251024;

	assert_true(page_comes(getpid()));
	int fd = open(page_path(path), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (unsigned round = 0; round < (HAKMEM_SANITIZER ? 200 : 1000); round++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		size_t at = (random >> 16) % PAGE_BYTES,
		       length = (random >> 40) % (PAGE_BYTES - at) + 1;
		memset(rubbish, (int)(random >> 56), sizeof(rubbish));
		switch (round % 5) {
		case 0:
			assert_int_equal(ftruncate(fd, (off_t)at), 0);
			break;
		case 1:
			assert_int_equal(ftruncate(fd, (off_t)PAGE_BYTES + (off_t)at), 0);
			break;
		default:
			assert_true(pwrite(fd, rubbish, length, (off_t)at) == (ssize_t)length);
			break;
		}
		if (round % 64 == 63)
			applied(PAGE_PLAN, "4k=next");
		void *block = hakmem_malloc(BYTES);
		memset(block, 1, BYTES);
		hakmem_free(block);
	}
	/* Whole again, and served. */
	applied(PAGE_PLAN, "4k=old");
	struct stat stat_of;
	assert_int_equal(fstat(fd, &stat_of), 0);
	assert_int_equal(stat_of.st_size, PAGE_BYTES);
	close(fd);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
}

/* The magic is right and the rest is not: refused, and told so. */
static void a_damaged_request_is_refused(void **state)
{
	(void)state;
	static struct page_request request;
	struct page_answer answer = { .sequence = 0 };
	struct client client;
	uint64_t until_ns = os_now_ns() + PATIENCE_NS;

	open_own(&client);
	memset(&request, 0, sizeof(request));
	request.operation = PAGE_KILL_SWITCH;
	request.sequence = UINT64_C(0x1234567890);
	request.length = 2;
	strcpy(request.text, "on");
	page_seal_request(&request);
	request.text[1] = 'k';
	assert_true(pwrite(client.fd, &request, sizeof(request), PAGE_AT_REQUEST) > 0);
	while (answer.sequence != request.sequence || page_check_answer(&answer, sizeof(answer))) {
		assert_true(os_now_ns() < until_ns);
		assert_true(pread(client.fd, &answer, sizeof(answer), PAGE_AT_ANSWER) > 0);
	}
	assert_int_equal(answer.result, PAGE_REFUSED);
	assert_string_equal(answer.text, "the request is damaged");
	client_close(&client);
	assert_int_equal(served_by(), HAKMEM_OWNER_LEGACY);
}

static void a_page_that_was_removed_is_made_again(void **state)
{
	(void)state;
	char path[PLACE_BYTES + PLACE_NAME_BYTES];

	for (int i = 0; i < 3; i++) {
		assert_true(page_comes(getpid()));
		assert_int_equal(unlink(page_path(path)), 0);
		applied(PAGE_PLAN, "4k=next");
		assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
		applied(PAGE_DROP_PLAN, NULL);
	}
}

/* --- descriptors, signals ------------------------------------------------------------------------- */

static int exit_status(pid_t child)
{
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* A child that starts its own control at once, closes all it has and goes on allocating until it is told to end, by its
 * plan. */
static void be_a_child_that_closes_everything(void)
{
	alarm(CHILD_LIMIT);
	if (hakmem_control_start())
		_exit(2);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	while (served_by() != HAKMEM_OWNER_NEXT)
		usleep(1000);
	_exit(0);
}

static void a_program_may_close_all_descriptors(void **state)
{
	(void)state;
	if (THREAD_SANITIZER)
		skip(); /* there the thread shares the program's table */
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;
	struct client client;
	pid_t child = fork();

	if (child == 0)
		be_a_child_that_closes_everything();
	assert_true(page_comes(child));
	if (!client_open(&client, child, error) ||
	    !client_ask(&client, PAGE_PLAN, "4k=next", &answer, NULL, error))
		fail_msg("%s", error);
	assert_int_equal(answer.result, PAGE_APPLIED);
	client_close(&client);
	assert_int_equal(exit_status(child), 0);
}

static void a_pipe_ends_when_the_program_closes_it(void **state)
{
	(void)state;
	if (THREAD_SANITIZER)
		skip(); /* there the thread shares the program's table */
	int ends[2];
	char byte;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		/* The thread starts with the pipe open. */
		alarm(CHILD_LIMIT);
		if (hakmem_control_start())
			_exit(2);
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 3);
	}
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(exit_status(child), 0);
}

/* The thread called hakmem, if there is one. */
static bool thread_blocks(int signal_number, bool *found)
{
	char path[64], line[256];
	unsigned long long blocked = 0;
	DIR *tasks = opendir("/proc/self/task");
	for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", entry->d_name);
		FILE *file = fopen(path, "r");
		bool is_it = false;
		while (file && fgets(line, sizeof(line), file)) {
			is_it |= strcmp(line, "Name:\thakmem\n") == 0;
			if (is_it && sscanf(line, "SigBlk: %llx", &blocked) == 1)
				*found = true;
		}
		if (file)
			fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return blocked >> (signal_number - 1) & 1;
}

static void signals_go_to_the_programs_own_threads(void **state)
{
	(void)state;
	assert_true(page_comes(getpid()));
	for (int number = 1; number < 32; number++) {
		bool found = false;
		bool blocked = thread_blocks(number, &found);
		assert_true(found);
		if (number != SIGKILL && number != SIGSTOP)
			assert_true(blocked);
	}
}

/* --- fork ----------------------------------------------------------------------------------------- */

static void keep_allocating_until_killed(void)
{
	alarm(CHILD_LIMIT);
	for (;;) {
		/* Always the same block, from next: no malloc needs the slow path. */
		served_by();
		usleep(500);
	}
}

static void a_child_that_lives_gets_a_page_of_its_own(void **state)
{
	(void)state;
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;
	struct client client;

	if (THREAD_SANITIZER) {
		print_message("it lets no child of a process with threads make a thread\n");
		skip();
	}
	applied(PAGE_PLAN, "4k=next");
	/* Of the children above, which ended by _exit(). */
	(void)client_clean_up();
	pid_t child = fork();
	if (child == 0)
		keep_allocating_until_killed();
	assert_true(page_comes(child));
	if (!client_open(&client, child, error) ||
	    !client_ask(&client, PAGE_PLAN, "4k=old", &answer, NULL, error))
		fail_msg("%s", error);
	client_close(&client);
	assert_int_equal(answer.result, PAGE_APPLIED);
	assert_int_equal(answer.flipped, 1);
	/* The parent's is untouched. */
	assert_int_equal(served_by(), HAKMEM_OWNER_NEXT);
	kill(child, SIGKILL);
	assert_int_equal(exit_status(child), 255);
	assert_false(client_open(&client, child, error));
	/* Left behind, and cleaned up by whoever looks. */
	assert_int_equal(client_clean_up(), 1);
	assert_int_equal(client_clean_up(), 0);
	applied(PAGE_DROP_PLAN, NULL);
}

/* Most children exec or end at once: they get neither thread nor page, and take away none. */
static void a_child_that_ends_soon_gets_none_and_removes_none(void **state)
{
	(void)state;
	char path[PLACE_BYTES + PLACE_NAME_BYTES];

	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(CHILD_LIMIT);
			uint64_t end_ns = os_now_ns() + 2000000;
			while (os_now_ns() < end_ns)
				served_by();
			bool found = false;
			(void)thread_blocks(1, &found);
			/* exit(), so that the library's end runs. */
			exit(found || page_path(path)[0] ? 1 : 0);
		}
		/* Unless the machine kept it for a tenth of a second. */
		assert_in_range(exit_status(child), 0, 1);
	}
	applied(PAGE_STATUS, NULL);
}

static void a_process_that_ends_removes_its_page(void **state)
{
	(void)state;
	char path[PLACE_BYTES + PLACE_NAME_BYTES];
	int ends[2];

	if (THREAD_SANITIZER) {
		print_message("it lets no child of a process with threads make a thread\n");
		skip();
	}
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(CHILD_LIMIT);
		if (hakmem_control_start())
			_exit(2);
		page_path(path);
		if (write(ends[1], path, strlen(path) + 1) < 0)
			_exit(3);
		exit(0);
	}
	close(ends[1]); /* a child that dies says nothing, and then nothing is waited for */
	assert_true(read(ends[0], path, sizeof(path)) > 1);
	assert_int_equal(exit_status(child), 0);
	assert_int_equal(access(path, F_OK), -1);
	close(ends[0]);
}

/* --- latency -------------------------------------------------------------------------------------- */

/* No clock of a busy machine is a test; what is one is that nobody waits for a timer: the quickest of a hundred requests
 * is far below every interval in the library and the command. */
static void requests_are_served_without_waiting_for_a_timer(void **state)
{
	(void)state;
	uint64_t best_ns = UINT64_MAX;

	for (size_t i = 0; i < 100; i++) {
		uint64_t start_ns = os_now_ns();
		applied(PAGE_PLAN, i % 2 ? "4k=next" : "4k=old");
		uint64_t time_ns = os_now_ns() - start_ns;
		best_ns = time_ns < best_ns ? time_ns : best_ns;
	}
	print_message("quickest request, the command's search for the page included: %llu us\n",
		      (unsigned long long)best_ns / 1000);
	assert_true(best_ns < 10000000);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || setenv("XDG_RUNTIME_DIR", folder, 1) != 0)
		return -1;
	return 0;
}

static int remove_folder(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

/* Nothing calls the library meanwhile: only its thread can have done it. */
static void what_a_resting_program_freed_goes_back(void **state)
{
	enum { BLOCKS = 512 };
	static char *blocks[BLOCKS];
	const size_t bytes = 128 * KIB;
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* its own books are what the test would measure */
	applied(PAGE_PLAN, "all=next");
	size_t before = resident_bytes();
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = hakmem_malloc(bytes);
		memset(blocks[i], 1, bytes);
	}
	size_t peak = resident_bytes();
	assert_true(peak > before + BLOCKS * bytes / 2);
	for (size_t i = 0; i < BLOCKS; i++)
		hakmem_free(blocks[i]);
	uint64_t until_ns = os_now_ns() + PATIENCE_NS;
	while (resident_bytes() > before + (peak - before) / 4 && os_now_ns() < until_ns)
		usleep(10000);
	assert_true(resident_bytes() <= before + (peak - before) / 4);
}

int main(int argc, char **argv)
{
	/* The library took its settings before main: once more, with the variable set. */
	if (argc < 2) {
		if (make_folder(NULL))
			return 1;
		execl("/proc/self/exe", argv[0], folder, (char *)NULL);
		return 1;
	}
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_request_is_applied_before_it_is_answered, start_clean),
		cmocka_unit_test_setup(what_is_wrong_is_refused_with_the_reason, start_clean),
		cmocka_unit_test_setup(the_status_is_what_the_program_sees_itself, start_clean),
		cmocka_unit_test_setup(a_trial_shows_what_would_be_and_leaves_what_is, start_clean),
		cmocka_unit_test_setup(the_thread_takes_nothing_from_the_pools, start_clean),
		cmocka_unit_test_setup(the_program_hears_of_a_rollback, start_clean),
		cmocka_unit_test_setup(the_program_can_do_what_the_command_can, start_clean),
		cmocka_unit_test_setup(classes_fit_programs_of_other_versions, start_clean),
		cmocka_unit_test_setup(the_page_is_its_users_alone, start_clean),
		cmocka_unit_test_setup(whatever_is_done_to_the_page_the_process_lives, start_clean),
		cmocka_unit_test_setup(a_damaged_request_is_refused, start_clean),
		cmocka_unit_test_setup(a_page_that_was_removed_is_made_again, start_clean),
		cmocka_unit_test_setup(a_program_may_close_all_descriptors, start_clean),
		cmocka_unit_test_setup(a_pipe_ends_when_the_program_closes_it, start_clean),
		cmocka_unit_test_setup(signals_go_to_the_programs_own_threads, start_clean),
		cmocka_unit_test_setup(a_child_that_lives_gets_a_page_of_its_own, start_clean),
		cmocka_unit_test_setup(a_child_that_ends_soon_gets_none_and_removes_none,
				       start_clean),
		cmocka_unit_test_setup(a_process_that_ends_removes_its_page, start_clean),
		cmocka_unit_test_setup(what_a_resting_program_freed_goes_back, start_clean),
		cmocka_unit_test_setup(requests_are_served_without_waiting_for_a_timer,
				       start_clean),
	};

	return cmocka_run_group_tests(tests, NULL, remove_folder);
}
