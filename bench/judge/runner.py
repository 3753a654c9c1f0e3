# SPDX-License-Identifier: MIT
"""bench/judge/runner.py - one run after the other, interleaved, remembered in a file

Round by round, workload by workload, every library once: A B C A B C, beginning one library later
in each round. Round 0 warms up and does not count. Each run is appended to runs.jsonl when it has
ended, so that a run of an hour that was interrupted goes on where it stopped.
"""
import json
import mmap
import os
import signal
import subprocess
import tempfile
import time

from judge import libraries

RUN_TIMEOUT_S = 120


def warm_memory(most=3 << 30):
    """Touch memory once: a virtual machine gets each page from its host at the first touch."""
    available = 0
    with open("/proc/meminfo", encoding="ascii") as info:
        for line in info:
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) << 10
    size = min(most, available // 2) & ~(mmap.PAGESIZE - 1)
    if size:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0x8000)
        mmap.mmap(-1, size, flags=flags).close()


def run_once(program, arguments, library):
    """Run a workload on a library; give its result line with what the kernel counted, or error."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen([program] + arguments, env=library.environment(),
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=complaints)
        usage, status = _wait(child)
        out.seek(0)
        complaints.seek(0)
        lines = out.read().decode("utf-8", "replace").splitlines()
        words = complaints.read().decode("utf-8", "replace").strip().splitlines()
    if status is None:
        return {"error": f"still running after {RUN_TIMEOUT_S} s"}
    if status or not lines:
        why = words[0] if words else f"it ended with status {status}"
        return {"error": why}
    try:
        result = json.loads(lines[-1])
    except ValueError:
        return {"error": "its result line cannot be read"}
    problem = libraries.came_from(library, result)
    if problem:
        return {"error": problem}
    # children included, as in startup; memory comes from the program's own VmHWM, for the kernel's
    # ru_maxrss starts at what the parent, this script, had at the fork
    result["faults"] = usage.ru_minflt + usage.ru_majflt
    result["switches"] = usage.ru_nvcsw + usage.ru_nivcsw
    result["cpu_s"] = usage.ru_utime + usage.ru_stime
    if words:
        result["said"] = words[0]
    return result


def _wait(child):
    """wait4 with a timeout: (usage, status), status None when it had to be killed."""
    deadline = time.monotonic() + RUN_TIMEOUT_S
    pause = 0.002
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage, child.returncode
        if time.monotonic() > deadline:
            child.send_signal(signal.SIGKILL)
            _, _, usage = os.wait4(child.pid, 0)
            child.returncode = -signal.SIGKILL
            return usage, None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


class Journal:
    """runs.jsonl: a first line that says what is compared, then a line for each run."""

    def __init__(self, path, subject, fresh):
        self.path = path
        self.runs = {}
        self.elapsed = 0.0
        if not fresh and os.path.exists(path):
            self._read(subject)
        if not self.runs:
            with open(path, "w", encoding="utf-8") as out:
                out.write(json.dumps(subject) + "\n")

    def _read(self, subject):
        with open(self.path, encoding="utf-8") as lines:
            try:
                if json.loads(next(lines)) != subject:
                    return
                for line in lines:
                    self._note(json.loads(line))
            except (StopIteration, ValueError):
                pass  # the last line of an interrupted run

    def _note(self, entry):
        self.runs[entry["case"], entry["library"], entry["round"]] = entry["result"]
        self.elapsed += entry["took"]

    def has(self, case, library, number):
        return (case, library, number) in self.runs

    def add(self, case, library, number, took, result):
        entry = {"case": case, "library": library, "round": number, "took": round(took, 3),
                 "result": result}
        self._note(entry)
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")


class Variant:
    """A library in a table, with what is added to the workload's options (the planted slowdown)."""

    def __init__(self, library, name=None, extra=()):
        self.library = library
        self.name = name or library.name
        self.extra = list(extra)


def run_round(journal, cases, variants, number, say):
    """Whatever of one round is not in the journal yet. `cases` are (name, program, arguments)."""
    for name, program, arguments in cases:
        for place in range(len(variants)):
            variant = variants[(place + number) % len(variants)]
            if journal.has(name, variant.name, number):
                continue
            begin = time.monotonic()
            result = run_once(program, arguments + variant.extra, variant.library)
            journal.add(name, variant.name, number, time.monotonic() - begin, result)
            say(number, name, variant.name, result)


def run_all(journal, cases, variants, rounds, budget_s, least_rounds, say):
    """Rounds 0 (warm-up) to `rounds`, or as many as fit into the budget, but `least_rounds`.

    Gives the number of the last round that is complete.
    """
    number = 0
    while True:
        before = journal.elapsed
        run_round(journal, cases, variants, number, say)
        took = max(journal.elapsed - before, journal.elapsed / (number + 1))
        if rounds is not None:
            if number >= rounds:
                return number
        elif number >= least_rounds and journal.elapsed + took > budget_s:
            return number
        number += 1
