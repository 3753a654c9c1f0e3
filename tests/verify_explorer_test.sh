#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/verify_explorer_test.sh - the short form of the first half of `make verify`
exec "$top_srcdir/tests/verify/explorer" quick "$top_srcdir" "$top_builddir"
