#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/shim_checked_test.sh - HAKMEM_CHECK: every misuse that a level promises to find is found, at every
# size, in both pools and by one line; and a program without misuse sees no difference
set -u

HAKMEM_LIB=${HAKMEM_LIB:?}
tests=$top_builddir/tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0 checked=0
unset HAKMEM_PLAN HAKMEM_LEGACY HAKMEM_CHECK LD_PRELOAD
ulimit -c 0

nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$' || exit 77
. "$top_srcdir/tests/configurations.sh"

# act LEVEL CONFIGURATION ARGUMENT...: of misuse_act; sets $out to what it says and $status to how it ends.
act() {
	configure_for "$2"
	out=$(env HAKMEM_CHECK="$1" "${configured[@]}" timeout -k 5 60 "$tests/misuse_act" "${@:3}" 2>&1)
	status=$?
	[ "$2" != flips-recorded ] || forget_recordings
}

# finds LEVEL CONFIGURATION WORDS ARGUMENT...: one line of the library's, with an address and these words, and abort().
finds() {
	act "$1" "$2" "${@:4}"
	checked=$((checked + 1))
	[ $status = 134 ] && grep -qE "^hakmem: .*0x[0-9a-f]+.*$" <<<"$out" &&
		[ "$(grep -c '^hakmem:' <<<"$out")" = 1 ] && grep -qE "$3" <<<"$out" && return
	echo "FAIL HAKMEM_CHECK=$1, $2, ${*:4}: status $status, wanted '$3': $out"
	failures=$((failures + 1))
}

# Tiny, mid, large, span and huge, each also where nothing lies between the block's bytes and its end.
sizes=(1 40 48 1000 1008 1025 4080 5000 8192 32752 32768 65520 200000 1000000 1500000 3000000 5000000)

# Always, whatever the level. Without a level the blocks that are not legacy's are the system's but in all-next, and the
# system has checks of its own.
always=(double-free double-free-later double-free-by-other-thread free-by-other-thread-then-own interior
	misaligned non-canonical)
for name in "${configurations[@]}"; do
	for bytes in "${sizes[@]}"; do
		for kind in "${always[@]}"; do
			for level in no cheap full; do
				[ $level = no ] && [ "$name" != all-next ] &&
					{ [ "$bytes" -le 1024 ] || [ "$bytes" -gt 32768 ]; } &&
					continue
				[ $level = cheap ] && continue
				finds $level "$name" '' "$kind" "$bytes"
			done
		done
		for level in cheap full; do
			# A zero is what most overflows write; the rest might be taken for a canary.
			for value in 0 65 255; do
				finds $level "$name" 'past the end' overflow-by-one "$bytes" $value
			done
			finds $level "$name" 'past the end' overflow-by-many "$bytes" 65
			finds $level "$name" 'mismatched size' sized-delete "$bytes"
			finds $level "$name" 'mismatched size' sized-free "$bytes"
			finds $level "$name" 'mismatched alignment' aligned-delete-of-plain-new "$bytes"
			finds $level "$name" 'mismatched alignment' plain-delete-of-aligned-new "$bytes"
		done
		finds full "$name" 'block that is free' write-after-free "$bytes"
	done
	for level in cheap full; do
		for bytes in 1 100 1000 4000; do
			finds $level "$name" 'past the end.*guard page' read-past-the-end "$bytes"
			finds $level "$name" 'before the start.*guard page' read-before-the-start "$bytes"
			finds $level "$name" 'that is free.*guard page' read-after-free "$bytes"
		done
	done
done
configurations_were_true || failures=$((failures + 1))
echo "$checked misuses, $failures not found"

# --------------------------------------------------------------------------- and without any misuse

# same WHAT COMMAND...: prints and ends as without the library.
same() {
	local what=$1 plain got level
	shift
	plain=$("$@" 2>&1)
	for level in cheap full; do
		got=$(HAKMEM_CHECK=$level LD_PRELOAD=$HAKMEM_LIB timeout -k 5 120 "$@" 2>&1)
		[ "$got" = "$plain" ] && echo "ok   $level: $what" && continue
		echo "FAIL $level: $what: $(head -c 500 <<<"$got")"
		failures=$((failures + 1))
	done
}
same 'ends and beginnings' "$tests/preload_ends"
same 'children of a threaded program' "$tests/preload_fork" 20
same 'C++ operators' "$tests/shim_operators_test"
same 'a program without a heap to speak of' "$tests/preload_short"

out=$(HAKMEM_CHECK=perhaps LD_PRELOAD=$HAKMEM_LIB "$tests/preload_short" 2>&1)
[ "$out" = $'hakmem: HAKMEM_CHECK ignored: it can be no, cheap or full\nok' ] ||
	{ echo "FAIL a wrong level: $out"; failures=$((failures + 1)); }

exit $((failures > 0))
