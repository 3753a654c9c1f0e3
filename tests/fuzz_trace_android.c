/* SPDX-License-Identifier: MIT */
/* tests/fuzz_trace_android.c - libFuzzer target: Android memory_replay text */
#include "tests/fuzz_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	return fuzz_trace("memory_replay", data, bytes);
}
