# SPDX-License-Identifier: MIT
"""bench/judge/plots.py - the pictures, as SVG, drawn by gnuplot"""
import os
import shutil
import subprocess

FONT = "DejaVu Sans,Helvetica,Arial,sans-serif"
OTHER_COLOURS = ("#8c564b", "#17becf", "#bcbd22", "#e377c2", "#5b8c5a", "#a05195", "#665191",
                 "#ffa600")
COLOURS = {"glibc": "#7f7f7f", "jemalloc": "#e08214", "tcmalloc": "#2e8b57",
           "mimalloc": "#b5179e"}
OURS = ("#1f5fd0", "#7fb2ff", "#0b2e73", "#4fd1e0")


def colours(names, ours):
    """A colour for each library, the same in every picture."""
    chosen = {}
    others = list(OTHER_COLOURS)
    blues = list(OURS)
    # next gets the strongest blue when it is there
    for name in sorted(ours, key=lambda name: "next" not in name):
        chosen[name] = blues.pop(0) if blues else others.pop(0)
    for name in names:
        if name not in chosen:
            chosen[name] = COLOURS.get(name) or (others.pop(0) if others else "#444444")
    return chosen


def quote(text):
    """A string for gnuplot, in single quotes: nothing is special but the quote itself."""
    return "'" + str(text).replace("'", "''") + "'"


