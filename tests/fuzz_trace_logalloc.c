/* SPDX-License-Identifier: MIT */
/* tests/fuzz_trace_logalloc.c - libFuzzer target: Firefox logalloc */
#include "tests/fuzz_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	return fuzz_trace("logalloc", data, bytes);
}
