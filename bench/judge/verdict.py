# SPDX-License-Identifier: MIT
"""bench/judge/verdict.py - from single runs to a table: medians, spreads, ratios, memory"""
import re

from judge import estimator


def _rounds(journal, case, variant):
    """{round: result} without the warm-up, failures, and runs that a busy machine gave no time."""
    return {number: result for (name, library, number), result in journal.runs.items()
            if name == case.name and library == variant and number > 0
            and case.score(result) is not None}


def _errors(journal, case, variant):
    return sorted({result["error"] for (name, library, _), result in journal.runs.items()
                   if name == case.name and library == variant and "error" in result})


def _median_of(results, key):
    values = [result[key] for result in results.values() if result.get(key) is not None]
    return estimator.median(values) if values else None


def _median_curve(results, key):
    """A curve of percentiles, each the median of the rounds; None if there is none."""
    curves = [result[key] for result in results.values() if result.get(key)]
    if not curves:
        return None
    return [[percent, estimator.median([curve[place][1] for curve in curves])]
            for place, (percent, _) in enumerate(curves[0])]


def _summary(case, results):
    values = [result[case.metric] for result in results.values()]
    summary = {
        "rounds": len(results),
        "median": estimator.median(values),
        "spread": estimator.spread(values),
        "peak_rss_bytes": _median_of(results, case.memory),
        "faults": _median_of(results, "faults"),
        "switches": _median_of(results, "switches"),
        "cpu_s": _median_of(results, "cpu_s"),
        "also": {key: _median_of(results, key) for key, _ in case.also},
    }
    # memory over time is one run's
    last = results[max(results)]
    if "series" in last:
        summary["series"] = last["series"]
    for key in ("malloc_curve", "free_curve", "both_curve", "nothing_curve"):
        curve = _median_curve(results, key)
        if curve:
            summary[key] = curve
    said = {result["said"] for result in results.values() if "said" in result}
    if said:
        summary["said"] = sorted(said)
    return summary


def _scores(case, results):
    return {number: case.score(result) for number, result in results.items()}


def _memory(case, results):
    return {number: result[case.memory] for number, result in results.items()
            if result.get(case.memory)}


def build(journal, cases, names, ours, confidence=0.95):
    """The whole verdict as plain data.

    `names` are the columns, `ours` those that are held against every other one. Speed ratios are
    ours/theirs of the score (above 1 is better), memory ratios ours/theirs of peak RSS (below 1 is
    better).
    """
    verdict = {"libraries": names, "ours": ours, "confidence": confidence, "cases": {},
               "means": {}}
    scores, memory = {}, {}
    for case in cases:
        row = {"unit": case.unit, "less_is_better": case.less, "about": case.about,
               "ours_only": case.ours_only, "apart": case.apart, "libraries": {}, "ratios": {}}
        for name in names:
            results = _rounds(journal, case, name)
            errors = _errors(journal, case, name)
            # a library that fails some of its runs gets no score from the others
            if results and not errors:
                row["libraries"][name] = _summary(case, results)
                scores[case.name, name] = _scores(case, results)
                memory[case.name, name] = _memory(case, results)
            else:
                row["libraries"][name] = {"errors": errors or ["no run that did anything"]}
        for mine in ours:
            row["ratios"][mine] = {
                peer: _ratios(scores, memory, case.name, mine, peer, confidence)
                for peer in names if peer != mine and (case.name, peer) in scores
                and (case.name, mine) in scores}
            _against_best(row, mine, [n for n in names if n not in ours], case)
        verdict["cases"][case.name] = row
    for mine in ours:
        verdict["means"][mine] = {
            peer: _means(scores, memory, cases, mine, peer, confidence)
            for peer in names if peer != mine}
    return verdict


def _ratios(scores, memory, case, mine, peer, confidence):
    speed = estimator.ratio(scores[case, mine], scores[case, peer], confidence)
    rss = estimator.ratio(memory[case, mine], memory[case, peer], confidence)
    return {"speed": speed.as_dict() if speed else None, "rss": rss.as_dict() if rss else None}


def _against_best(row, mine, peers, case):
    """The fastest peer of this row, and the leanest of the three fastest."""
    done = [peer for peer in peers if "median" in row["libraries"].get(peer, {})]
    if not done or "median" not in row["libraries"].get(mine, {}):
        return
    done.sort(key=lambda peer: row["libraries"][peer]["median"], reverse=not case.less)
    leanest = min(done[:3], key=lambda peer: row["libraries"][peer]["peak_rss_bytes"] or 0)
    row.setdefault("best", {})[mine] = {"fastest": done[0], "leanest_of_three": leanest}


