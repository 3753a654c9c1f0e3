/* SPDX-License-Identifier: MIT */
/* tests/fuzz_trace_ctf.c - libFuzzer target: one stream of our own binary format */
#include "tests/fuzz_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	return fuzz_trace("hakmem", data, bytes);
}
