#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/flag_cost_test.sh - tests/flag-cost notices what costs time and memory, and counts instructions on every
# side; a minute
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

# The README's table of instructions: of every side a count, and next below glibc.
grep -q '^#define HAKMEM_MIGRATION 1' "$top_builddir/config.h" || exit 0
grep -q '^#define HAKMEM_SANITIZER 0' "$top_builddir/config.h" || exit 0
grep -q '^#define HAKMEM_CHECKS 0' "$top_builddir/config.h" || exit 0 # they count, too
command -v valgrind >/dev/null || { echo 'no valgrind: instructions are not counted here'; exit 0; }
make -C "$top_builddir" --no-print-directory bench/pairs >/dev/null &&
	"$top_srcdir/tests/flag-cost" --instructions --lib "$HAKMEM_LIB" >"$work/out" 2>"$work/log" &&
	awk -F ' *[|] *' '
		$2 ~ /^(glibc|next|system, (every class|some classes)|legacy)$/ && $4 > 0 { pair[$2] = $4; rows++ }
		END { exit !(rows == 5 && pair["next"] < pair["glibc"] &&
			pair["glibc"] < pair["system, every class"]) }' "$work/out" || {
	echo 'not every side was counted, or not as it can be:'
	cat "$work/log" "$work/out"
	exit 1
}
cat "$work/out"
