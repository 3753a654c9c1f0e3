#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/shim_stress_test.sh - five seconds of `make stress` for all routes together, in the build at hand
exec "$top_builddir/tests/stress" -t 16
