# SPDX-License-Identifier: MIT
"""bench/judge/plots.py - the pictures, as SVG, drawn by gnuplot

A library has one colour and one symbol in every picture. The colours are Okabe and Ito's, told apart
by every kind of sight; ours are blue.
"""
import math
import os
import shutil
import subprocess

FONT = "DejaVu Sans,Helvetica,Arial,sans-serif"
COLOURS = {"glibc": "#555555", "jemalloc": "#e69f00", "tcmalloc": "#009e73",
           "mimalloc": "#cc79a7"}
OTHER_COLOURS = ("#d55e00", "#8c6d1f", "#7a0177", "#31a354", "#a6761d", "#e7298a")
OURS = ("#0072b2", "#56b4e9", "#08306b", "#41b6c4")
SYMBOLS = {"glibc": 5, "jemalloc": 9, "tcmalloc": 11, "mimalloc": 13}
OUR_SYMBOL = 7
OTHER_SYMBOLS = (15, 4, 8, 10, 12, 14)
LINE = "#9aa1ab"


class Look:
    """How a library is drawn."""

    def __init__(self, colour, symbol, ours):
        self.colour = colour
        self.symbol = symbol
        self.ours = ours

    def points(self):
        return f"pt {self.symbol} ps {0.85 if self.ours else 0.6} lc rgb '{self.colour}'"

    def line(self):
        return f"lw {2.6 if self.ours else 1.4} lc rgb '{self.colour}'"


def colours(names, ours):
    """{library: Look}, the same in every picture."""
    chosen = {}
    others, symbols, blues = list(OTHER_COLOURS), list(OTHER_SYMBOLS), list(OURS)
    # next gets the strongest blue when it is there
    for name in sorted(ours, key=lambda name: "next" not in name):
        chosen[name] = Look(blues.pop(0) if blues else "#444444", OUR_SYMBOL, True)
    for name in names:
        if name in chosen:
            continue
        known = name in COLOURS
        chosen[name] = Look(
            COLOURS[name] if known else others.pop(0) if others else "#444444",
            SYMBOLS[name] if known else symbols.pop(0) if symbols else 1, False)
    return chosen


def available():
    return shutil.which("gnuplot") is not None


def quote(text):
    """A string for gnuplot, in single quotes: nothing is special but the quote itself."""
    return "'" + str(text).replace("'", "''") + "'"


def draw(path, width, height, commands):
    """Run gnuplot; True when the picture is there."""
    if not available():
        return False
    script = "\n".join([
        "set encoding utf8",
        f"set terminal svg noenhanced size {width},{height} font '{FONT},13' "
        "background rgb '#ffffff' linewidth 1.2",
        f"set output {quote(path)}",
        "set border 3 lc rgb '#999999'",
        "set tics nomirror textcolor rgb '#333333'",
        "set grid lc rgb '#e6e6e6' lt 1 lw 0.6",
        "set key textcolor rgb '#222222' samplen 2",
        *commands]) + "\n"
    run = subprocess.run(["gnuplot", "-"], input=script, text=True, capture_output=True)
    if run.returncode or not os.path.exists(path):
        print(f"bench: gnuplot: {run.stderr.strip()[:500]}")
        return False
    return True


def block(name, rows):
    """A data block of gnuplot."""
    lines = [f"${name} << EOD"]
    lines += ["\t".join(str(cell) for cell in row) for row in rows]
    return lines + ["EOD"]


def doublings(low, high):
    """Tics of a logarithmic axis of ratios: every doubling from 1/32 to 32."""
    marks = [(2.0 ** power, f"{2 ** power}" if power >= 0 else f"1/{2 ** -power}")
             for power in range(-5, 6)]
    if high / low < 6:
        marks += [(1.5, "1.5"), (1 / 1.5, "1/1.5")]
    return "set xtics (" + ", ".join(f"{quote(label)} {mark}" for mark, label in sorted(marks)
                                     if low <= mark <= high) + ")"


def rows_of(labels):
    """Commands for a picture with a line for each label, from the top down."""
    tics = ", ".join(f"{quote(label)} {len(labels) - place}" for place, label in enumerate(labels))
    return [f"set ytics ({tics}) scale 0", f"set yrange [0.3:{len(labels) + 0.7}]",
            "set grid ytics"]


def times(value):
    """A ratio as the axis would have it: 581, 1/66."""
    return f"{value:.0f}" if value >= 1 else f"1/{1 / value:.0f}"


def beyond(outside, low, high):
    """Commands that say at the edge what lies beyond it: `outside` is [(row, value, words)]."""
    edges = {}
    for row, value, words in outside:
        edges.setdefault((row, value > high), []).append(words)
    return [f"set label {quote(', '.join(words))} at {high if right else low},{row} "
            f"{'right' if right else 'left'} offset {-1.2 if right else 1.2},0 font ',11' "
            "textcolor rgb '#333333'" for (row, right), words in edges.items()]


