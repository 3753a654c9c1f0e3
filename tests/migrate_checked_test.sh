#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/migrate_checked_test.sh - HAKMEM_CHECK under an armed guard: every misuse of a block of next is told once and
# survived, and its class goes back; legacy's ends the process as ever, and so does what a guard page finds
set -u

HAKMEM_LIB=${HAKMEM_LIB:?}
act=$top_builddir/tests/misuse_act
unset HAKMEM_PLAN HAKMEM_LEGACY HAKMEM_CHECK HAKMEM_GUARD LD_PRELOAD
ulimit -c 0
failures=0 checked=0

nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$' || exit 77

# run LEVEL PLAN ARGUMENT...: of misuse_act; sets $out to what it says and $status to how it ends.
run() {
	out=$(HAKMEM_CHECK=$1 HAKMEM_PLAN=$2 HAKMEM_GUARD=misuse LD_PRELOAD=$HAKMEM_LIB timeout -k 5 60 \
		"$act" "${@:3}" 2>&1)
	status=$?
	checked=$((checked + 1))
}

fail() {
	echo "FAIL $*: status $status: $out"
	failures=$((failures + 1))
}

# survives LEVEL WORDS ARGUMENT...
survives() {
	run "$1" all=next "${@:3}"
	if [ $status != 0 ] || ! grep -q '^not found$' <<<"$out" ||
		! grep -qE "^hakmem: $2: 0x[0-9a-f]+: .*; survived, the block is leaked" <<<"$out" ||
		[ "$(grep -c 'rolled back' <<<"$out")" != 1 ] ||
		! grep -q 'guard: misuse' <<<"$out"; then
		fail "HAKMEM_CHECK=$1 ${*:3}"
	fi
}

# dies LEVEL PLAN ARGUMENT...
dies() {
	run "$@"
	[ $status = 134 ] && ! grep -q survived <<<"$out" || fail "HAKMEM_CHECK=$1 HAKMEM_PLAN=$2 ${*:3}"
}

for level in cheap full; do
	for bytes in 1 48 1008 4080 5000 32768 200000 1500000 5000000; do
		survives $level 'write past the end of a block' overflow-by-one "$bytes" 65
		survives $level 'write past the end of a block' overflow-by-many "$bytes" 65
		survives $level 'mismatched size' sized-delete "$bytes"
		survives $level 'mismatched size' sized-free "$bytes"
		survives $level 'mismatched alignment' aligned-delete-of-plain-new "$bytes"
		survives $level 'mismatched alignment' plain-delete-of-aligned-new "$bytes"
		survives $level 'free of .*' interior "$bytes"
	done
	# A huge one is unmapped when it is free, and then nobody knows whose it was.
	for bytes in 1 48 1008 4080 5000 32768 200000; do
		survives $level '(free|use) of a block that is free.*' double-free "$bytes"
	done
	dies $level all=old overflow-by-one 5000 65
	dies $level all=next read-past-the-end 100
	dies $level all=next non-canonical 100
done
for bytes in 1 48 1008 4080 5000 32768; do
	survives full 'write to a block that is free' write-after-free "$bytes" 65
done

echo "$checked misuses, $failures not as they should be"
exit $((failures > 0))
