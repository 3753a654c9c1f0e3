#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/migrate_torture_test.sh - five seconds of `make torture`, in the build at hand
exec "$top_builddir/tests/torture" -s 5