def draw(path, width, height, commands):
    """Run gnuplot; True when the picture is there."""
    if not shutil.which("gnuplot"):
        return False
    script = "\n".join([
        "set encoding utf8",
        f"set terminal svg noenhanced size {width},{height} font '{FONT},12' "
        "background rgb '#ffffff' linewidth 1.2",
        f"set output {quote(path)}",
        "set border 3 lc rgb '#999999'",
        "set tics nomirror textcolor rgb '#333333'",
        "set grid lc rgb '#e4e4e4' lt 1 lw 0.6",
        "set key textcolor rgb '#222222'",
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


def _relative(verdict, cell_value, reference):
    """{library: [(row number, quotient to the reference)]}, rows from the bottom up."""
    cases = list(verdict["cases"])
    points = {name: [] for name in verdict["libraries"]}
    for place, case in enumerate(cases):
        row = verdict["cases"][case]
        base = cell_value(row, reference)
        for name in verdict["libraries"]:
            value = cell_value(row, name)
            if base and value:
                points[name].append((len(cases) - place, value / base))
    return cases, points


def _speed(row, name):
    value = row["libraries"][name].get("median")
    if not value:
        return None
    return 1 / value if row["less_is_better"] else value


def _memory(row, name):
    return row["libraries"][name].get("peak_rss_bytes")


def _dots(verdict, path, colour, value, reference, axis):
    cases, points = _relative(verdict, value, reference)
    present = [name for name in verdict["libraries"] if points[name]]
    if not present:
        return False
    commands = []
    plots = []
    for place, name in enumerate(present):
        commands += block(f"d{place}", points[name])
        mine = name in verdict["ours"]
        plots.append(f"$d{place} using 2:1 with points pt 7 "
                     f"ps {1.0 if mine else 0.6} "
                     f"lc rgb '{colour[name]}' title {quote(name)}")
    tics = ", ".join(f"{quote(case)} {len(cases) - place}" for place, case in enumerate(cases))
    values = [point[1] for name in present for point in points[name]]
    low = max(min(values) / 1.3, 1 / 64)
    high = min(max(values) * 1.3, 64)
    commands += [
        "set logscale x 2", f"set xrange [{low}:{high}]", f"set yrange [0.3:{len(cases) + 0.7}]",
        f"set ytics ({tics}) scale 0",
        "set xtics (" + ", ".join(
            f"{quote(label)} {mark}" for mark, label in (
                (1 / 32, "1/32"), (1 / 16, "1/16"), (1 / 8, "1/8"), (1 / 4, "1/4"),
                (1 / 2, "1/2"), (1, "1"), (2, "2"), (4, "4"), (8, "8"), (16, "16"), (32, "32"))
            if low <= mark <= high) + ")",
        f"set xlabel {quote(axis)}",
        f"set arrow 1 from 1,0.3 to 1,{len(cases) + 0.7} nohead lw 1.4 "
        f"lc rgb '{colour[reference]}'",
        "set key outside top center horizontal",
        "plot " + ", ".join(plots)]
    return draw(path, 920, 90 + 21 * len(cases), commands)


def speed(verdict, path, colour, reference):
    return _dots(verdict, path, colour, _speed, reference,
                 f"speed as a multiple of {reference} (right is faster)")


def memory(verdict, path, colour, reference):
    return _dots(verdict, path, colour, _memory, reference,
                 f"peak RSS as a multiple of {reference} (left is leaner)")


def against_best(verdict, path, colour, mine):
    """Our ratio to the fastest peer of each row, with its interval."""
    rows = []
    for case, row in verdict["cases"].items():
        best = row.get("best", {}).get(mine)
        ratio = best and row["ratios"][mine].get(best["fastest"], {}).get("speed")
        if ratio:
            low = ratio["low"] if ratio["low"] is not None else ratio["point"]
            high = ratio["high"] if ratio["high"] is not None else ratio["point"]
            rows.append((f"{case}  vs {best['fastest']}", ratio["point"], low, high))
    if not rows:
        return False
    rows.reverse()
    data = [(place + 1, point, low, high) for place, (_, point, low, high) in enumerate(rows)]
    tics = ", ".join(f"{quote(label)} {place + 1}" for place, (label, *_) in enumerate(rows))
    low = max(min(row[2] for row in data) / 1.15, 1 / 16)
    high = min(max(row[3] for row in data) * 1.15, 16)
    commands = block("d", data) + [
        "set logscale x 2", f"set xrange [{min(low, 0.8)}:{max(high, 1.25)}]",
        f"set yrange [0.3:{len(rows) + 0.7}]", f"set ytics ({tics}) scale 0",
        "set xtics ('1/8' 0.125, '1/4' 0.25, '1/2' 0.5, '0.7' 0.7071, '1' 1, '1.4' 1.4142, '2' 2, "
        "'4' 4, '8' 8)",
        f"set xlabel {quote(f'{mine} against the fastest other library of the row')}",
        f"set arrow 1 from 1,0.3 to 1,{len(rows) + 0.7} nohead lc rgb '#b03030' lw 1.2",
        "unset key",
        f"plot $d using 2:1:3:4 with xerrorbars pt 7 ps 0.8 lc rgb '{colour[mine]}'"]
    return draw(path, 920, 80 + 21 * len(rows), commands)


def over_time(verdict, path, colour, case):
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
        plots.append(f"$d{place} using 1:2 with lines lw {2.6 if name in verdict['ours'] else 1.4} "
                     f"lc rgb '{colour[name]}' title {quote(name)}")
        # return's live bytes are one spike, and threads of thread-churn do not count theirs
        if live is None and case in ("churn", "churn-drift", "free-only"):
            live = [(t, bytes_live / (1 << 20)) for t, _, bytes_live in series]
    if not plots:
        return False
    if live:
        commands += block("live", live)
        plots.append("$live using 1:2 with lines lw 1 dt 2 lc rgb '#000000' title 'live'")
    commands += ["set xlabel 'seconds'", "set ylabel 'RSS, MB'", "set yrange [0:*]",
                 f"set title {quote(case)} font ',13'",
                 "set key outside right top", "plot " + ", ".join(plots)]
    return draw(path, 620, 320, commands)


def latency(verdict, path, colour, what):
    """Percentile curves: nines on one axis, nanoseconds on the other."""
    row = verdict["cases"].get("latency")
    if not row:
        return False
    commands, plots = [], []
    for place, name in enumerate(verdict["libraries"]):
        curve = row["libraries"][name].get(f"{what}_curve")
        if not curve:
            continue
        commands += block(f"d{place}", [(100 / (100 - pct), ns) for pct, ns in curve
                                        if pct <= 99.99])
        plots.append(f"$d{place} using 1:2 with linespoints pt 7 ps 0.4 "
                     f"lw {2.6 if name in verdict['ours'] else 1.4} "
                     f"lc rgb '{colour[name]}' title {quote(name)}")
    if not plots:
        return False
    commands += ["set logscale xy", "set xrange [2:10000]",
                 "set xtics ('p50' 2, 'p90' 10, 'p99' 100, 'p99.9' 1000, 'p99.99' 10000)",
                 "set ylabel 'nanoseconds'", f"set title {quote(what)} font ',13'",
                 "set key left top", "plot " + ", ".join(plots)]
    return draw(path, 620, 380, commands)


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
    plots = ["$d using 1:2:(0.5) with boxes fs solid 0.85 noborder lc rgb '#1f5fd0' "
             "title 'measured here'",
             "$d using 1:3:(0):($4-$3) with vectors nohead lw 2 lc rgb '#0b2e73' notitle"]
    if planned:
        commands += block("p", planned)
        plots.append("$p using 1:(($2+$3)/2):($1-0.07):($1+0.07):2:3 with boxxyerror fs solid 1 "
                     "noborder lc rgb '#e08214' title 'the plan expected'")
    commands += [f"set xtics ({tics}) scale 0", "set yrange [0:*]",
                 f"set xrange [-0.6:{len(steps) - 0.4}]",
                 "set ylabel '% of mimalloc, larson mid, 4 threads'", "set key left top",
                 "set grid ytics", "unset grid", "set grid ytics lc rgb '#e4e4e4' lt 1 lw 0.6",
                 "plot " + ", ".join(plots)]
    return draw(path, 920, 400, commands)


def ladder_mf1(data, path):
    """Sharded list: throughput over threads."""
    rows = data.get("mf1")
    if not rows:
        return False
    ways = (("mutex", "#7f7f7f"), ("cas", "#7fb2ff"), ("cas-backoff", "#1f5fd0"))
    commands, plots = [], []
    for place, (way, shade) in enumerate(ways):
        points = [(row["threads"], row["ops_per_s"] / 1e6) for row in rows if row["way"] == way]
        if points:
            commands += block(f"d{place}", points)
            plots.append(f"$d{place} using 1:2 with linespoints pt 7 ps 0.6 lw 2 "
                         f"lc rgb '{shade}' title {quote(way)}")
    if not plots:
        return False
    commands += ["set logscale x 2", "set xlabel 'threads'", "set ylabel 'M pop+push a second'",
                 "set yrange [0:*]", "set key outside right top",
                 "set title 'MF1: a shard list under mutex and under tagged CAS' font ',13'",
                 "plot " + ", ".join(plots)]
    return draw(path, 920, 320, commands)


def instructions(data, path, colour):
    """Instructions a pair as grouped bars; what is far off is cut at the top."""
    names = list(data)
    cases = list(data[names[0]]) if names else []
    if not cases:
        return False
    commands = block("d", [[quote(case).replace("'", '"')] +
                           [data[name].get(case, {}).get("pair", "?") for name in names]
                           for case in cases])
    plots = [f"$d using {place + 2}:xtic(1) title {quote(name)} lc rgb "
             f"'{colour.get(name) or COLOURS.get(name, '#444444')}'"
             for place, name in enumerate(names)]
    commands += ["set style data histogram", "set style histogram cluster gap 1.5",
                 "set style fill solid 0.9 noborder", "set datafile missing '?'",
                 "set logscale y 2", "set yrange [16:*]",
                 "set ylabel 'instructions a malloc/free pair'",
                 "set key outside top center horizontal", "unset grid",
                 "set grid ytics lc rgb '#e4e4e4' lt 1 lw 0.6", "plot " + ", ".join(plots)]
    return draw(path, 920, 400, commands)
