#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/tool_estimate_test.py - the command's intervals are those of bench/judge/estimator.py, on the same numbers

The two draw other random numbers, so the ends of their intervals differ by what 2000 resamples leave open: little where
rounds are many; with five the quantile lies in a tail that every draw gives anew, so there only the centre is compared.
"""
import math
import os
import random
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
SOURCE = os.environ.get("top_srcdir", os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(SOURCE, "bench"))

from judge import estimator  # noqa: E402

PROGRAM = os.path.join(os.environ.get("top_builddir", "build"), "tests/tool_estimate")


def of_the_command(rows):
    """[(point, low, high)] for lists of logarithms."""
    text = "".join(" ".join(repr(value) for value in row) + "\n" for row in rows)
    done = subprocess.run([PROGRAM], input=text, capture_output=True, text=True, check=True)
    return [tuple(float(word) for word in line.split()) for line in done.stdout.splitlines()]


class Agreement(unittest.TestCase):
    def test_both_say_the_same(self):
        source = random.Random(1)
        rows = [[source.gauss(0.2, 0.05) if source.random() < 0.9 else 1.0 for _ in range(count)]
                for count in (9, 12, 20, 40, 200) for _ in range(8)]
        for row, (point, low, high) in zip(rows, of_the_command(rows)):
            centre, below, above = (math.exp(one) for one in estimator.centre_interval(row))
            self.assertAlmostEqual(point, centre, places=9)
            width = math.log(above) - math.log(below)
            self.assertAlmostEqual(math.log(low), math.log(below), delta=0.12 * width)
            self.assertAlmostEqual(math.log(high), math.log(above), delta=0.12 * width)

    def test_the_centre_with_few_rounds(self):
        source = random.Random(2)
        rows = [[source.gauss(0.2, 0.05) for _ in range(count)]
                for count in (5, 6, 7, 8) for _ in range(8)]
        for row, (point, low, high) in zip(rows, of_the_command(rows)):
            centre, below, above = (math.exp(one) for one in estimator.centre_interval(row))
            self.assertAlmostEqual(point, centre, places=9)
            self.assertTrue(low < point < high)
            self.assertTrue(1 / 3 < math.log(high / low) / math.log(above / below) < 3)

    def test_no_interval_below_five_rounds(self):
        for row, (point, low, high) in zip(([0.5], [0.5, 0.7], [1, 2, 3, 4]),
                                           of_the_command([[0.5], [0.5, 0.7], [1, 2, 3, 4]])):
            self.assertAlmostEqual(point, math.exp(estimator.centre_interval(row)[0]), places=9)
            self.assertTrue(math.isnan(low) and math.isnan(high))

    def test_the_range_where_most_rounds_gave_one_number(self):
        row = [0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.1]
        self.assertIsNone(estimator.centre_interval(row)[1])
        (point, low, high), = of_the_command([row])
        self.assertAlmostEqual(low, 1, places=9)
        self.assertAlmostEqual(math.log(high), 0.1, places=9)
        self.assertTrue(low < point < high)

    def test_no_spread_is_no_width(self):
        self.assertEqual(of_the_command([[0.0] * 9]), [(1, 1, 1)])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
