#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/flag_cost_test.sh - tests/flag-cost notices what costs time and memory; half a minute
set -u

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$CC -O1 -shared -fPIC -o "$work/burden.so" "$top_srcdir/tests/programs.d/burden.c" || exit 1

"$top_srcdir/tests/flag-cost" --strict --row perl --rounds 11 --no-verify-symbol \
	--lib "$work/burden.so" >"$work/out" 2>"$work/log"
status=$?
if [ $status != 1 ] || ! grep -q '^| perl .*| 11 | beyond |$' "$work/out"; then
	echo "exit status $status, and not beyond both limits:"
	cat "$work/log" "$work/out"
	exit 1
fi
grep '^| perl' "$work/out"
