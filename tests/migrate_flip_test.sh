#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/migrate_flip_test.sh - the CPU time of a flip stays below 1 ms up to 256 threads; `make flip` has its wall time as well,
# which needs a machine that does nothing else
set -u
nm -D --defined-only "${HAKMEM_LIB:?run by make check}" | grep -q ' malloc$' || exit 77
unset HAKMEM_PLAN HAKMEM_PLAN_FILE HAKMEM_CONTROL HAKMEM_GUARD HAKMEM_CHECK
LD_PRELOAD=$HAKMEM_LIB "$top_builddir/bench/flip" --busy 0 --rounds 20 --cpu-limit-us 1000 || exit 1
# A limit that nothing can keep is noticed.
! LD_PRELOAD=$HAKMEM_LIB "$top_builddir/bench/flip" --busy 0 --rounds 20 --threads 2 --cpu-limit-us 0.001 2>/dev/null
