# SPDX-License-Identifier: MIT
"""bench/judge/runner.py - one run after the other, interleaved, remembered in a file

Round by round, workload by workload, every library once: A B C A B C, beginning one library later
in every second round and backwards in the others, so that no library always comes after the same
other one. Round 0 warms up and does not count. Each run is appended to runs.jsonl when it has ended,
so that a run of an hour that was interrupted goes on where it stopped. What failed once is not run
again: the row is lost for that library, and a program that hangs would eat the time of all others.
"""
import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from judge import libraries

RUN_TIMEOUT_S = 60

# A row as it is run. `ours_only` is environment for hakmem's columns alone.
Row = collections.namedtuple("Row", "name program arguments ours_only", defaults=(None,))


def run_once(row, extra, library):
    """Run a row on a library; give its result line with what the kernel counted, or an error.

    `extra` is added to the row's options.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        with _signals_wait():
            child = subprocess.Popen([row.program] + row.arguments + extra,
                                     env=library.environment(row.ours_only),
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=complaints)
            usage, status = _wait(child)
        out.seek(0)
        complaints.seek(0)
        lines = out.read().decode("utf-8", "replace").splitlines()
        words = complaints.read().decode("utf-8", "replace").strip().splitlines()
    if status is None:
        return {"error": f"still running after {RUN_TIMEOUT_S} s"}
    if status or not lines:
        why = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        if words:
            why += f": {words[0]}"
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


# The signal that came while a program ran, or None; whether one runs.
_pending = None
_running = False


def end_on_signals():
    """SIGTERM, SIGHUP and SIGINT end the script, and with it the program that it runs."""
    def end(number, _):
        global _pending
        if not _running:
            sys.exit(128 + number)
        _pending = number
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)


@contextlib.contextmanager
def _signals_wait():
    """From before a program is started until it is gone, a signal ends it first: see _wait()."""
    global _running
    _running = True
    try:
        yield
    finally:
        _running = False
    if _pending:
        sys.exit(128 + _pending)


def _wait(child):
    """wait4 with a timeout: (usage, status), status None when it had to be killed."""
    deadline = time.monotonic() + RUN_TIMEOUT_S
    pause = 0.002
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage, child.returncode
        if time.monotonic() > deadline or _pending:
            child.send_signal(signal.SIGKILL)
            _, _, usage = os.wait4(child.pid, 0)
            child.returncode = -signal.SIGKILL
            return usage, None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


class Journal:
    """runs.jsonl: a first line that says what is compared, then a line for each run.

    `fresh` forgets what is there. `outdated` is true when what is there was of another subject.
    """

    def __init__(self, path, subject, fresh):
        self.path = path
        self.runs = {}
        self.failed = set()
        self.elapsed = 0.0
        self.outdated = False
        whole = 0 if fresh or not os.path.exists(path) else self._read(subject)
        if whole:
            # half a line, of a run that was killed while it wrote, would spoil the next one
            os.truncate(path, whole)
        else:
            with open(path, "w", encoding="utf-8") as out:
                out.write(json.dumps(subject) + "\n")

    def _read(self, subject):
        """Take what can be read; give the bytes that it stands in, 0 for another subject."""
        with open(self.path, "rb") as lines:
            first = lines.readline()
            try:
                if json.loads(first) != subject:
                    self.outdated = True
                    return 0
            except ValueError:
                return 0
            whole = len(first)
            for line in lines:
                try:
                    self._note(json.loads(line))
                except (ValueError, KeyError):
                    break
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
        return whole

    def _note(self, entry):
        self.runs[entry["case"], entry["library"], entry["round"]] = entry["result"]
        self.elapsed += entry["took"]
        if "error" in entry["result"]:
            self.failed.add((entry["case"], entry["library"]))

    def wants(self, case, library, number):
        return (case, library, number) not in self.runs and (case, library) not in self.failed

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


def subject_of(variants, rows):
    """What is compared, precisely enough that a changed file does not mix with its old runs."""
    def stamp(path):
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]
    columns = {variant.name: [variant.library.describe()] +
               (stamp(variant.library.path) if variant.library.path else [])
               for variant in variants}
    return {"libraries": columns,
            "rows": [[row.name, stamp(row.program), row.arguments, row.ours_only] for row in rows]}


def order_of(variants, number):
    """The order of a round: every second one is the one before backwards."""
    first = number // 2 % len(variants)
    order = variants[first:] + variants[:first]
    return order[::-1] if number % 2 else order


def run_round(journal, rows, variants, number, say):
    """Whatever of one round is not in the journal yet."""
    for row in rows:
        for variant in order_of(variants, number):
            if not journal.wants(row.name, variant.name, number):
                continue
            begin = time.monotonic()
            result = run_once(row, variant.extra, variant.library)
            journal.add(row.name, variant.name, number, time.monotonic() - begin, result)
            say(number, row.name, variant.name, result)


def run_all(journal, rows, variants, rounds, budget_s, least_rounds, say):
    """Rounds 0 (warm-up) to `rounds`, or as many as fit into the budget, but `least_rounds`.

    Gives the number of the last round that is complete.
    """
    number = 0
    while True:
        before = journal.elapsed
        run_round(journal, rows, variants, number, say)
        took = max(journal.elapsed - before, journal.elapsed / (number + 1))
        if rounds is not None:
            if number >= rounds:
                return number
        elif number >= least_rounds and journal.elapsed + took > budget_s:
            return number
        number += 1
