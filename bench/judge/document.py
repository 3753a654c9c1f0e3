# SPDX-License-Identifier: MIT
"""bench/judge/document.py - a generated part of a document, between its marks

    <!-- NAME:begin -->
    <!-- NAME:end -->
"""
import sys


def _around(path, name):
    """What stands before and after the part, marks included; exits where there are none."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    with open(path, encoding="utf-8") as document:
        before, found, rest = document.read().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{path} lacks the lines {begin.strip()} and {end}")
    return before + begin, end + after


def check(path, name):
    """Before something that takes long: exits where replace() would."""
    _around(path, name)


def replace(path, name, text):
    before, after = _around(path, name)
    with open(path, "w", encoding="utf-8") as document:
        document.write(before + text + after)