def _dots(labels, points, looks, path, axis, x_axis):
    """Points of several libraries on a line for each label. `points` is {library: [(row, x)]}."""
    present = [name for name in points if points[name]]
    if not present:
        return False
    commands, plots = [], []
    # ours last, so that they lie on top
    for place, name in enumerate(sorted(present, key=lambda name: looks[name].ours)):
        commands += block(f"d{place}", points[name])
        plots.append(f"$d{place} using 2:1 with points {looks[name].points()} "
                     f"title {quote(name)}")
    commands += rows_of(labels) + x_axis + [
        f"set xlabel {quote(axis)}", "set key outside top center horizontal",
        "plot " + ", ".join(plots)]
    return draw(path, 1200, 90 + 21 * len(labels), commands)


def _relative(verdict, looks, value, reference, path, axis):
    """A row for each case: what `value` gives, as a multiple of the reference's."""
    cases = list(verdict["cases"])
    points = {name: [] for name in verdict["libraries"]}
    for place, case in enumerate(cases):
        row = verdict["cases"][case]
        base = value(row, reference)
        for name in verdict["libraries"]:
            found = value(row, name)
            if base and found:
                points[name].append((len(cases) - place, found / base))
    values = [point[1] for found in points.values() for point in found] or [1]
    low = max(min(values) / 1.15, 1 / 40)
    high = min(max(values) * 1.15, 40)
    outside = [(row, x, f"{name} {times(x)}") for name, found in points.items() for row, x in found
               if not low <= x <= high]
    points = {name: [(row, min(max(x, low), high)) for row, x in found]
              for name, found in points.items()}
    return _dots(cases, points, looks, path, axis, beyond(outside, low, high) + [
        "set logscale x 2", f"set xrange [{low}:{high}]", doublings(low, high),
        f"set arrow 1 from 1,0.3 to 1,{len(cases) + 0.7} nohead lw 1.4 "
        f"lc rgb '{looks[reference].colour}'"])


def _speed(row, name):
    value = row["libraries"][name].get("median")
    if not value:
        return None
    return 1 / value if row["less_is_better"] else value


def _memory(row, name):
    return row["libraries"][name].get("peak_rss_bytes")


def speed(verdict, looks, reference, path):
    return _relative(verdict, looks, _speed, reference, path,
                     f"speed as a multiple of {reference} (right is faster)")


def memory(verdict, looks, reference, path):
    return _relative(verdict, looks, _memory, reference, path,
                     f"peak RSS as a multiple of {reference} (left is leaner)")


def against_best(verdict, looks, mine, path):
    """Our ratio to the fastest peer of each row, with its interval."""
    labels, data = [], []
    for case, row in verdict["cases"].items():
        best = row.get("best", {}).get(mine)
        ratio = best and row["ratios"][mine].get(best["fastest"], {}).get("speed")
        if ratio:
            labels.append(f"{case}  vs {best['fastest']}")
            data.append((ratio["point"], ratio["low"] or ratio["point"],
                         ratio["high"] or ratio["point"]))
    if not data:
        return False
    data = [(len(data) - place, *ratio) for place, ratio in enumerate(data)]
    low = max(min(0.7, *(row[2] for row in data)) / 1.05, 1 / 16)
    high = min(max(1.4, *(row[3] for row in data)) * 1.05, 16)
    outside = [(row, x, f"{times(x)} [{times(least)}, {times(most)}]") for row, x, least, most in data
               if not low <= x <= high]
    data = [(row, *(min(max(x, low), high) for x in found)) for row, *found in data]
    return draw(path, 1200, 70 + 21 * len(labels), block("d", data) + rows_of(labels) +
                beyond(outside, low, high) + [
        "set logscale x 2", f"set xrange [{low}:{high}]", doublings(low, high),
        f"set xlabel {quote(f'speed of {mine} over that of the fastest other library')}",
        f"set arrow 1 from 1,0.3 to 1,{len(labels) + 0.7} nohead lc rgb '{LINE}' lw 1.6",
        "unset key",
        f"plot $d using 2:1:3:4 with xerrorbars {looks[mine].points()} lw 1.6"])


def over_time(verdict, looks, case, path):
    """Resident megabytes over time, and what was live."""
    row = verdict["cases"].get(case)
    if not row:
        return False
    commands, plots = [], []
    live = None
    for place, name in enumerate(verdict["libraries"]):
        series = row["libraries"][name].get("series")
        if not series:
            continue
        commands += block(f"d{place}", [(t, rss / (1 << 20)) for t, rss, _ in series])
        plots.append(f"$d{place} using 1:2 with lines {looks[name].line()} title {quote(name)}")
        # return's live bytes are one spike, and threads of thread-churn do not count theirs
        if live is None and case in ("churn", "churn-drift", "free-only"):
            live = [(t, bytes_live / (1 << 20)) for t, _, bytes_live in series]
    if not plots:
        return False
    if live:
        commands += block("live", live)
        plots.append("$live using 1:2 with lines lw 1.4 dt 2 lc rgb '#000000' title 'live'")
    return draw(path, 640, 320, commands + [
        "set xlabel 'seconds'", "set ylabel 'RSS, MB'", "set yrange [0:*]",
        f"set title {quote(case)} font ',14'", "set key outside right top",
        "plot " + ", ".join(plots)])


