/* SPDX-License-Identifier: MIT */
/* tests/random_input.c - runs a libFuzzer target without libFuzzer: on files, or on random input for a while
 *
 *	PROGRAM [-n INPUTS | -s SECONDS] [-r FIRST] [FILE...]
 *
 * With FILEs each is one input. Else INPUTS (200) random ones, or as many as SECONDS allow, from number FIRST (1) on.
 * Ends with 0, or as the target does, after the number of the input that did it: with -r it comes first.
 */
#include "shim/base/os.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint8_t input[8192];

static uint64_t draw(uint64_t *state)
{
	/* SplitMix64: any state is a good one */
	uint64_t x = *state += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return 2;
	}
	size_t bytes = fread(input, 1, sizeof(input), file);
	fclose(file);
	printf("%s: %zu bytes\n", path, bytes);
	fflush(stdout);
	return LLVMFuzzerTestOneInput(input, bytes);
}

static void run_random(uint64_t number)
{
	uint64_t random = number;
	size_t bytes = 6 + draw(&random) % (draw(&random) % 4 ? 800 : sizeof(input) - 6);
	for (size_t i = 0; i < bytes; i++)
		input[i] = (uint8_t)draw(&random);
	LLVMFuzzerTestOneInput(input, bytes);
}

static void say_number(const char *text, uint64_t number)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %ju\n", text, (uintmax_t)number);
	os_write_stderr(line, (size_t)length);
}

static uint64_t number = 1;

/* abort() comes here and goes on to end the process. */
static void on_abort(int signal)
{
	(void)signal;
	say_number("random_input: input", number);
}

int main(int argc, char **argv)
{
	double seconds = 0;
	uint64_t first = 1, inputs = 200;
	for (int option; (option = getopt(argc, argv, "n:s:r:")) != -1;) {
		if (option == 's')
			seconds = atof(optarg);
		else if (option == 'n')
			inputs = strtoull(optarg, NULL, 0);
		else if (option == 'r')
			first = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	for (; optind < argc; optind++) {
		int status = run_file(argv[optind]);
		if (status || optind + 1 == argc)
			return status;
	}
	signal(SIGABRT, on_abort);
	uint64_t end_ns = os_now_ns() + (uint64_t)(seconds * 1e9);
	for (number = first; seconds > 0 ? os_now_ns() < end_ns : number - first < inputs; number++)
		run_random(number);
	printf("%ju inputs, from %ju on\n", (uintmax_t)(number - first), (uintmax_t)first);
	return number == first;
}
