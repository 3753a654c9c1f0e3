# SPDX-License-Identifier: MIT
"""bench/judge/tables.py - the tables of the page: the verdict as a heat map, and all figures"""
import html
import math

from judge import verdict as numbers

# Better is blue and worse is orange, for every kind of sight; both darken with the distance from 1.
BETTER = (33, 102, 172)
WORSE = (194, 91, 6)
FULL_COLOUR_AT = 3.0  # a ratio of 3, or of 1/3


def escape(text):
    return html.escape(str(text))


def table(head, rows, kind=""):
    """A table whose cells are HTML; a row is a list of cells, a cell may be (HTML, style)."""
    lines = [f'<div class="wide"><table class="{kind}"><thead><tr>']
    lines += [f"<th>{cell}</th>" for cell in head]
    lines.append("</tr></thead><tbody>")
    for row in rows:
        lines.append("<tr>")
        for cell in row:
            words, style = cell if isinstance(cell, tuple) else (cell, "")
            lines.append(f'<td style="{style}">{words}</td>' if style else f"<td>{words}</td>")
        lines.append("</tr>")
    return "".join(lines) + "</tbody></table></div>"


def decided(ratio):
    """True where the interval leaves out 1."""
    return ratio is not None and ratio["low"] is not None and not ratio["low"] <= 1 <= ratio["high"]


def interval(ratio):
    if ratio["low"] is None:
        return "no interval"
    if ratio["high"] > 100 * ratio["low"] and not decided(ratio):
        return "anything"
    return f"{short(ratio['low'])}&ndash;{short(ratio['high'])}"


def short(value):
    """Three figures at most: 0.042, 1.27, 15.3, 240."""
    if value < 0.1:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def heat(ratio, more_is_better):
    """A cell of the map: (HTML, style)."""
    if ratio is None:
        return "&ndash;", "color:#777"
    words = f"<b>{short(ratio['point'])}</b><small>{interval(ratio)}</small>"
    if not decided(ratio):
        return words, "background:#f0f0f0;color:#555"
    good = (ratio["point"] > 1) == more_is_better
    depth = min(abs(math.log(ratio["point"])) / math.log(FULL_COLOUR_AT), 1)
    depth = 0.12 + 0.88 * depth
    red, green, blue = (round(255 + (end - 255) * depth) for end in (BETTER if good else WORSE))
    return words, (f"background:rgb({red},{green},{blue});"
                   f"color:{'#fff' if depth > 0.6 else '#111'}")


def heat_map(verdict, mine, what):
    """`mine` over every other library, row by row; `what` is speed or rss."""
    peers = [name for name in verdict["libraries"] if name != mine]
    more_is_better = what == "speed"
    rows = []
    for case, row in verdict["cases"].items():
        cells = [f'<span title="{escape(row["about"])}">{escape(case)}{"*" if row["apart"] else ""}</span>']
        for peer in peers:
            both = row["ratios"][mine].get(peer)
            cells.append(heat(both and both[what], more_is_better))
        rows.append(cells)
    means = ["<b>geometric mean</b>"]
    for peer in peers:
        means.append(heat(verdict["means"][mine][peer][what], more_is_better))
    # a name breaks behind its colon, or the last column is cut
    head = [escape(peer).replace(":", ":<br>") for peer in peers]
    return table([""] + head, [means] + rows, "heat")


def legend():
    """What the colours say."""
    def swatch(value, words):
        ratio = {"point": value, "low": value, "high": value}
        return f'<span class="swatch" style="{heat(ratio, True)[1]}">{words}</span>'
    return ('<p class="legend">' + swatch(1 / 3, "3&times; worse") + swatch(1 / 1.5, "1.5&times;") +
            swatch(1 / 1.05, "") +
            '<span class="swatch" style="background:#f0f0f0;color:#555">no difference shown</span>' +
            swatch(1.05, "") + swatch(1.5, "1.5&times;") + swatch(3, "3&times; better") + "</p>")


def cards(verdict, mine):
    """The geometric means of one library, a card a peer."""
    parts = []
    for peer, mean in verdict["means"][mine].items():
        speed, rss = mean["speed"], mean["rss"]
        if not speed or not rss:
            continue
        parts.append(
            f'<div class="card"><span>against {escape(peer)}</span>'
            f'<b>{short(speed["point"])}&times;</b><span>the speed</span>'
            f'<small>{interval(speed)}</small>'
            f'<b class="second">{short(rss["point"])}&times;</b><span>the peak memory</span>'
            f'<small>{interval(rss)}; {mean["rows"]} rows</small></div>')
    return '<div class="cards">' + "".join(parts) + "</div>"


def medians(verdict):
    names = verdict["libraries"]
    rows = []
    for case, row in verdict["cases"].items():
        done = [name for name in names if "median" in row["libraries"][name]]
        pick = min if row["less_is_better"] else max
        best = pick(done, key=lambda name: row["libraries"][name]["median"]) if done else None
        cells = [f"{escape(case)} <small>{escape(row['unit'])}</small>"]
        for name in names:
            cell = row["libraries"][name]
            if "median" not in cell:
                cells.append(f'<span class="failed">failed</span><small>'
                             f"{escape(cell['errors'][0][:60])}</small>")
                continue
            shown = numbers.number(cell["median"])
            shown = f"<b>{shown}</b>" if name == best else shown
            cells.append(f"{shown} <small class=\"inline\">&plusmn;{cell['spread']:.0%}</small>"
                         f"<small>{numbers.megabytes(cell['peak_rss_bytes'])} MB</small>"
                         f"<small>{numbers.number(cell['faults'] or 0)} faults, "
                         f"{numbers.number(cell['switches'] or 0)} switches</small>")
        rows.append(cells)
    return table(["row"] + [escape(name) for name in names], rows)


