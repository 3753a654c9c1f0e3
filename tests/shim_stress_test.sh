#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/shim_stress_test.sh - five seconds of `make stress`, in the build at hand
exec "$top_builddir/tests/stress" -s 5 -t 16
