# SPDX-License-Identifier: MIT
"""bench/judge/page.py - one HTML file with the verdict, its pictures inside

The file needs nothing else: no script, no font, no picture of its own, so it can be mailed, printed
or kept. Tables are judge/tables.py's, pictures judge/plots.py's.
"""
import base64
import datetime
import os

from judge import plots, tables
from judge.tables import escape

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; color: #1c1c1c;
       max-width: 1320px; margin: 0 auto; padding: 28px 28px 80px; background: #fff; }
h1 { font-size: 30px; margin: 0 0 2px; letter-spacing: -0.3px; }
h2 { font-size: 21px; margin: 46px 0 6px; padding-top: 14px; border-top: 1px solid #d9dde3; }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { max-width: 80ch; margin: 6px 0; } p.head { max-width: none; color: #555; font-size: 14px; }
a { color: #2166ac; }
nav { font-size: 14px; margin: 10px 0 0; } nav a { margin-right: 14px; text-decoration: none; display: inline-block; }
.note { color: #555; font-size: 14px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px;
         margin: 12px 0; }
.card { border: 1px solid #d9dde3; border-radius: 8px; padding: 10px 16px; }
.card span, .card small { display: block; font-size: 13px; color: #555; line-height: 1.35; }
.card b { display: block; font-size: 27px; line-height: 1.2; margin-top: 2px; }
.card b.second { font-size: 20px; margin-top: 8px; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 22px; align-items: start; }
.two > * { min-width: 0; }
figure { margin: 10px 0; } figure img { width: 100%; display: block; }
figcaption { font-size: 13.5px; color: #555; padding: 2px 0 0 6px; }
.wide { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-size: 13px; width: 100%;
        font-variant-numeric: tabular-nums; }
th, td { padding: 4px 8px; text-align: right; border-bottom: 1px solid #e8eaee;
         vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #c4cad3; font-weight: 600; vertical-align: bottom; }
td small { display: block; color: #667; font-size: 11px; line-height: 1.25; }
td small.inline { display: inline; }
table.heat td { border: 1px solid #fff; line-height: 1.15; padding: 3px 6px; text-align: center; }
table.heat td small { color: inherit; opacity: .85; font-size: 10.5px; }
table.heat td:first-child { text-align: left; font-size: 12.5px; vertical-align: middle;
                            padding-left: 0; }
table.heat th { text-align: center; white-space: normal; }
table.words td { white-space: normal; text-align: left; }
table.words th { text-align: left; }
.legend { font-size: 12px; margin: 8px 0; }
.swatch { display: inline-block; padding: 3px 9px; min-width: 34px; min-height: 24px;
          vertical-align: top; }
.failed { color: #a33; font-weight: 600; }
code { font-size: 12px; }
ul { padding-left: 20px; }
@media screen and (max-width: 1300px) { .two { grid-template-columns: 1fr; } }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .cards { grid-template-columns: repeat(5, 1fr); } .card { padding: 6px 8px; }
  figure, .card, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .wide { overflow: visible; } table { font-size: 9.5px; } td small { font-size: 8px; }
  table.heat td:first-child { font-size: 9px; } table.heat td { padding: 1px 3px; }
  nav { display: none; }
}
"""

OVER_TIME = (
    ("churn", "96 MiB kept alive: what is held above the dashed line is waste"),
    ("churn-drift", "The same while the sizes drift"),
    ("free-only", "One thread only frees: flat is right"),
    ("thread-churn", "Threads come and go: flat is right"),
    ("return", "A peak, everything freed, two seconds of silence, a little work, malloc_trim"),
)


def _megabytes(value):
    return f"{value / (1 << 20):.1f} MB"


def _share(value):
    return f"{100 * value:.1f} %"


OWN_FIGURES = (
    ("churn", "fragmentation", "churn: (RSS - live) / live, mean", _share),
    ("churn", "fragmentation_most", "churn: the worst moment", _share),
    ("churn-drift", "fragmentation", "churn-drift: (RSS - live) / live, mean", _share),
    ("churn-drift", "fragmentation_most", "churn-drift: the worst moment", _share),
    ("free-only", "rss_first_quarter", "free-only: RSS in the first quarter", _megabytes),
    ("free-only", "rss_last_quarter", "free-only: RSS in the last quarter", _megabytes),
    ("thread-churn", "rss_first_quarter", "thread-churn: RSS in the first quarter", _megabytes),
    ("thread-churn", "rss_last_quarter", "thread-churn: RSS in the last quarter", _megabytes),
    ("return", "rss_before", "return: before the peak", _megabytes),
    ("return", "rss_peak", "return: at the peak of 256 MiB", _megabytes),
    ("return", "rss_freed", "return: everything freed", _megabytes),
    ("return", "rss_idle", "return: after 2 s of silence", _megabytes),
    ("return", "rss_worked", "return: after a little work", _megabytes),
    ("return", "rss_trimmed", "return: after malloc_trim", _megabytes),
    ("startup", "child_rss_bytes", "startup: a process that has done nothing", _megabytes),
)


def _nanoseconds(value):
    return f"{value:.0f} ns"


PLACEMENT = tuple(
    (row, key, f"{row}: to {what} an object", _nanoseconds)
    for row in ("locality", "locality-site", "locality-return")
    for key, what in (("build_ns", "make"), ("ns_per_object", "visit")))


class Page:
    """Collects sections; draws pictures beside the page and puts them into it."""

    def __init__(self, verdict, out_dir):
        self.verdict = verdict
        self.out_dir = out_dir
        self.colour = plots.colours(verdict["libraries"], verdict["ours"])
        self.sections = []

    def section(self, anchor, title, *parts):
        """Sections without any content are left out."""
        content = "".join(part for part in parts if part)
        if content:
            self.sections.append((anchor, title, content))

    def figure(self, name, caption, function, *arguments):
        path = os.path.join(self.out_dir, name + ".svg")
        if not function(*arguments, path):
            return ""
        with open(path, "rb") as picture:
            data = base64.b64encode(picture.read()).decode()
        return (f'<figure><img alt="{escape(caption)}" src="data:image/svg+xml;base64,{data}">'
                f"<figcaption>{escape(caption)}</figcaption></figure>")


def _note(text):
    return f'<p class="note">{text}</p>'


def _two(*parts):
    parts = [part for part in parts if part]
    return f'<div class="two">{"".join(f"<div>{part}</div>" for part in parts)}</div>' \
        if parts else ""


def _maps(verdict, mine):
    """Speed and memory of one library over the others, side by side while there is room."""
    maps = ["<h3>Speed</h3>" + tables.heat_map(verdict, mine, "speed"),
            "<h3>Peak memory</h3>" + tables.heat_map(verdict, mine, "rss")]
    return _two(*maps) if len(verdict["libraries"]) <= 7 else "".join(maps)


def _lead(verdict):
    """The library under judgement that the page begins with."""
    return next((name for name in verdict["ours"] if "next" in name), verdict["ours"][0])


def _glance(page, lead):
    verdict = page.verdict
    failed = [f"{case} on {name}: {cell['errors'][0]}"
              for case, row in verdict["cases"].items()
              for name, cell in row["libraries"].items() if "errors" in cell]
    doubt = ""
    if not all(good for good, _ in verdict.get("extra", {}).get("self-test", [])):
        doubt = ('<p class="failed">The judge\'s own test did not hold on this machine in this '
                 'run: <a href="#judge">see there</a> before believing what follows.</p>')
    page.section(
        "glance", f"{escape(lead)} at a glance", doubt, tables.cards(verdict, lead),
        _note(f"{escape(lead)} over each other library: geometric means over all rows, then row by "
              "row. Above 1 is faster; for memory below 1 is leaner; blue is better in both. Below "
              "each ratio stands its 95&nbsp;% interval, and where that contains 1 the cell is "
              "grey: a difference was not shown." +
              (" Rows with a star compare what no other library offers, and are in no mean."
               if any(row["apart"] for row in verdict["cases"].values()) else "")),
        tables.legend(),
        _maps(verdict, lead),
        "<h3>What failed</h3><ul>" +
        "".join(f'<li class="failed">{escape(line)}</li>' for line in failed) + "</ul>"
        if failed else "")


def _pictures(page, lead, reference):
    verdict, colour = page.verdict, page.colour
    page.section(
        "speed", "Speed",
        page.figure("speed", f"The median of every row as a multiple of {reference}'s; the blue "
                    "dots are ours", plots.speed, verdict, colour, reference),
        page.figure("best", f"{lead} against the fastest other library of each row, with the 95 % "
                    "interval", plots.against_best, verdict, colour, lead),
        tables.figures(verdict, PLACEMENT))
    page.section(
        "memory", "Memory",
        page.figure("memory", f"Peak resident memory as a multiple of {reference}'s",
                    plots.memory, verdict, colour, reference),
        "<h3>Resident memory over time</h3>",
        _two(*(page.figure(f"rss-{case}", caption, plots.over_time, verdict, colour, case)
               for case, caption in OVER_TIME)),
        tables.figures(verdict, OWN_FIGURES))
    page.section(
        "latency", "Latency",
        _two(*(page.figure(f"latency-{what}", f"Percentiles of single calls of {what}, by the "
                           "cycle counter. Dashed: the same around no call at all, which is the "
                           "counter and the machine", plots.latency, verdict, colour, what)
               for what in ("malloc", "free"))))


def _ladder(page, data):
    parts = [
        _note("The plan's steps on larson mid with 4 threads, each beside what the plan expected. "
              "docs/LADDER.md says why it came out otherwise."),
        _two(page.figure("ladder", "Each step as a share of mimalloc in the same run",
                         plots.ladder, data), tables.ladder(data))]
    if data.get("bands"):
        parts.append(_two(
            "<h3>The other bands: no more than 5 % slower, says the plan</h3>" +
            tables.ladder_bands(data),
            "<h3>MF2 alone: from an address to its page descriptor</h3>" + tables.ladder_mf2(data)))
    parts.append("<h3>MF1 alone: a list of 8 shards under mutex and under tagged CAS</h3>")
    parts.append(_two(page.figure("mf1", "Pop and push on as many threads; retries are an "
                                  "operation's, and the most that one had",
                                  plots.ladder_mf1, data), tables.ladder_mf1(data)))
    if data.get("mf3"):
        parts.append("<h3>MF3: what a malloc/free pair goes through</h3>" + tables.ladder_mf3(data))
    if data.get("counted"):
        parts.append("<h3>What legacy counted in three runs of larson mid, 4 threads</h3>" +
                     tables.ladder_counted(data))
    page.section("ladder", "The plan's ladder, as measured here", *parts)


def _self_test(page, checks):
    lines = "".join(f"<li>{'' if good else '<span class=failed>did not hold: </span>'}"
                    f"{escape(words)}</li>" for good, words in checks)
    page.section("judge", "The judge's own test", _note(
        "One library against itself, with intervals that hold for all rows together at 95&nbsp;%, "
        "and against itself with a tenth of its time lost on purpose."), f"<ul>{lines}</ul>")


def _details(page, lead):
    verdict = page.verdict
    page.section("medians", "Medians", _note(
        "With the spread (median absolute deviation, scaled), peak memory, page faults and context "
        "switches of a run. The fastest of a row is bold."), tables.medians(verdict))
    for other in verdict["ours"]:
        if other != lead:
            page.section(f"over-{len(page.sections)}", f"{escape(other)} over each other library",
                         _maps(verdict, other))
    machine = ", ".join(f"{escape(key)}: {escape(value)}"
                        for key, value in verdict["machine"].items())
    columns = "".join(
        f"<li><b>{escape(name)}</b> {escape(package)} <code>{escape(where)}</code></li>"
        for name, (where, package) in verdict["where"].items())
    page.section(
        "how", "What ran, and how", f"<p>{machine}.</p>", f"<ul>{columns}</ul>",
        _note("Round by round every row runs once on every library, in changing order, and the "
              "first round does not count. A ratio is made of runs a few seconds apart, of the "
              "same round; the ratios of all rounds are averaged as logarithms, and the interval is a "
              "bootstrap-t interval. Memory is the peak of the program's own process. docs/BENCH.md "
              "has the rest."),
        tables.rows_described(verdict))


def write(verdict, out_dir):
    """Draw everything, leave index.html and the single pictures; gives its path."""
    names = verdict["libraries"]
    lead = _lead(verdict)
    page = Page(verdict, out_dir)
    _glance(page, lead)
    _pictures(page, lead, "mimalloc" if "mimalloc" in names else names[0])
    extra = verdict.get("extra", {})
    if extra.get("ladder", {}).get("steps"):
        _ladder(page, extra["ladder"])
    if extra.get("instructions"):
        data = extra["instructions"]
        page.section("instructions", "Instructions a malloc/free pair", page.figure(
            "instructions", "Counted inside malloc and free with all that they call, by callgrind",
            plots.instructions, data, page.colour), tables.instructions(data))
    if extra.get("self-test"):
        _self_test(page, extra["self-test"])
    _details(page, lead)

    rounds = [cell["rounds"] for row in verdict["cases"].values()
              for cell in row["libraries"].values() if "rounds" in cell]
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>hakmem bench</title><style>{STYLE}</style>"
        "<h1>hakmem beside its peers</h1>",
        f'<p class="head">{datetime.date.today()} &middot; {len(verdict["cases"])} rows on '
        f"{len(names)} libraries, {min(rounds, default=0)} rounds that count, interleaved, in "
        f"{verdict['seconds'] / 60:.0f} minutes &middot; {escape(verdict['machine']['processor'])}, "
        f"{escape(verdict['machine']['cpus'])}, {escape(verdict['machine']['kernel'])}</p>",
        "<nav>" + "".join(f'<a href="#{anchor}">{title}</a>'
                          for anchor, title, _ in page.sections) + "</nav>"]
    if not plots.available():
        parts.append(_note("gnuplot is not installed: the pictures are missing."))
    parts += [f'<h2 id="{anchor}">{title}</h2>{content}'
              for anchor, title, content in page.sections]
    path = os.path.join(out_dir, "index.html")
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(parts) + "\n</html>\n")
    return path
