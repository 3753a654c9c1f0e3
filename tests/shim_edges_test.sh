#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/shim_edges_test.sh - storms of forks, handlers that jump, thousands of destructors, plugins that come
# and go, sanitizers, valgrind: whole programs at the edges, in every configuration
set -u

HAKMEM_LIB=${HAKMEM_LIB:?}
edges=$top_builddir/tests/preload_edges
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
unset HAKMEM_PLAN HAKMEM_LEGACY HAKMEM_CHECK LD_PRELOAD
ulimit -c 0

nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$' || exit 77
grep -q 'HAKMEM_MIGRATION 1' "$top_builddir/config.h" && migration=1 || migration=0
. "$top_srcdir/tests/configurations.sh"

# want WHAT WANTED COMMAND...: the command prints exactly WANTED and ends with 0.
want() {
	local what=$1 wanted=$2 got status
	shift 2
	got=$(timeout -k 5 120 "$@" 2>&1)
	status=$?
	if [ $status = 0 ] && [ "$got" = "$wanted" ]; then
		echo "ok   $what"
	else
		printf 'FAIL %s: status %s\nwanted: %s\ngot:    %.2000s\n' "$what" $status "$wanted" "$got"
		failures=$((failures + 1))
	fi
}

# says WHAT PATTERN COMMAND...: a line of the command's matches, however it ends; but it ends.
says() {
	local what=$1 pattern=$2 got status
	shift 2
	got=$(timeout -k 5 120 "$@" 2>&1)
	status=$?
	if [ $status != 124 ] && [ $status != 137 ] && grep -qE "$pattern" <<<"$got"; then
		echo "ok   $what"
	else
		printf 'FAIL %s: status %s, wanted a line "%s"\ngot:    %.2000s\n' "$what" $status \
			"$pattern" "$got"
		failures=$((failures + 1))
	fi
}

skip() { echo "skip $1"; }

# --------------------------------------------------------------------------------------------- edges

for edge in $("$edges"); do
	want "$edge, without the library" ok "$edges" "$edge"
	for name in "${configurations[@]}"; do
		configure_for "$name"
		want "$edge, $name" ok env "${configured[@]}" "$edges" "$edge"
		forget_recordings
	done
	want "$edge, checked" ok env HAKMEM_CHECK=full LD_PRELOAD="$HAKMEM_LIB" "$edges" "$edge"
done

# ------------------------------------------------------------------------------------------- plugins

cat >"$work/plugin.c" <<'END'
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
static __thread char storage[5000];
static void *block;
__attribute__((constructor)) static void begin(void) { block = malloc(100000); }
__attribute__((destructor)) static void end(void) { free(block); free(malloc(30)); }
void *plugin_take(size_t bytes) { storage[bytes % 5000] = 1; return calloc(1, bytes); }
END
if $CC -shared -fPIC -o "$work/plugin.so" "$work/plugin.c" 2>"$work/log"; then
	for name in "${configurations[@]}"; do
		configure_for "$name"
		want "libraries come and go, $name" ok env "${configured[@]}" "$edges" open-and-close \
			"$work/plugin.so"
	done
else
	skip "libraries that come and go: $(tail -n 1 "$work/log")"
fi

# ----------------------------------------------------------------------- jemalloc before and after us

jemalloc=$(ldconfig -p | awk '/libjemalloc\.so\.2/ { print $NF; exit }')
if [ $migration = 1 ] && [ -n "$jemalloc" ]; then
	for edge in fork-storm thousand-thread-locals many-exit-handlers; do
		want "$edge, jemalloc behind us" ok env HAKMEM_PLAN='all=next, 4k-16k=system' \
			LD_PRELOAD="$HAKMEM_LIB:$jemalloc" "$edges" "$edge"
		want "$edge, jemalloc before us" ok env LD_PRELOAD="$jemalloc:$HAKMEM_LIB" \
			"$edges" "$edge"
	done
else
	skip 'jemalloc is not installed, or there is no old side'
fi

# -------------------------------------------------------------------------------- sanitizer-built programs
#
# A sanitizer's runtime brings its own malloc and has to be the first: either its own complaint ends the
# program, or, where it is part of the program, we stand aside and say that the plan is ignored.

cat >"$work/sanitized.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
	char *volatile p = malloc(100);
	p[5] = 1;
	free(p);
	puts("ok");
	return 0;
}
END
complaint='does not come first|needs its own malloc|brings its own malloc: HAKMEM_PLAN ignored'
[ $migration = 1 ] || complaint='does not come first|needs its own malloc|^ok$'
for sanitizer in address thread undefined; do
	for compiler in "$CC" clang; do
		command -v ${compiler%% *} >/dev/null || { skip "no $compiler"; continue; }
		if ! $compiler -fsanitize=$sanitizer -o "$work/sanitized" "$work/sanitized.c" 2>"$work/log" ||
			[ "$("$work/sanitized" 2>&1)" != ok ]; then
			skip "$compiler -fsanitize=$sanitizer does not work here"
			continue
		fi
		pattern=$complaint
		[ $sanitizer = undefined ] && pattern='^ok$' # has no malloc
		says "$compiler -fsanitize=$sanitizer" "$pattern" env HAKMEM_PLAN=all=next \
			LD_PRELOAD="$HAKMEM_LIB" "$work/sanitized"
	done
done

# ------------------------------------------------------------------------------------ valgrind and gdb

cat >"$work/wrong.c" <<'END'
#include <stdlib.h>
int main(void)
{
	char *volatile p = malloc(100);
	p[100] = 1;
	free(p);
	return p[0];
}
END
$CC -g -gdwarf-4 -O0 -w -o "$work/wrong" "$work/wrong.c" || exit 1
if command -v valgrind >/dev/null; then
	# Its own malloc in the place of ours finds every access; ours, left in place, runs.
	says 'valgrind in our place finds a write past the end' 'Invalid write of size 1' \
		env LD_PRELOAD="$HAKMEM_LIB" valgrind --soname-synonyms=somalloc='libhakmem.so*' "$work/wrong"
	want 'under valgrind' ok env LD_PRELOAD="$HAKMEM_LIB" \
		valgrind -q --tool=none "$edges" thousand-thread-locals
else
	skip 'valgrind is not installed'
fi
if command -v gdb >/dev/null; then
	says 'gdb shows where a misuse was found' 'main \(\) at .*wrong.c:6' \
		gdb -q -batch -ex 'set breakpoint pending on' -ex 'set startup-with-shell off' \
		-ex "set environment LD_PRELOAD $HAKMEM_LIB" -ex 'set environment HAKMEM_CHECK full' \
		-ex run -ex backtrace "$work/wrong"
else
	skip 'gdb is not installed'
fi

# ----------------------------------------------------------------------------------------- huge pages

mode=/sys/kernel/mm/transparent_hugepage/enabled
if [ "${HAKMEM_TEST_THP-}" = 1 ] && [ -w $mode ]; then
	# Changes the whole machine, so only where that is asked for.
	before=$(sed 's/.*\[\(.*\)\].*/\1/' $mode)
	trap 'echo "$before" >$mode; rm -rf "$work"' EXIT
	for setting in always madvise never; do
		echo $setting >$mode
		for name in "${configurations[@]}"; do
			configure_for "$name"
			for edge in thousand-thread-locals fork-storm; do
				want "huge pages $setting, $edge, $name" ok env "${configured[@]}" "$edges" "$edge"
			done
		done
	done
	echo "$before" >$mode
else
	skip 'huge pages of the whole machine: HAKMEM_TEST_THP=1 as root tries them all'
fi

configurations_were_true || failures=$((failures + 1))
exit $((failures > 0))
