/* SPDX-License-Identifier: MIT */
/* tests/fuzz_trace_mtrace.c - libFuzzer target: glibc mtrace(3) */
#include "tests/fuzz_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	return fuzz_trace("mtrace", data, bytes);
}