def _means(scores, memory, cases, mine, peer, confidence):
    """Geometric means over the rows that both finished, without those that compare a feature of ours."""
    both = [case.name for case in cases if not case.apart
            and (case.name, mine) in scores and (case.name, peer) in scores]
    speed = estimator.geometric_mean(
        [(scores[name, mine], scores[name, peer]) for name in both], confidence)
    rss = estimator.geometric_mean(
        [(memory[name, mine], memory[name, peer]) for name in both], confidence)
    return {"rows": len(both), "speed": speed.as_dict() if speed else None,
            "rss": rss.as_dict() if rss else None}


def own_figures(stats):
    """The lines of hakmem's malloc_stats that are its own; libc's arenas follow them."""
    lines = []
    for line in stats.splitlines():
        if line.startswith("Arena "):
            break
        if line.strip():
            lines.append(line)
    return lines


def legacy_counters(stats):
    """{name: number} of the lines 'legacy: NAME NUMBER' in hakmem's malloc_stats."""
    counters = {}
    for line in own_figures(stats):
        match = re.match(r"legacy: (\D+) (\d+)$", line)
        if match:
            counters[match.group(1)] = int(match.group(2))
    return counters


# ---- in short, for a document ---------------------------------------------------------------


def standing(verdict, mine):
    """In how many rows `mine` is ahead of the fastest other library of the row, behind it, or neither
    was shown."""
    ahead = behind = open_ = 0
    for row in verdict["cases"].values():
        best = row.get("best", {}).get(mine)
        ratio = best and row["ratios"][mine][best["fastest"]]["speed"]
        if not ratio or row["apart"]:
            continue
        if ratio["low"] is None or ratio["low"] <= 1 <= ratio["high"]:
            open_ += 1
        elif ratio["point"] > 1:
            ahead += 1
        else:
            behind += 1
    return ahead, behind, open_


def markdown(verdict):
    """The geometric means as a table of Markdown, and a sentence for each of ours."""
    peers = [name for name in verdict["libraries"] if name not in verdict["ours"]]
    lines = ["| | " + " | ".join(f"over {peer}" for peer in peers) + " |",
             "|---" * (len(peers) + 1) + "|"]
    for mine in verdict["ours"]:
        means = verdict["means"][mine]
        for what, words in (("speed", "speed"), ("rss", "peak memory")):
            lines.append(f"| `{mine}`: {words} | " +
                         " | ".join(interval(means[peer][what]) for peer in peers) + " |")
    lines.append("")
    for mine in verdict["ours"]:
        ahead, behind, open_ = standing(verdict, mine)
        lines.append(f"`{mine}` is faster than the fastest of the others in {ahead} of "
                     f"{ahead + behind + open_} rows and slower in {behind}; in {open_} no difference was "
                     "shown.")
    return "\n".join(lines) + "\n"


# ---- the table on the terminal -------------------------------------------------------------


def number(value):
    """Four figures with a unit prefix."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{prefix}"
    return f"{value:.3g}"


def megabytes(value):
    return "-" if value is None else f"{value / (1 << 20):.1f}"


def interval(ratio):
    if ratio is None:
        return "-"
    if ratio["low"] is None:
        return f"{ratio['point']:.2f} (no interval)"
    if ratio["low"] <= 1 <= ratio["high"] and ratio["high"] > 100 * ratio["low"]:
        return f"{ratio['point']:.2f} (or anything: too noisy)"
    return f"{ratio['point']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def text(verdict):
    """The verdict as lines of text."""
    lines = []
    names = verdict["libraries"]
    for case, row in verdict["cases"].items():
        lines.append(f"{case} ({row['unit']}): {row['about']}")
        width = max(map(len, names))
        for name in names:
            cell = row["libraries"][name]
            if "errors" in cell:
                lines.append(f"  {name:<{width}}  failed: {cell['errors'][0]}")
                continue
            line = (f"  {name:<{width}}  {number(cell['median']):>8} +-{cell['spread']:4.0%}"
                    f"  {megabytes(cell['peak_rss_bytes']):>8} MB"
                    f"  {number(cell['faults'] or 0):>7} faults"
                    f"  {number(cell['switches'] or 0):>7} switches")
            for mine in verdict["ours"]:
                ratio = row["ratios"][mine].get(name)
                if ratio:
                    line += f"  {mine} is {interval(ratio['speed'])}"
            for key, value in cell["also"].items():
                if value is not None:
                    shown = megabytes(value) + " MB" if "rss" in key else f"{value:.3g}"
                    line += f"  {key} {shown}"
            lines.append(line)
    for mine, means in verdict["means"].items():
        lines.append(f"geometric mean of {mine}: speed (above 1 is faster), peak RSS (below 1 is "
                     "leaner)")
        for peer, mean in means.items():
            lines.append(f"  against {peer}: {interval(mean['speed'])}, RSS "
                         f"{interval(mean['rss'])}, {mean['rows']} rows")
    return "\n".join(lines)
