#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests/migrate_top_test.py - hakmem top on a terminal of its own: what it shows, its keys, and how it leaves the terminal
#
# Nothing here waits for a time to pass: what should come is asked for until it comes, or for 30 s.

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests"))

from terminal import PATIENCE, Terminal  # noqa: E402

HAKMEM = os.path.join(os.environ["top_builddir"], "hakmem")
OWNER = os.path.join(os.environ["top_builddir"], "tests", "migrate_owner")
LIBRARY = os.environ["HAKMEM_LIB"]
PLAN = "tiny=next, mid=next@25%:thread/control"

for name in ("HAKMEM_PLAN", "HAKMEM_PLAN_FILE", "HAKMEM_CONTROL", "HAKMEM_GUARD", "LD_PRELOAD", "NO_COLOR",
             "LINES", "COLUMNS"):
    os.environ.pop(name, None)
os.environ["LC_ALL"] = "C.UTF-8"
work = tempfile.mkdtemp()
os.environ["XDG_RUNTIME_DIR"] = work


class Target:
    """A process to look at, which allocates nothing unless it is asked to."""

    def __init__(self, plan=PLAN):
        environment = {**os.environ, "LD_PRELOAD": LIBRARY, "HAKMEM_CONTROL": "1", "HAKMEM_PLAN": plan}
        self.process = subprocess.Popen([OWNER, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=environment)
        self.pid = self.process.pid
        limit = time.monotonic() + PATIENCE
        while run("status", str(self.pid), "-i", "0").returncode != 0:
            assert time.monotonic() < limit, "no control page"

    def said(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()


def run(*arguments, **options):
    return subprocess.run([HAKMEM, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, **options)


def top(target, *arguments, **options):
    return Terminal([HAKMEM, "top", str(target.pid), "-i", "0.1", *arguments], **options)


def finish(terminal, key="q"):
    if key:
        terminal.press(key)
    status = terminal.end()
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert terminal.is_restored(), "the terminal is not as it was"
    terminal.close()


def selected(terminal):
    """The row that is shown reversed."""
    for y, row in enumerate(terminal.screen.cells):
        if all(cell[4] for cell in row[:4]):
            return terminal.screen.row(y)
    return ""


# ------------------------------------------------------------------------------------------- the tests

def what_it_shows(target):
    terminal = top(target, lines=140)
    terminal.shows(r"migrate_owner \(%d\)  up .*resident, \d+ threads?, hakmem" % target.pid)
    terminal.shows(re.escape(f"HAKMEM_PLAN {PLAN}"))
    terminal.shows(r"(?m)^next +[1-9]")
    terminal.shows(r"(?m)^legacy +")
    terminal.shows(r"(?m)^sizes +state .*is +live")
    terminal.press("g")
    terminal.shows(r"(?m)^1 to 1k +next +all +[1-9]")
    terminal.shows(r"(?m)^1025 to 32k +canary +25%:thread/control ")
    terminal.shows(r"(?m)^32769 and more +old ")
    assert terminal.screen.colours(), "no colour on a terminal that has them"
    terminal.press("a")
    terminal.shows(r"(?m)^3841 to 4k +canary")
    terminal.press("?")
    terminal.shows("unlatch the chosen classes")
    terminal.press("?")
    terminal.shows("r roll back")
    finish(terminal)


def mallocs_are_counted_as_they_come(target):
    terminal = top(target)
    terminal.press("g")
    terminal.shows("(?m)^1 to 1k +next ")
    def counted():
        for _ in range(100):
            target.said("64 64 64 64")
        row = re.search(r"(?m)^1 to 1k +next +all +\S+ \S+ +\d+ +(\S+)", terminal.screen.text())
        return row and row.group(1) not in "-?"
    terminal.until(counted, "a rate")
    finish(terminal)


def rolled_back_and_unlatched_by_keys(target):
    terminal = top(target, lines=40, columns=160)
    terminal.press("g")
    terminal.shows("(?m)^1 to 1k")
    terminal.until(lambda: selected(terminal).startswith("1 to 1k"))
    terminal.press("j")
    terminal.until(lambda: selected(terminal).startswith("1025 to 32k"))
    terminal.press("r")
    terminal.shows(r"roll back 1025 to 32k\? y/n")
    terminal.press("n")
    terminal.until(lambda: "y/n" not in terminal.screen.text())
    terminal.shows("1025 to 32k +canary")
    terminal.press("r")
    terminal.shows("y/n")
    terminal.press("y")
    terminal.shows("rolled back and latched; [1-9][0-9]* classes flipped in")
    terminal.shows("1025 to 32k +latched .*latched: asked for by the command")
    assert target.said("4096 64") == "4096=legacy 64=next"
    terminal.press("u")
    terminal.shows(r"unlatch 1025 to 32k\? y/n")
    terminal.press("y")
    terminal.shows("1025 to 32k +canary")
    terminal.press("R")
    terminal.shows("roll back everything")
    terminal.press("y")
    terminal.shows("1 to 1k +latched")
    assert target.said("64") == "64=system"
    assert run("unlatch", str(target.pid), "--all").returncode == 0
    terminal.shows("1 to 1k +next")
    terminal.press("K")
    terminal.shows(r"kill switch\? y/n")
    terminal.press("y")
    terminal.shows("kill switch on: everything is old")
    assert target.said("64") == "64=system"
    terminal.press("K")
    terminal.shows(r"kill switch off\? y/n")
    terminal.press("y")
    terminal.shows("1 to 1k +next")
    finish(terminal)


def another_size(target):
    terminal = top(target, columns=160, lines=40)
    terminal.press("g")
    terminal.shows("(?m)^sizes.*waste.*why")
    for columns, lines in ((80, 24), (40, 10), (10, 3), (1, 1), (300, 100), (80, 24)):
        terminal.resize(columns, lines)
        if columns >= 80:
            terminal.shows(r"(?m)^1 to 1k +next")
            terminal.shows("(?m)^sizes +state")
        elif lines > 1:
            terminal.shows(re.escape(f"migrate_owner ({target.pid})"[:columns]))
        else:
            terminal.shows("^r") # of the keys
        text = terminal.screen.text()
        assert all(len(row) <= columns for row in text.split("\n")), text
    assert "waste" not in terminal.screen.text(), "what matters least goes first"
    finish(terminal)


def no_colour_where_none_is_wanted(target):
    for environment in ({"NO_COLOR": "1"}, {"TERM": "vt100"}):
        terminal = top(target, environment=environment)
        terminal.press("g")
        terminal.shows("(?m)^1 to 1k")
        assert not terminal.screen.colours(), environment
        finish(terminal)
    terminal = top(target, environment={"NO_COLOR": ""})
    terminal.press("g")
    terminal.shows("(?m)^1 to 1k")
    assert terminal.screen.colours(), "NO_COLOR is empty: that is no wish"
    finish(terminal)


def given_back_whatever_ends_it(target):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        terminal = top(target)
        terminal.shows("r roll back")
        terminal.signal(number)
        finish(terminal, key=None)
    terminal = top(target)
    terminal.shows("r roll back")
    terminal.press("\x03")  # by the terminal's own ^C
    finish(terminal, key=None)
    # A mistake of its own: the status is that of the signal, the terminal as it was.
    for number in (signal.SIGSEGV, signal.SIGABRT):
        terminal = top(target)
        terminal.shows("r roll back")
        terminal.signal(number)
        status = terminal.end()
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, status
        assert terminal.is_restored(), f"signal {number} leaves the terminal broken"
        terminal.close()


def stopped_and_continued(target):
    terminal = top(target)
    terminal.shows("r roll back")
    terminal.signal(signal.SIGTSTP)
    terminal.until(terminal.is_restored, "the terminal while it is stopped")
    terminal.signal(signal.SIGCONT)
    terminal.until(lambda: not terminal.is_restored(), "the terminal taken again")
    terminal.press("g")
    terminal.shows("(?m)^1 to 1k")
    finish(terminal)


def a_slow_terminal_gets_fewer_pictures(target):
    terminal = top(target, columns=120, lines=50)
    terminal.shows("r roll back")
    terminal.press("g")
    # 50 bytes at a time, and each time the classes change, so that the picture always differs.
    limit = time.monotonic() + PATIENCE
    for _ in range(200):
        target.said("64 128 4096")
        terminal.read(0.01, 50)
        assert time.monotonic() < limit
    # It is not far behind: the key is answered within what two pictures are long.
    before = len(terminal.output)
    terminal.press("?")
    while "unlatch the chosen" not in terminal.screen.text():
        terminal.read(0.01, 50)
        assert len(terminal.output) - before < 4 * 120 * 50 and time.monotonic() < limit
    finish(terminal)


def a_terminal_that_goes_away(target):
    terminal = top(target)
    terminal.shows("r roll back")
    os.close(terminal.slave)
    os.close(terminal.master)
    limit = time.monotonic() + PATIENCE
    while terminal.poll() is None:
        assert time.monotonic() < limit, "it lives on without a terminal"
        time.sleep(0.01)


def a_process_that_does_not_answer(target):
    terminal = top(target)
    terminal.press("g")
    terminal.shows("(?m)^1 to 1k")
    os.kill(target.pid, signal.SIGSTOP)
    terminal.shows("no answer")
    terminal.press("?")
    terminal.shows("unlatch the chosen")  # keys go on working
    terminal.press("?")
    os.kill(target.pid, signal.SIGCONT)
    terminal.until(lambda: "no answer" not in terminal.screen.text(), "an answer")
    finish(terminal)


def a_process_that_ends(_):
    for end in ("exit", "kill"):
        target = Target()
        terminal = top(target)
        terminal.shows("r roll back")
        if end == "exit":
            target.end()
        else:
            target.process.kill()
            target.process.wait()
        finish(terminal, key=None)
        assert f"({target.pid}) has ended" in terminal.screen.text(), terminal.screen.text()


def refused_in_one_line(target):
    for arguments, status, words in (
            ([str(target.pid)], 1, "needs a terminal"),
            ([], 2, "which process"),
            (["x"], 2, "no process id"),
            (["1", "2"], 2, "nothing to do with"),
            ([str(target.pid), "-i", "0"], 2, "interval"),
            (["999999999"], 3, "no such process"),
            ([str(os.getpid())], 3, "no control page")):
        done = run("top", *arguments)
        assert done.returncode == status, (arguments, done)
        assert words in done.stderr and not done.stdout, (arguments, done)
        assert status == 2 or done.stderr.count("\n") == 1, done
    for name, words in (("", "TERM is not set"), ("no-such-terminal", "is TERM right"),
                        ("dumb", "cannot place its cursor")):
        terminal = top(target, environment={"TERM": name})
        status = os.waitstatus_to_exitcode(terminal.end())
        assert status == 1 and words.encode() in terminal.output, (name, status, terminal.output)
        assert terminal.output.count(b"\n") == 1, terminal.output
        assert terminal.is_restored()
        terminal.close()
    assert "--interval" in run("top", "--help").stdout


def main():
    if run("top", "1").stderr.find("built without ncurses") >= 0:
        print("skipped: built without ncurses")
        return 77
    symbols = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True)
    if not re.search(r" malloc$", symbols.stdout, re.M):
        print("skipped: built for a sanitizer: there is no malloc to preload")
        return 77
    failures = 0
    target = Target()
    for test in (what_it_shows, mallocs_are_counted_as_they_come, rolled_back_and_unlatched_by_keys,
                 another_size, no_colour_where_none_is_wanted, given_back_whatever_ends_it,
                 stopped_and_continued, a_slow_terminal_gets_fewer_pictures, a_terminal_that_goes_away,
                 a_process_that_does_not_answer, a_process_that_ends, refused_in_one_line):
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        try:
            test(target)
            print(f"ok      {test.__name__}")
        except AssertionError as error:
            print(f"FAILED  {test.__name__}: {error} (line {error.__traceback__.tb_next.tb_lineno})")
            failures += 1
    target.end()
    return failures > 0


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
