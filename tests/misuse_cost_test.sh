#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/misuse_cost_test.sh - what it costs that every build notices misuse: at most 10 instructions a pair
#
# Builds the library once more without the looks that find double and invalid frees, in next and in legacy, and counts
# the instructions of malloc and free in both under callgrind. (That legacy's free also looks at the header before the
# block finds overruns, and is left in both.) With HAKMEM_TEST_ROUNDS=N it also takes the CPU time of bench/pairs N
# times, with both libraries at the same time on one processor (why so: tests/flag-cost): at most 5 % more. Prints
# the tables either way.
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

# The flags of the make that runs the tests are not for this one.
unset MAKEFLAGS MFLAGS MAKELEVEL
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

make -C "$top_builddir" --no-print-directory bench/pairs >/dev/null
make -C "$top_builddir" -s --no-print-directory distdir distdir="$work/source" >"$work/log" 2>&1 || {
	tail -n 30 "$work/log"
	exit 1
}
chmod -R u+w "$work/source"

without() { # FILE EXPRESSION: it has to find something
	sed -e "$2" "$work/source/$1" >"$work/changed"
	if cmp -s "$work/source/$1" "$work/changed"; then
		echo "FAILED: $1 has changed: $2"
		exit 1
	fi
	cp "$work/changed" "$work/source/$1"
}
without next/types.h 's/return likely(low >> 32 == 0);/return true;/'
without next/fast.h 's/if (unlikely(test_and_set_bit(page->bits, number)))/if (test_and_set_bit(page->bits, number) \&\& false)/'
without legacy/legacy.c '/^INLINE struct legacy_page \*check_live/,/^}/{/header_intact/!s/if (unlikely(\(.*\)))$/if (false \&\& (\1))/}'

mkdir "$work/build"
(cd "$work/build" && ../source/configure -q CC="$CC" CFLAGS="${CFLAGS--g -O2}" &&
	make --no-print-directory libhakmem.la) >"$work/log" 2>&1 || {
	tail -n 30 "$work/log"
	exit 1
}

unchecked=$work/build/.libs/libhakmem.so
"$top_srcdir/bench/instructions" --programs "$top_builddir/bench" --json "$work/counted.json" \
	"next=$HAKMEM_LIB:all=next" "next-unchecked=$unchecked:all=next" \
	"legacy=$HAKMEM_LIB:all=old" "legacy-unchecked=$unchecked:all=old" >/dev/null

python3 - "$work/counted.json" "$HAKMEM_LIB" "$unchecked" "$top_builddir/bench/pairs" <<'PYTHON'
import json
import os
import statistics
import subprocess
import sys

counts, library, unchecked, pairs = sys.argv[1:]
with open(counts, encoding="utf-8") as file:
    counted = json.load(file)

# Where pages change, and where another thread frees, how the memory lies makes a hundredth.
bad = False
print(f"{'':8} {'instructions a pair':>14} {'without the looks':>20}")
for pool in ("next", "legacy"):
    for case, checked in counted[pool].items():
        if pool == "legacy" and case.startswith("64-"):
            continue  # the system's
        more = checked["pair"] - counted[pool + "-unchecked"][case]["pair"]
        # None at all would say that there was nothing to compare.
        limit = 10 + checked["pair"] / 100
        wrong = more > limit or (case.endswith("ping-pong") and more < 1)
        bad |= wrong
        print(f"{pool:8} {case:14} {checked['pair']:10.2f} {more:+10.2f}  {'WRONG' if wrong else ''}")


core = max(os.sched_getaffinity(0))


def start(path, plan):
    environment = {**os.environ, "LD_PRELOAD": path, "HAKMEM_PLAN": plan}
    return subprocess.Popen([pairs, "--rounds", "20000"], env=environment, stdout=subprocess.DEVNULL,
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}))


def seconds(child):
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    if status:
        sys.exit(f"FAILED: bench/pairs ended with status {status:#x}")
    return usage.ru_utime + usage.ru_stime


rounds = int(os.environ.get("HAKMEM_TEST_ROUNDS", "0"))
for plan in ("all=next", "all=old") if rounds else ():
    ratios = []
    for number in range(rounds):
        both = (library, unchecked) if number % 2 else (unchecked, library)
        children = {path: start(path, plan) for path in both}
        took_s = {path: seconds(child) for path, child in children.items()}
        ratios.append(took_s[library] / took_s[unchecked])
    ratios.sort()
    # The order statistics between which the median lies with 95 %, by the sign test.
    reach = int((rounds - 1.96 * rounds ** 0.5) / 2)
    low, high = ratios[max(0, reach)], ratios[min(rounds - 1, rounds - 1 - reach)]
    wrong = low > 1.05
    bad |= wrong
    print(f"{plan}: time {statistics.median(ratios):.3f} of that without ({low:.3f} to {high:.3f}, {rounds} rounds)"
          f"  {'TOO MUCH' if wrong else ''}")
if not rounds:
    print("the time was not taken: HAKMEM_TEST_ROUNDS=25 does")
sys.exit(bad)
PYTHON
