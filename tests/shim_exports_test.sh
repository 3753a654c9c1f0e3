#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/shim_exports_test.sh - libhakmem.so exports what its version script lists, and no more
#
# A name of the family that is listed but not defined is served by libc, and free then meets a
# stranger's block; a name that is exported but not listed is one we would have to keep.
set -eu
: "${HAKMEM_LIB:?run by make check}" "${HAKMEM_SYMBOLS:?}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$HAKMEM_LIB" | awk '{ print $3 }' | sort >"$work/exported"
sed -n '/^global:/,/^local:/s/^[[:space:]]*\([A-Za-z0-9_*]*\);$/\1/p' "$HAKMEM_SYMBOLS" |
	grep -v '\*' | sort >"$work/listed" || true # the sanitizer's list has only the pattern
grep -v '^hakmem_' "$work/exported" >"$work/family" || true
grep '^hakmem_' "$work/exported" >"$work/own" || true

if ! diff -u "$work/listed" "$work/family"; then
	echo "the names above are only listed (-) or only exported (+)"
	exit 1
fi
if ! [ -s "$work/own" ]; then
	echo "no hakmem_* symbol is exported"
	exit 1
fi
# The public header and the library have the same names; a build of next alone lacks some.
tr '\n\t' '  ' <"$top_srcdir/shim/hakmem.h" | tr ';' '\n' |
	sed -n 's/.*HAKMEM_API [^(]*[ *]\(hakmem_[a-z0-9_]*\)(.*/\1/p' | sort -u >"$work/declared"
comm -13 "$work/declared" "$work/own" >"$work/differ"
grep -q '^#define HAKMEM_MIGRATION 1' "$top_builddir/config.h" &&
	comm -23 "$work/declared" "$work/own" >>"$work/differ"
if [ -s "$work/differ" ]; then
	echo "only exported, or only in hakmem.h: $(tr '\n' ' ' <"$work/differ")"
	exit 1
fi
# For a library that is opened late: it stays once it is there, and its thread-local storage is one pointer,
# for which there is always room.
readelf -dW "$HAKMEM_LIB" >"$work/dynamic"
for wanted in 'Library soname: \[libhakmem\.so\.[0-9]*\]' 'FLAGS_1.*NODELETE'; do
	grep -q "$wanted" "$work/dynamic" || { echo "not in the dynamic section: $wanted"; exit 1; }
done
tls=$(readelf -lW "$HAKMEM_LIB" | awk '$1 == "TLS" { print $6 }')
if [ "$(basename "$HAKMEM_SYMBOLS")" = hakmem.map ] && [ $((tls)) != 8 ]; then
	echo "thread-local storage takes $((tls)) bytes, not 8"
	exit 1
fi
echo "$(wc -l <"$work/family") names of the malloc family, $(wc -l <"$work/own") of our own"
