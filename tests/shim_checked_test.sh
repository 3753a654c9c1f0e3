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
grep -q 'HAKMEM_MIGRATION 1' "$top_builddir/config.h" && plans=(all=old all=next) || plans=('')

# act LEVEL PLAN ARGUMENT...: of misuse_act; sets $out to what it says and $status to how it ends.
act() {
	out=$(HAKMEM_CHECK=$1 HAKMEM_PLAN=$2 LD_PRELOAD=$HAKMEM_LIB timeout -k 5 60 \
		"$tests/misuse_act" "${@:3}" 2>&1)
	status=$?
}

# finds LEVEL PLAN WORDS ARGUMENT...: one line of the library's, with an address and these words, and abort().
finds() {
	act "$1" "$2" "${@:4}"
	checked=$((checked + 1))
	[ $status = 134 ] && grep -qE "^hakmem: .*0x[0-9a-f]+.*$" <<<"$out" &&
		[ "$(grep -c '^hakmem:' <<<"$out")" = 1 ] && grep -qE "$3" <<<"$out" && return
	echo "FAIL HAKMEM_CHECK=$1 HAKMEM_PLAN=$2 ${*:4}: status $status, wanted '$3': $out"
	failures=$((failures + 1))
}

# Tiny, mid, large, span and huge, each also where nothing lies between the block's bytes and its end.
sizes=(1 40 48 1000 1008 1025 4080 5000 8192 32752 32768 65520 200000 1000000 1500000 3000000 5000000)

# Always, whatever the level; the blocks of plan `all=old` that are not legacy's are the system's, which has
# checks of its own.
always=(double-free double-free-later double-free-by-other-thread free-by-other-thread-then-own interior
	misaligned non-canonical)
for plan in "${plans[@]}"; do
	for bytes in "${sizes[@]}"; do
		for kind in "${always[@]}"; do
			for level in no cheap full; do
				[ $level = no ] && [ "$plan" = all=old ] &&
					{ [ "$bytes" -le 1024 ] || [ "$bytes" -gt 32768 ]; } &&
					continue
				[ $level = cheap ] && continue
				finds $level "$plan" '' "$kind" "$bytes"
			done
		done
		for level in cheap full; do
			# A zero is what most overflows write; the rest might be taken for a canary.
			for value in 0 65 255; do
				finds $level "$plan" 'past the end' overflow-by-one "$bytes" $value
			done
			finds $level "$plan" 'past the end' overflow-by-many "$bytes" 65
			finds $level "$plan" 'mismatched size' sized-delete "$bytes"
			finds $level "$plan" 'mismatched size' sized-free "$bytes"
			finds $level "$plan" 'mismatched alignment' aligned-delete-of-plain-new "$bytes"
			finds $level "$plan" 'mismatched alignment' plain-delete-of-aligned-new "$bytes"
		done
		finds full "$plan" 'block that is free' write-after-free "$bytes"
	done
	for level in cheap full; do
		for bytes in 1 100 1000 4000; do
			finds $level "$plan" 'past the end.*guard page' read-past-the-end "$bytes"
			finds $level "$plan" 'before the start.*guard page' read-before-the-start "$bytes"
			finds $level "$plan" 'that is free.*guard page' read-after-free "$bytes"
		done
	done
done
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
