/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/plot.c - pictures, as SVG, drawn by gnuplot; see plot.h */
#include "migrate/tool/trace/plot.h"

#include "migrate/tool/output.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FONT	"DejaVu Sans,Helvetica,Arial,sans-serif"
#define SVG_MAX (16 * MIB)

extern char **environ;

const char *const plot_peers[4] = { "#009e73", "#cc79a7", "#d55e00", "#555555" };

bool plot_begin(struct plot *plot, unsigned width, unsigned height)
{
	*plot = (struct plot){ .script = NULL };
	plot->script = open_memstream(&plot->text, &plot->length);
	if (!plot->script)
		return false;
	fprintf(plot->script,
		"set encoding utf8\n"
		"set terminal svg noenhanced size %u,%u font '" FONT ",13' background rgb "
		"'#ffffff' linewidth 1.2\n"
		"set border 3 lc rgb '#999999'\n"
		"set tics nomirror textcolor rgb '#333333'\n"
		"set grid lc rgb '#e6e6e6' lt 1 lw 0.6\n"
		"set key textcolor rgb '#222222' samplen 2\n",
		width, height);
	return true;
}

void plot_quote(struct plot *plot, const char *text)
{
	putc('\'', plot->script);
	for (; *text; text++) {
		if (*text == '\'')
			putc('\'', plot->script);
		putc(*text == '\n' ? ' ' : *text, plot->script);
	}
	putc('\'', plot->script);
}

static int memory_file(const void *data, size_t bytes)
{
	int fd = memfd_create("plot", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	const char *at = data;
	while (bytes > 0) {
		ssize_t done = write(fd, at, bytes);
		if (done < 0) {
			close(fd);
			return -1;
		}
		at += done;
		bytes -= (size_t)done;
	}
	(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

static void read_words(int fd, char words[256])
{
	ssize_t length = pread(fd, words, 255, 0);
	words[length > 0 ? length : 0] = '\0';
	for (char *at = words; *at; at++)
		if (*at == '\n' || *at == '\t')
			*at = ' ';
	output_make_safe(words);
}

/* gnuplot with the script as its input, the picture as its output and its words in a file. */
static bool run_gnuplot(int script, int out, char words[256])
{
	static char name[] = "gnuplot", dash[] = "-";
	char *arguments[] = { name, dash, NULL };
	posix_spawn_file_actions_t actions;
	int errors = memory_file("", 0), status = 0;
	pid_t pid;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
	int reason = posix_spawnp(&pid, name, &actions, NULL, arguments, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (reason == ENOENT) {
		(void)snprintf(words, 256, "pictures need gnuplot (Debian: gnuplot-nox)");
	} else if (reason) {
		(void)snprintf(words, 256, "gnuplot: %s", strerror(reason));
	} else {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
		if (status != 0)
			read_words(errors, words);
	}
	close(errors);
	return reason == 0 && status == 0;
}

static bool draw(struct plot *plot, int out, char words[256])
{
	bool whole = fclose(plot->script) == 0;
	int script = whole ? memory_file(plot->text, plot->length) : -1;
	bool done = false;

	if (script < 0)
		(void)snprintf(words, 256, "%s", strerror(ENOMEM));
	else
		done = run_gnuplot(script, out, words);
	if (script >= 0)
		close(script);
	free(plot->text);
	return done;
}

bool plot_draw(struct plot *plot, const char *path, char words[256])
{
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (out < 0) {
		(void)snprintf(words, 256, "%.200s: %s", path, strerror(errno));
		(void)fclose(plot->script);
		free(plot->text);
		return false;
	}
	bool done = draw(plot, out, words);
	close(out);
	return done;
}

char *plot_draw_text(struct plot *plot, char words[256])
{
	int out = memory_file("", 0);
	bool done = draw(plot, out, words);
	off_t bytes = done ? lseek(out, 0, SEEK_END) : 0;
	char *text = bytes > 0 && bytes < (off_t)SVG_MAX ? malloc((size_t)bytes + 1) : NULL;

	if (text) {
		ssize_t got = pread(out, text, (size_t)bytes, 0);
		text[got > 0 ? got : 0] = '\0';
	} else if (done) {
		(void)snprintf(words, 256, "gnuplot drew nothing");
	}
	if (out >= 0)
		close(out);
	return text;
}
