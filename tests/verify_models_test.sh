#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/verify_models_test.sh - the short form of the second half of `make verify`; skipped without spin
exec "$top_srcdir/tests/verify/models" quick "$top_srcdir" "$top_builddir"
