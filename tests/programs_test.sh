#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/programs_test.sh - the short table of tests/programs as a test; takes one to two minutes
set -eu

if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	echo "a sanitizer's build exports no malloc: it cannot be preloaded"
	exit 77
fi
# Without migration there is no command and no plan: next serves everything.
if [ -x "$top_builddir/hakmem" ]; then
	exec "$top_srcdir/tests/programs" --check
fi
exec "$top_srcdir/tests/programs" --check --column all-next
