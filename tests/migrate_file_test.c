/* SPDX-License-Identifier: MIT */
/* tests/migrate_file_test.c - which plan files are obeyed: those of root or the user that nobody else may write */
#include "migrate/file.h"

#include "migrate/state.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/hakmem-file-XXXXXX", plan[64], other[64];

static const char good[] = "4k=next", better[] = "8k=next";

static void write_file(const char *path, const char *text, size_t length, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), (ssize_t)length);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void assert_plan(const char *wanted)
{
	char text[64];
	assert_int_equal(state_plan_text(SOURCE_FILE, text, sizeof(text)), strlen(wanted));
	assert_string_equal(text, wanted);
}

/* From a good plan on: loads what lies there now, which must change nothing and say why. */
static void assert_refused(const char *why)
{
	char error[STATE_ERROR_BYTES];
	errno = 77;
	file_load();
	assert_int_equal(errno, 77);
	assert_plan(good);
	state_error(SOURCE_FILE, error);
	if (!strstr(error, why))
		fail_msg("'%s' does not say '%s'", error, why);
	assert_int_equal(remove(plan), 0);
	write_file(plan, good, strlen(good), 0600);
	file_load();
	state_error(SOURCE_FILE, error);
	assert_string_equal(error, "");
}

static void a_file_of_ours_alone_is_obeyed(void **state)
{
	(void)state;
	static const mode_t modes[] = { 0600, 0644, 0400, 0755 };
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *text = i % 2 ? good : better;
		assert_int_equal(remove(plan) && errno != ENOENT, 0);
		write_file(plan, text, strlen(text), modes[i]);
		file_load();
		assert_plan(text);
	}
}

static void a_file_that_others_may_write_is_not(void **state)
{
	(void)state;
	static const mode_t modes[] = { 0620, 0602, 0666, 0777 };
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_file(plan, better, strlen(better), modes[i]);
		assert_refused("others may write it");
	}
}

static void a_file_of_another_user_is_not(void **state)
{
	(void)state;
	write_file(plan, better, strlen(better), 0644);
	if (chown(plan, 65534, 65534) != 0)
		skip(); /* only root gives files away */
	assert_refused("belongs neither to root nor to the user");
}

static void what_is_no_regular_file_is_not_even_opened(void **state)
{
	(void)state;
	assert_int_equal(remove(plan), 0);
	assert_int_equal(mkfifo(plan, 0600), 0);
	assert_refused("no regular file"); /* nobody writes: an open would wait for ever */
	assert_int_equal(remove(plan), 0);
	assert_int_equal(mkdir(plan, 0700), 0);
	assert_refused("no regular file");
	assert_int_equal(remove(plan), 0);
	assert_int_equal(symlink("/dev/zero", plan), 0);
	assert_refused("no regular file");
}

static void a_link_leads_to_a_file_that_keeps_the_rules_itself(void **state)
{
	(void)state;
	assert_int_equal(remove(plan), 0);
	write_file(other, better, strlen(better), 0666);
	assert_int_equal(symlink(other, plan), 0);
	assert_refused("others may write it");
	assert_int_equal(remove(plan), 0);
	write_file(other, good, strlen(good), 0600);
	assert_int_equal(symlink(other, plan), 0);
	file_load();
	assert_plan(good);
	assert_int_equal(remove(plan), 0);
	assert_int_equal(symlink(plan, plan), 0);
	assert_refused("too many symbolic links");
}

static void what_is_no_plan_changes_nothing(void **state)
{
	(void)state;
	static char text[1 << 20];
	static const char *const wrong[] = { "4k=nowhere", "=", "4k", "all=next\0, 4k=old" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_file(plan, wrong[i], i == 3 ? 17 : strlen(wrong[i]), 0600);
		assert_refused("byte");
	}
	/* Read as far as a plan may be long, and no further. */
	memset(text, ' ', sizeof(text));
	memcpy(text, better, strlen(better));
	write_file(plan, text, sizeof(text), 0600);
	assert_refused("long");
	assert_int_equal(remove(plan), 0);
	file_load();
	assert_plan(good);
}

static int set_up(void **state)
{
	(void)state;
	if (!route_all("old") || !mkdtemp(folder))
		return -1;
	snprintf(plan, sizeof(plan), "%s/plan", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	return file_name(plan) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	(void)remove(plan);
	(void)remove(other);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_ours_alone_is_obeyed),
		cmocka_unit_test(a_file_that_others_may_write_is_not),
		cmocka_unit_test(a_file_of_another_user_is_not),
		cmocka_unit_test(what_is_no_regular_file_is_not_even_opened),
		cmocka_unit_test(a_link_leads_to_a_file_that_keeps_the_rules_itself),
		cmocka_unit_test(what_is_no_plan_changes_nothing),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
