# SPDX-License-Identifier: MIT
"""bench/judge/programs.py - where the built workload programs are"""
import os
import sys

BENCH_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def directories(given=None):
    """Where to look: --programs, then the environment, here, and in a build folder."""
    if given:
        return [given]
    if os.environ.get("HAKMEM_BENCH_PROGRAMS"):
        return [os.environ["HAKMEM_BENCH_PROGRAMS"]]
    top = os.path.dirname(BENCH_DIR)
    return [os.path.join(os.getcwd(), "bench"), BENCH_DIR, os.path.join(top, "build", "bench")]


def find(name, given=None):
    """The path of a program; exits with a hint when it was not built."""
    for directory in directories(given):
        path = os.path.join(directory, name)
        # bench/compare and bench/perf are scripts: a workload never has such a name
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit(f"bench: the program '{name}' is not built: run 'make bench-programs', "
             "or say where it is with --programs DIR")