def latency(verdict, looks, what, path):
    """Percentile curves: nines on one axis, nanoseconds on the other."""
    row = verdict["cases"].get("latency")
    if not row:
        return False
    commands, plots = [], []

    def add(name, curve, style, title):
        commands.extend(block(name, [(100 / (100 - pct), ns) for pct, ns in curve
                                     if pct <= 99.99]))
        plots.append(f"${name} using 1:2 {style} title {quote(title)}")

    nothing = None
    for place, name in enumerate(verdict["libraries"]):
        cell = row["libraries"][name]
        if cell.get(f"{what}_curve"):
            look = looks[name]
            add(f"d{place}", cell[f"{what}_curve"],
                f"with linespoints pt {look.symbol} ps 0.5 {look.line()}", name)
            nothing = nothing or cell.get("nothing_curve")
    if not plots:
        return False
    if nothing:
        add("none", nothing, "with lines lw 1.4 dt 2 lc rgb '#000000'", "no call")
    return draw(path, 640, 400, commands + [
        "set logscale xy", "set xrange [2:10000]",
        "set xtics ('p50' 2, 'p90' 10, 'p99' 100, 'p99.9' 1000, 'p99.99' 10000)",
        "set ylabel 'nanoseconds'", f"set title {quote(what)} font ',14'",
        "set key left top", "plot " + ", ".join(plots)])


def ladder(data, path):
    """What was measured as bars, what the plan expected as a range."""
    steps = [step for step in data.get("steps", []) if step.get("pct") is not None]
    if not steps:
        return False
    commands = block("d", [(place, step["pct"], step.get("low_pct") or step["pct"],
                            step.get("high_pct") or step["pct"])
                           for place, step in enumerate(steps)])
    # a box of the plan's range, at least a line high enough to be seen
    planned = [(place + 0.36, step["plan_pct"][0] - 0.6, step["plan_pct"][1] + 0.6)
               for place, step in enumerate(steps)
               if step.get("plan_pct")]
    tics = ", ".join(f"{quote(step['name'])} {place}" for place, step in enumerate(steps))
    plots = [f"$d using 1:2:(0.5) with boxes fs solid 0.85 noborder lc rgb '{OURS[0]}' "
             "title 'measured here'",
             f"$d using 1:3:(0):($4-$3) with vectors nohead lw 2 lc rgb '{OURS[2]}' notitle"]
    if planned:
        commands += block("p", planned)
        plots.append("$p using 1:(($2+$3)/2):($1-0.07):($1+0.07):2:3 with boxxyerror fs solid 1 "
                     "noborder lc rgb '#e69f00' title 'the plan expected'")
    return draw(path, 640, 380, commands + [
        f"set xtics ({tics}) scale 0", "set yrange [0:*]", f"set xrange [-0.6:{len(steps) - 0.4}]",
        "set ylabel '% of mimalloc'", "set key left top", "unset grid",
        "set grid ytics lc rgb '#e6e6e6' lt 1 lw 0.6", "plot " + ", ".join(plots)])


def ladder_mf1(data, path):
    """Sharded list: throughput over threads."""
    rows = data.get("mf1")
    if not rows:
        return False
    ways = (("mutex", "#555555", 5), ("cas", OURS[1], 9), ("cas-backoff", OURS[0], 7))
    commands, plots = [], []
    for place, (way, colour, symbol) in enumerate(ways):
        points = [(row["threads"], row["ops_per_s"] / 1e6) for row in rows if row["way"] == way]
        if points:
            commands += block(f"d{place}", points)
            plots.append(f"$d{place} using 1:2 with linespoints pt {symbol} ps 0.7 lw 2 "
                         f"lc rgb '{colour}' title {quote(way)}")
    if not plots:
        return False
    return draw(path, 640, 340, commands + [
        "set logscale x 2", "set xlabel 'threads'", "set ylabel 'M pop+push a second'",
        "set yrange [0:*]", "set key outside top center horizontal", "plot " + ", ".join(plots)])


def instructions(data, looks, path):
    """A line for each case, a dot for each library."""
    names = list(data)
    cases = list(data[names[0]]) if names else []
    # a library that is on no row of the verdict has no look there
    looks = {**colours(names, [name for name in names if name.startswith("hakmem")]), **looks}
    points = {name: [(len(cases) - place, data[name][case]["pair"])
                     for place, case in enumerate(cases) if case in data[name]] for name in names}
    values = [point[1] for found in points.values() for point in found]
    if not values:
        return False
    low = 2 ** math.floor(math.log2(min(values)))
    high = 2 ** math.ceil(math.log2(max(values)))
    return _dots(cases, points, looks, path,
                 "instructions a malloc/free pair (left is fewer)",
                 ["set logscale x 2", f"set xrange [{low}:{high}]"])
