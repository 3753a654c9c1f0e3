#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/yardstick_test.sh - what the migration costs on next, in instructions: nothing
#
# Builds the library once more with --disable-migration, next alone, and counts the instructions of
# malloc and free in both under callgrind. A class that is routed to next must take the same number in
# malloc, and at most two more in free; with a control page and its thread as many as without. Prints the
# table either way.
#
# Run by make check, which sets top_srcdir, top_builddir, HAKMEM_LIB and CC.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

command -v valgrind >/dev/null || skip "no valgrind"
command -v python3 >/dev/null || skip "no python3"
grep -q '^#define HAKMEM_MIGRATION 1' "$top_builddir/config.h" || skip "this build is next alone"
grep -q '^#define HAKMEM_SANITIZER 0' "$top_builddir/config.h" || skip "a sanitizer's build exports no malloc"
grep -q '^#define HAKMEM_CHECKS 0' "$top_builddir/config.h" || skip "checks add instructions of their own"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# configure refuses a second tree where the source tree is configured: distcheck and in-tree builds.
[ ! -f "$top_srcdir/config.status" ] || skip "the source tree itself is configured"

source=$(cd "$top_srcdir" && pwd)
make -C "$top_builddir" --no-print-directory bench/pairs >/dev/null
(cd "$work" && "$source/configure" -q --disable-migration CC="$CC" CFLAGS="${CFLAGS--g -O2}" &&
	make --no-print-directory libhakmem.la) >"$work/log" 2>&1 || {
	tail -n 30 "$work/log"
	exit 1
}

mkdir -m 700 "$work/runtime"
"$source/bench/instructions" --programs "$top_builddir/bench" \
	--json "$work/counted.json" "migration=$HAKMEM_LIB:all=next" "alone=$work/.libs/libhakmem.so" \
	"control=$HAKMEM_LIB:all=next,HAKMEM_CONTROL=1,XDG_RUNTIME_DIR=$work/runtime"
# Else the last column would be of a process without control.
[ -d "$work/runtime/hakmem" ] || {
	echo "FAILED: no control page was made"
	exit 1
}

python3 - "$work/counted.json" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    counted = json.load(file)

# The fast paths are to be the same to the instruction: a pair at a time never leaves them. Where pages
# change, the slow path asks for the route, five instructions a refill: a quarter of one a malloc. With
# a control page and its thread it is the same again; where pages change, how they lie in memory makes a hundredth.
bad = False
print(f"\n{'':16} {'malloc: alone':>18} {'migration':>10} {'control':>10}"
      f" {'free: alone':>16} {'migration':>10} {'control':>10}")
for case, alone in counted["alone"].items():
    with_it, control = counted["migration"][case], counted["control"][case]
    slack = 0.0 if case.endswith("ping-pong") else 0.5
    wrong = any(one["malloc"] > alone["malloc"] + slack or one["free"] > alone["free"] + 2 + slack
                for one in (with_it, control))
    if case != "64-remote":  # how often the owner meets the other thread's frees is a matter of timing
        wrong |= any(abs(control[one] - with_it[one]) > slack / 5 for one in ("malloc", "free"))
        bad |= wrong
    print(f"{case:>16} {alone['malloc']:18.2f} {with_it['malloc']:10.2f} {control['malloc']:10.2f}"
          f" {alone['free']:16.2f} {with_it['free']:10.2f} {control['free']:10.2f}"
          f"  {'TOO MUCH' if wrong else ''}")
sys.exit(bad)
PYTHON
