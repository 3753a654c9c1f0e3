# SPDX-License-Identifier: MIT
"""bench/judge/estimator.py - ratios between libraries, with intervals that can be believed

Two libraries are compared round by round: in each round they ran the same workload a second
apart, so what slows the machine down for minutes cancels in the quotient. The logarithms of these
quotients are averaged and the interval is a symmetric bootstrap-t interval over the rounds: each
resample is divided by its own standard error, which keeps the coverage at 5 to 10 rounds, where
the plain percentile bootstrap covers 80-90 % instead of 95.

From 7 rounds on the mean is trimmed by a fifth at either end, with the winsorised standard error
that belongs to it (Yuen 1974; Wilcox, "Introduction to Robust Estimation", bootstrap-t for trimmed
means): one run that met a busy neighbour then moves neither the ratio nor the width. With fewer
rounds there is nothing to trim, and below 5 there is no interval at all: None, never a guess.

bench/estimator_test.py checks ratio and coverage on synthetic data.
"""
import math
import random

TRIM = 0.2
TRIM_FROM = 7
LEAST_ROUNDS = 5
RESAMPLES = 2000
# Of logarithms: what rounding leaves of an error that is none.
NO_ERROR = 1e-12


class Ratio:
    """How many times as much: point, low, high (the last two None without an interval)."""

    def __init__(self, point, low, high, rounds):
        self.point = point
        self.low = low
        self.high = high
        self.rounds = rounds

    def differs(self):
        """True when the interval leaves out 1."""
        return self.low is not None and not self.low <= 1 <= self.high

    def as_dict(self):
        return {"point": self.point, "low": self.low, "high": self.high, "rounds": self.rounds}


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def spread(values):
    """The median absolute deviation as a share of the median, scaled to be sigma for a normal."""
    centre = median(values)
    if centre == 0:
        return 0.0
    return 1.4826 * median([abs(value - centre) for value in values]) / abs(centre)


def _cut(count):
    return int(count * TRIM) if count >= TRIM_FROM else 0


def _centre_and_error(values, cut):
    """Trimmed mean and its standard error, by the winsorised variance."""
    ordered = sorted(values)
    count = len(ordered)
    core = ordered[cut:count - cut]
    centre = sum(core) / len(core)
    winsorised = [core[0]] * cut + core + [core[-1]] * cut
    mean = sum(winsorised) / count
    variance = sum((value - mean) ** 2 for value in winsorised) / (count - 1)
    return centre, math.sqrt(variance / count) / (1 - 2 * cut / count)


def centre_interval(values, confidence=0.95, resamples=RESAMPLES, seed=1):
    """Give (centre, low, high) of a few numbers; low and high None when they cannot be had."""
    count = len(values)
    cut = _cut(count)
    if count == 1:
        return values[0], None, None
    centre, error = _centre_and_error(values, cut)
    if count < LEAST_ROUNDS:
        return centre, None, None
    if error <= NO_ERROR:
        return centre, centre, centre
    source = random.Random(seed)
    distances = []
    for _ in range(resamples):
        again = source.choices(values, k=count)
        centre_again, error_again = _centre_and_error(again, cut)
        distance = abs(centre_again - centre)
        if error_again > NO_ERROR:
            distances.append(distance / error_again)
        else:
            distances.append(math.inf if distance > NO_ERROR else 0.0)
    distances.sort()
    reach = distances[min(resamples, math.ceil(confidence * resamples)) - 1] * error
    if math.isinf(reach):
        return centre, None, None
    return centre, centre - reach, centre + reach


def _ratio_of_logs(logs, confidence, resamples):
    if not logs:
        return None
    centre, low, high = centre_interval(logs, confidence, resamples)
    if low is None:
        return Ratio(math.exp(centre), None, None, len(logs))
    return Ratio(math.exp(centre), math.exp(low), math.exp(high), len(logs))


def logs_of(ours, theirs):
    """{round: log(ours/theirs)} for the rounds that both have; both map round to a score."""
    return {number: math.log(ours[number] / theirs[number])
            for number in sorted(set(ours) & set(theirs))
            if ours[number] > 0 and theirs[number] > 0}


def ratio(ours, theirs, confidence=0.95, resamples=RESAMPLES):
    """The ratio of two libraries on one workload; None without a common round."""
    return _ratio_of_logs(list(logs_of(ours, theirs).values()), confidence, resamples)


def geometric_mean(pairs, confidence=0.95, resamples=RESAMPLES):
    """The geometric mean of the ratios over workloads, resampled by round.

    `pairs` holds one (ours, theirs) per workload. Only rounds that every workload has count, so
    that each round gives one number and a bad minute does not look like agreement.
    """
    logs = [logs_of(ours, theirs) for ours, theirs in pairs]
    logs = [one for one in logs if one]
    if not logs:
        return None
    common = set.intersection(*(set(one) for one in logs))
    means = [sum(one[number] for one in logs) / len(logs) for number in sorted(common)]
    return _ratio_of_logs(means, confidence, resamples)


def family_confidence(count, confidence=0.95):
    """What each of `count` intervals must hold at, for all to hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(count, 1)
