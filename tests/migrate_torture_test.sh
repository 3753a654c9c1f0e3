#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/migrate_torture_test.sh - five seconds of `make torture` in the build at hand, and as much again while all of it
# is recorded: flips, and the calls of tests/fuzz_api.c
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$top_builddir/tests/torture" -s 5
export HAKMEM_RECORD=$folder HAKMEM_RECORD_OPTIONS='buffer=64k disk=64m'
"$top_builddir/tests/torture" -s 5
rm -rf "$folder"/*
"$top_builddir/tests/random_api" -n 50
[ -n "$(find "$folder" -name 'stream-*' -size +0)" ] || { echo 'FAIL nothing of random_api was recorded' && exit 1; }