def figures(verdict, wanted):
    """Figures of the workloads' own: `wanted` is a list of (row, key, words, format)."""
    names = verdict["libraries"]
    rows = []
    for case, key, words, form in wanted:
        row = verdict["cases"].get(case)
        if not row:
            continue
        cells = [escape(words)]
        for name in names:
            value = row["libraries"][name].get("also", {}).get(key)
            cells.append("&ndash;" if value is None else form(value))
        if any(cell != "&ndash;" for cell in cells[1:]):
            rows.append(cells)
    return table([""] + [escape(name) for name in names], rows) if rows else ""


def instructions(data):
    names = list(data)
    rows = []
    for case in data[names[0]]:
        cells = [escape(case)]
        for name in names:
            cell = data[name].get(case)
            cells.append(f"{cell['pair']:.1f}<small>{cell['malloc']:.0f} + {cell['free']:.0f}"
                         "</small>" if cell else "&ndash;")
        rows.append(cells)
    return table([""] + [escape(name) for name in names], rows)


def _plan(plan, unit=""):
    if not plan:
        return ""
    both = f"{plan[0]:g}" if plan[0] == plan[1] else f"{plan[0]:g}&ndash;{plan[1]:g}"
    return both + unit


def ladder(data):
    def over_before(step):
        point, _, rest = step.get("gain", "").partition(" [")
        return escape(point) + (f"<small>{escape(rest.rstrip(']'))}</small>" if rest else "")

    rows = []
    for step in data["steps"]:
        share = "&ndash;"
        if step.get("pct") is not None:
            share = f"{step['pct']:.1f} %"
            if step.get("low_pct") is not None:
                share += f"<small>{step['low_pct']:.1f}&ndash;{step['high_pct']:.1f}</small>"
        mops = "&ndash;" if step.get("mops") is None else f"{step['mops']:.2f}"
        rows.append([escape(step["name"]), mops, share, _plan(step.get("plan_pct"), " %"),
                     over_before(step), escape(step.get("plan_gain", ""))])
    return table(["step", "M ops/s", "of mimalloc", "the plan", "over the last", "the plan"], rows)


def ladder_bands(data):
    """Steps as rows, bands as columns; against legacy."""
    cases = list(dict.fromkeys(row["case"] for row in data["bands"]))
    names = list(dict.fromkeys(row["name"] for row in data["bands"]))
    found = {(row["case"], row["name"]): row["ratio"] for row in data["bands"]}
    rows = [[escape(name)] + [heat(found.get((case, name)), True) for case in cases]
            for name in names]
    return table(["against legacy"] + [escape(case) for case in cases], rows, "heat")


def ladder_counted(data):
    """What legacy counted: shares and so many a malloc, then the layers."""
    names = list(data["counted"])
    rows = [[escape(words)] + [f"{data['counted'][name][key]:.3f}" for name in names] +
            [escape(plan)] for key, words, plan in data["counted_rows"]]
    rows += [[f"mallocs from {escape(layer)}, %"] +
             [f"{data['counted'][name]['layer_pct'][layer]:.3f}" for name in names] + [""]
             for layer in data["layers"]]
    return table([""] + [escape(name) for name in names] + ["the plan"], rows)


def ladder_mf1(data):
    ways = list(dict.fromkeys(row["way"] for row in data["mf1"]))
    found = {(row["way"], row["threads"]): row for row in data["mf1"]}
    rows = []
    for threads in dict.fromkeys(row["threads"] for row in data["mf1"]):
        cells = [str(threads)]
        for way in ways:
            cell = found[way, threads]
            over = cell["over_mutex"]
            over = f"<small>{short(over['point'])}&times; the mutex, {interval(over)}</small>" \
                if over else ""
            cells.append(f"{cell['ops_per_s'] / 1e6:.1f} M/s{over}"
                         f"<small>{cell['retries_per_op']:.3f} retries, "
                         f"at most {cell['most_retries']}</small>")
        rows.append(cells)
    return table(["threads"] + [escape(way) for way in ways], rows)


def ladder_mf2(data):
    found = {(row["way"], row["threads"]): row["ops_per_s"] / 1e6 for row in data["mf2"]}
    threads = list(dict.fromkeys(row["threads"] for row in data["mf2"]))
    rows = [[words] + [f"{found[way, count]:.1f} M/s" for count in threads]
            for way, words in (("hash", "hash table and its lock"), ("map", "address map and mask"))]
    return table(["threads"] + [str(count) for count in threads], rows)


def ladder_mf3(data):
    names = list(data["mf3"])
    rows = []
    for case in next(iter(data["mf3"].values())):
        cells = [escape(case)]
        for name in names:
            cell = data["mf3"][name].get(case)
            if not cell:
                cells.append("&ndash;")
                continue
            leaves = f", {100 * cell['slow']:.1f} % slow" if name == "next" else ""
            cells.append(f"{cell['pair']:.0f}<small>{cell['branches']:.0f} branches{leaves}</small>")
        rows.append(cells)
    return table(["instructions a pair"] + [escape(name) for name in names], rows)


def rows_described(verdict):
    """What each row is, how it is run, and the environment that hakmem alone gets."""
    rows = []
    for case, row in verdict["cases"].items():
        own = " ".join(f"{key}={value}" for key, value in row["ours_only"].items())
        rows.append([escape(case), escape(row["about"]),
                     f"<code>{escape(row['command'])}</code>" +
                     (f"<small>hakmem's columns only: {escape(own)}</small>" if own else "")])
    return table(["row", "what it does", "command"], rows, "words")
