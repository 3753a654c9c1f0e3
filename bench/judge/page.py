# SPDX-License-Identifier: MIT
"""bench/judge/page.py - one HTML file with the verdict, its pictures inside"""
import base64
import datetime
import html
import os
import platform

from judge import plots, verdict as tables

STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; color: #1c1c1c;
       max-width: 1080px; margin: 0 auto; padding: 24px 20px 80px; background: #f5f6f8; }
h1 { font-size: 27px; margin: 10px 0 2px; } h2 { font-size: 20px; margin: 40px 0 6px; }
p { max-width: 74ch; } .note { color: #555; font-size: 14px; }
section, .cards { margin-top: 14px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; }
.card { background: #fff; border: 1px solid #dfe2e8; border-radius: 8px; padding: 10px 16px;
        min-width: 150px; }
.card b { display: block; font-size: 24px; line-height: 1.25; }
.card span { font-size: 13px; color: #555; }
.good { color: #11723a; } .bad { color: #b3261e; } .same { color: #555; }
figure { background: #fff; border: 1px solid #dfe2e8; border-radius: 8px; margin: 12px 0;
         padding: 8px; } figure img { width: 100%; display: block; }
figcaption { font-size: 14px; color: #555; padding: 4px 8px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; } .pair figure { margin: 0; }
table { border-collapse: collapse; background: #fff; font-size: 13px; width: 100%; }
.wide { overflow-x: auto; border: 1px solid #dfe2e8; border-radius: 8px; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid #eceef2;
         white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #cfd4dd; }
small { color: #777; }
@media (max-width: 760px) { .pair { grid-template-columns: 1fr; } }
"""


def _e(text):
    return html.escape(str(text))


def _figure(path, caption, drawn):
    if not drawn:
        return ""
    with open(path, "rb") as picture:
        data = base64.b64encode(picture.read()).decode()
    return (f'<figure><img alt="{_e(caption)}" src="data:image/svg+xml;base64,{data}">'
            f"<figcaption>{_e(caption)}</figcaption></figure>")


def _colour_of(ratio, good_above=True):
    """Green or red only where the interval leaves out 1."""
    if not ratio or ratio["low"] is None or ratio["low"] <= 1 <= ratio["high"] \
            or f"{ratio['point']:.2f}" == "1.00":
        return "same"
    return "good" if (ratio["low"] > 1) == good_above else "bad"


def _cards(verdict):
    parts = []
    for mine, means in verdict["means"].items():
        parts.append(f"<h2>{_e(mine)}, geometric mean over all rows</h2><div class=cards>")
        for peer, mean in means.items():
            speed, rss = mean["speed"], mean["rss"]
            if not speed:
                continue
            parts.append(
                f"<div class=card><span>against {_e(peer)}</span>"
                f'<b class="{_colour_of(speed)}">{speed["point"]:.2f}&times;</b>'
                f"<span>speed, {_range(speed)}</span><br>"
                f'<span class="{_colour_of(rss, False)}">'
                f'{rss["point"]:.2f}&times; peak RSS</span><br>'
                f'<span>{mean["rows"]} rows</span></div>' if rss else "")
        parts.append("</div>")
    return "".join(parts)


def _range(ratio):
    if ratio["low"] is None:
        return "no interval"
    return f"{ratio['low']:.2f}&ndash;{ratio['high']:.2f}"


def _median_table(verdict):
    names = verdict["libraries"]
    lines = ["<div class=wide><table><thead><tr><th>workload</th>"]
    lines += [f"<th>{_e(name)}</th>" for name in names]
    lines.append("</tr></thead>")
    for case, row in verdict["cases"].items():
        done = [name for name in names if "median" in row["libraries"][name]]
        best = None
        if done:
            pick = min if row["less_is_better"] else max
            best = pick(done, key=lambda name: row["libraries"][name]["median"])
        lines.append(f"<tr><td>{_e(case)} <small>{_e(row['unit'])}</small></td>")
        for name in names:
            cell = row["libraries"][name]
            if "median" not in cell:
                lines.append(f'<td class=bad title="{_e(cell["errors"][0])}">failed</td>')
                continue
            shown = tables.number(cell["median"])
            lines.append(f"<td>{'<b>' if name == best else ''}{shown}"
                         f"{'</b>' if name == best else ''} <small>&plusmn;{cell['spread']:.0%}"
                         f"<br>{tables.megabytes(cell['peak_rss_bytes'])} MB</small></td>")
        lines.append("</tr>")
    return "".join(lines) + "</table></div>"


def _ratio_table(verdict, mine):
    peers = [name for name in verdict["libraries"] if name != mine]
    lines = ["<div class=wide><table><thead><tr><th>workload</th>"]
    lines += [f"<th>{_e(peer)}</th>" for peer in peers]
    lines.append("</tr></thead>")
    for case, row in verdict["cases"].items():
        lines.append(f"<tr><td>{_e(case)}</td>")
        for peer in peers:
            both = row["ratios"][mine].get(peer)
            if not both or not both["speed"]:
                lines.append("<td>-</td>")
                continue
            speed, rss = both["speed"], both["rss"]
            lines.append(
                f'<td><b class="{_colour_of(speed)}">{speed["point"]:.2f}</b> '
                f"<small>{_range(speed)}" +
                (f'<br>RSS <span class="{_colour_of(rss, False)}">{rss["point"]:.2f}</span>'
                 if rss else "") + "</small></td>")
        lines.append("</tr>")
    return "".join(lines) + "</table></div>"


def _counts_table(verdict):
    lines = ["<div class=wide><table><thead><tr><th>workload</th>"]
    lines += [f"<th>{_e(name)}</th>" for name in verdict["libraries"]]
    lines.append("</tr></thead>")
    for case, row in verdict["cases"].items():
        lines.append(f"<tr><td>{_e(case)}</td>")
        for name in verdict["libraries"]:
            cell = row["libraries"][name]
            if "median" not in cell:
                lines.append("<td>-</td>")
                continue
            also = ""
            for key, value in cell["also"].items():
                if value is not None:
                    shown = tables.megabytes(value) + " MB" if "rss" in key else f"{value:.3g}"
                    also += f"<br>{_e(key)} {shown}"
            lines.append(f"<td>{tables.number(cell['faults'] or 0)} <small>faults<br>"
                         f"{tables.number(cell['switches'] or 0)} switches{also}</small></td>")
        lines.append("</tr>")
    return "".join(lines) + "</table></div>"


def _instruction_table(data):
    names = list(data)
    cases = list(data[names[0]])
    lines = ["<div class=wide><table><thead><tr><th>case</th>"]
    lines += [f"<th>{_e(name)}</th>" for name in names]
    lines.append("</tr></thead>")
    for case in cases:
        lines.append(f"<tr><td>{_e(case)}</td>")
        for name in names:
            cell = data[name].get(case)
            lines.append(f"<td>{cell['pair']:.1f} <small>{cell['malloc']:.0f} + "
                         f"{cell['free']:.0f}</small></td>" if cell else "<td>-</td>")
        lines.append("</tr>")
    return "".join(lines) + "</table></div>"


def _plan(plan):
    if not plan:
        return ""
    return f"{plan[0]:g}" if plan[0] == plan[1] else f"{plan[0]:g}&ndash;{plan[1]:g}"


def _ladder_table(data):
    lines = ["<div class=wide><table><thead><tr><th>step</th><th>M ops/s</th><th>% of mimalloc</th>"
             "<th>the plan, %</th><th>over the step before</th><th>the plan</th></tr></thead>"]
    for step in data["steps"]:
        pct = "-" if step.get("pct") is None else f"{step['pct']:.1f}"
        if step.get("low_pct") is not None:
            pct += f" <small>{step['low_pct']:.1f}&ndash;{step['high_pct']:.1f}</small>"
        plan = step.get("plan_pct")
        mops = "-" if step.get("mops") is None else f"{step['mops']:.2f}"
        lines.append(f"<tr><td>{_e(step['name'])}</td><td>{mops}</td><td>{pct}</td>"
                     f"<td>{_plan(plan)}</td>"
                     f"<td>{_e(step.get('gain', ''))}</td><td>{_e(step.get('plan_gain', ''))}</td>"
                     "</tr>")
    lines.append("</table></div>")
    for note in data.get("notes", []):
        lines.append(f"<p class=note>{_e(note)}</p>")
    return "".join(lines)


def _self_test(checks):
    lines = ["<h2>The judge's own test</h2><p class=note>One library against itself, with "
             "intervals that hold for all rows together at 95&nbsp;%, and against itself with a "
             "tenth of its time lost on purpose.</p><ul>"]
    for good, words in checks:
        lines.append(f'<li><span class="{"good" if good else "bad"}">'
                     f'{"held" if good else "did not hold"}</span>: {_e(words)}</li>')
    return "".join(lines) + "</ul>"


def _machine():
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
            for line in info:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}"


def _extras(verdict, out_dir, colour):
    extra = verdict.get("extra", {})
    parts = []
    if extra.get("ladder", {}).get("steps"):
        data = extra["ladder"]
        path = os.path.join(out_dir, "ladder.svg")
        parts.append("<h2>The plan's ladder, as measured here</h2>")
        parts.append(_figure(path, "larson mid, 4 threads: each step as a share of mimalloc in the "
                             "same run, and what the plan expected", plots.ladder(data, path)))
        parts.append(_ladder_table(data))
        path = os.path.join(out_dir, "mf1.svg")
        parts.append(_figure(path, "What MF1 buys alone", plots.ladder_mf1(data, path)))
    if extra.get("instructions"):
        data = extra["instructions"]
        path = os.path.join(out_dir, "instructions.svg")
        parts.append("<h2>Instructions a pair</h2>")
        parts.append(_figure(path, "Inside malloc and free with all they call, under callgrind; "
                             "each line of the grid doubles",
                             plots.instructions(data, path, colour)))
        parts.append(_instruction_table(data))
    if extra.get("self-test"):
        parts.append(_self_test(extra["self-test"]))
    return "".join(parts)


def write(verdict, out_dir):
    """Draw everything, leave index.html and the single pictures; gives its path."""
    names = verdict["libraries"]
    colour = plots.colours(names, verdict["ours"])
    reference = "mimalloc" if "mimalloc" in names else names[0]

    def figure(name, caption, function, *arguments):
        path = os.path.join(out_dir, name + ".svg")
        return _figure(path, caption, function(verdict, path, colour, *arguments))

    rounds = max((cell.get("rounds", 0) for row in verdict["cases"].values()
                  for cell in row["libraries"].values()), default=0)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>hakmem bench</title><style>{STYLE}</style>"
        "<h1>hakmem beside its peers</h1>"
        f"<p class=note>{datetime.date.today()} &middot; {_e(_machine())} &middot; "
        f"{rounds} rounds, interleaved</p>",
        _cards(verdict),
        "<p class=note>Ratios are paired by round; the ranges are 95&nbsp;% bootstrap-t intervals. "
        "Green and red only where the interval leaves out 1. Above 1 is faster; for RSS, below 1 "
        "is leaner.</p>",
        "<h2>Speed</h2>",
        figure("speed", f"Every row as a multiple of {reference}; the large dots are ours",
               plots.speed, reference)]
    for place, mine in enumerate(verdict["ours"]):
        if len(names) > len(verdict["ours"]):
            parts.append(figure(f"best{place}", f"{mine} against the fastest other library of each "
                                "row, with its interval", plots.against_best, mine))
    parts += ["<h2>Memory</h2>",
              figure("memory", f"Peak resident memory as a multiple of {reference}", plots.memory,
                     reference)]
    pictures = [figure(f"rss-{case}", {
        "churn": "A long-lived mixture: what is held above the dashed line is waste",
        "churn-drift": "The same with drifting sizes",
        "free-only": "One thread only frees: flat is right",
        "return": "A peak, its end, two seconds of silence, some work, malloc_trim",
        "thread-churn": "Threads come and go: flat is right"}[case], plots.over_time, case)
        for case in ("churn", "churn-drift", "free-only", "return", "thread-churn")]
    if any(pictures):
        parts += ["<h2>Memory over time</h2><div class=pair>", *pictures, "</div>"]
    pictures = [figure(f"latency-{what}", f"Percentiles of single calls: {what}", plots.latency,
                       what) for what in ("malloc", "free")]
    if any(pictures):
        parts += ["<h2>Latency</h2><div class=pair>", *pictures, "</div>"]
    parts.append(_extras(verdict, out_dir, colour))
    parts += ["<h2>Medians</h2><p class=note>With the spread (scaled median absolute deviation) "
              "and peak RSS; the fastest of a row is bold.</p>", _median_table(verdict)]
    for mine in verdict["ours"]:
        parts += [f"<h2>{_e(mine)} over each other library</h2>", _ratio_table(verdict, mine)]
    parts += ["<h2>Faults, context switches and the workloads' own figures</h2>",
              _counts_table(verdict), "<h2>What ran</h2><ul>"]
    parts += [f"<li><b>{_e(name)}</b> <code>{_e(where)}</code></li>"
              for name, where in verdict.get("where", {}).items()]
    parts.append("</ul></html>")
    path = os.path.join(out_dir, "index.html")
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(parts))
    return path
