#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/programs_test.sh - the short table of tests/programs as a test; takes one to two minutes
set -eu

if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	echo "a sanitizer's build exports no malloc: it cannot be preloaded"
	exit 77
fi

# The witness sees through the entry for malloc that a position-dependent program has, as Debian's python3.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$CC -shared -fPIC -o "$work/witness.so" "$top_srcdir/tests/programs.d/witness.c"
if echo '#include <stdlib.h>
void *(*volatile entry)(size_t);
int main(void) { entry = malloc; free(entry(1)); return 0; }' |
	$CC -O0 -fno-pie -no-pie -x c - -o "$work/fixed"; then
	WITNESS_LOG=$work/log LD_PRELOAD=$HAKMEM_LIB:$work/witness.so "$work/fixed"
	[ "$(cut -f 3 "$work/log")" = "$HAKMEM_LIB" ] || {
		echo "the witness takes a program's entry for its malloc: $(cat "$work/log")"
		exit 1
	}
fi

# Without migration there is no command and no plan: next serves everything.
if [ -x "$top_builddir/hakmem" ]; then
	"$top_srcdir/tests/programs" --check
else
	"$top_srcdir/tests/programs" --check --column all-next
fi
