#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/mutants_test.sh - `make mutants` in small: it kills what is broken, and reports what survives,
# what no longer applies, and what does not compile
set -u

mutate=$top_srcdir/tests/mutate
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
if grep -q 'HAKMEM_SANITIZER 1' "$top_builddir/config.h"; then
	echo 'a sanitizer build: its own reports come first'
	exit 77
fi
for tool in python3 patch; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done

# wants STATUS PATTERN...: of the last run, and lines of what it printed.
wants() {
	[ "$status" = "$1" ] || { echo "FAIL status $status, not $1"; failures=$((failures + 1)); }
	shift
	for pattern in "$@"; do
		grep -qE "$pattern" "$work/out" && continue
		echo "FAIL no line '$pattern'"
		failures=$((failures + 1))
	done
	cat "$work/out"
}

# change NAME OLD NEW: a patch that makes the first OLD of next/page.c NEW.
change() {
	sed "0,/$2/s//$3/" "$top_srcdir/next/page.c" >"$work/changed"
	{
		echo '# made by the test'
		echo '# tests: tests/next_page_test'
		diff -U1 --label a/next/page.c --label b/next/page.c "$top_srcdir/next/page.c" "$work/changed"
	} >"$work/$1.patch"
}

mutate() {
	"$top_srcdir/tests/mutate" --build "$top_builddir" --work "$work/run" "$@" >"$work/out" 2>&1
	status=$?
}

change survivor 'One more than' 'Just one more than'
change uncompiled 'return false;' 'return falsehood;'
# One that is noticed at once: a mutant that hangs takes its test's time limit.
mutate --named "$top_srcdir/tests/mutants/double-free-let-pass.patch" "$work/survivor.patch" \
	"$work/uncompiled.patch"
wants 1 '^\| double-free-let-pass .*\| tests/next_misuse_test \|' \
	'^\| survivor .*\| \*\*nothing\*\* \| survived' \
	'^\| uncompiled .*\| \*\*nothing\*\* \| does not compile' '^1 of 3 mutants killed'

sed 's/^-/-Another line, which is not there: /' "$work/survivor.patch" |
	sed '1,/^--- /s/^-Another line, which is not there: --/---/' >"$work/gone.patch"
mutate --apply "$work/gone.patch"
wants 2 'gone: the patch does not apply any more'

mutate --apply
wants 0
exit $((failures > 0))
