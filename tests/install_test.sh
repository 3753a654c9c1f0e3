#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/install_test.sh - what `make install` leaves is enough to build against, shared and static, and to
# run programs on
set -eu

: "${HAKMEM_LIB:?run by make check}" "${top_builddir:?}" "${CC:?}"

# The flags of the make that runs the tests are not for this one.
unset MAKEFLAGS MFLAGS MAKELEVEL
unset LD_PRELOAD HAKMEM_PLAN

if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	echo "a sanitizer's build exports no malloc: programs need the sanitizer's flags too"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

make -C "$top_builddir" -s --no-print-directory install DESTDIR="$work/root" >install.log 2>&1 || {
	cat install.log
	exit 1
}
pc=$(find root -name hakmem.pc)
prefix=$work/root$(sed -n 's/^prefix=//p' "$pc")

# The staged tree is found at another prefix than the file was made for.
flags() {
	PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$prefix" \
		--define-variable=exec_prefix="$prefix" \
		--define-variable=libdir="$work/$(dirname "$pc")/.." \
		--define-variable=includedir="$prefix/include" "$@" hakmem
}

# Says whether malloc is ours, which hakmem_owner knows from the address.
cat >program.c <<'END'
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	char *block = malloc(100000);
	if (!block)
		return 1;
	memset(block, 1, 100000);
	printf("%s %s\n", hakmem_version(),
	       hakmem_owner(block) == HAKMEM_OWNER_NEXT ? "next" : "somebody else");
	free(block);
	return 0;
}
END

expect() { # COMMAND...
	said=$(HAKMEM_PLAN=all=next "$@")
	version=$(flags --modversion)
	if [ "$said" != "$version next" ]; then
		echo "$*: expected '$version next', got '$said'"
		exit 1
	fi
	echo "$*: $said"
}

# shellcheck disable=SC2046,SC2086 # lists of flags
{
	$CC -fno-builtin -o shared program.c $(flags --cflags --libs)
	$CC -fno-builtin -static -o static program.c $(flags --cflags --libs --static)
}
LD_LIBRARY_PATH=$work/$(dirname "$pc")/.. expect ./shared
expect ./static

# Without migration there is no command.
[ -x "$top_builddir/hakmem" ] || exit 0
library=$HAKMEM_LIB
unset HAKMEM_LIB LD_LIBRARY_PATH
expect "$prefix/bin/hakmem" run -- ./shared
page=$(find root -name hakmem.1)
[ -n "$page" ] || {
	echo 'no man page was installed'
	exit 1
}
# Every variable that the library reads is in it.
names=$(strings -d "$library" | grep -oE '^HAKMEM_[A-Z_]+' | sort -u)
echo "variables:" $names
for name in HAKMEM_PLAN HAKMEM_CHECK $names; do
	grep -q "^\.BR\{0,1\} .*\<$name\>" "$page" && continue
	echo "the man page says nothing of $name"
	exit 1
done
