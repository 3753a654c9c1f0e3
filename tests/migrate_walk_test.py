#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests/migrate_walk_test.py - hakmem rollout on living processes: every way in which it ends, and what it leaves behind
#
# Nothing here waits for a time to pass: what should come is asked for until it comes, or for 30 s.

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 30
HAKMEM = os.path.join(os.environ["top_builddir"], "hakmem")
TESTS = os.path.join(os.environ["top_builddir"], "tests")
LIBRARY = os.environ["HAKMEM_LIB"]

for name in ("HAKMEM_PLAN", "HAKMEM_PLAN_FILE", "HAKMEM_CONTROL", "HAKMEM_GUARD", "LD_PRELOAD"):
    os.environ.pop(name, None)
work = tempfile.mkdtemp()
os.environ["XDG_RUNTIME_DIR"] = work

# What lets a step pass whatever the machine is doing: this is about walking, not about judging.
LENIENT = ["--max-latency", "1000000", "--max-held", "0", "--min-samples", "20", "--patience", "0",
           "--interval", "0.05"]
QUICK = ["--steps", "50%,100%", "--hold", "100ms", *LENIENT]


def run(*arguments):
    return subprocess.run([HAKMEM, *map(str, arguments)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)


def comes(what, why):
    limit = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < limit, f"{why} did not come"


class Target:
    """A process with twelve threads that allocate in the mid band, or one that does nothing."""

    def __init__(self, idle=False, plan=""):
        command = [os.path.join(TESTS, "migrate_owner"), "-"] if idle else \
            [os.path.join(TESTS, "migrate_load"), "12", "1100", "30000"]
        environment = {**os.environ, "LD_PRELOAD": LIBRARY, "HAKMEM_CONTROL": "1", "HAKMEM_PLAN": plan}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env=environment)
        self.pid = self.process.pid
        comes(lambda: run("status", self.pid, "-i", "0").returncode == 0, "a control page")

    def status(self):
        done = run("status", self.pid, "-i", "0", "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def mid(self):
        """The classes of the mid band."""
        return [row for row in self.status()["classes"] if 1024 < (row["max_bytes"] or 0) <= 32768]

    def live_plan(self):
        return self.status()["plans"]["live"]["plan"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()


class Walk:
    """A rollout that goes on while the test does something else."""

    def __init__(self, target, *arguments):
        self.errors = open(os.path.join(work, "errors"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [HAKMEM, "rollout", str(target.pid), "--classes", "mid", "--json", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def said(self):
        self.errors.flush()
        with open(self.errors.name, encoding="utf-8") as file:
            return file.read()

    def says(self, pattern):
        comes(lambda: re.search(pattern, self.said()) or self.process.poll() is not None, f"/{pattern}/")
        assert re.search(pattern, self.said()), self.said()

    def end(self):
        output = self.process.communicate(timeout=PATIENCE)[0]
        self.errors.close()
        return self.process.returncode, json.loads(output)


def what_a_plan_would_strand():
    with Target() as target:
        comes(lambda: sum(row["old_live_blocks"] for row in target.mid()) > 0, "blocks in legacy")
        done = run("route", target.pid, "--dry-run", "mid=next")
        assert re.search(r"(?m)^1025 to 32k +legacy -> next; stays behind in legacy: "
                         r"[0-9.]+ MiB in [0-9]+ blocks, which pin \d+ pages and (up to )?\d+ segments?, "
                         r"[0-9.]+ MiB$", done.stdout), done
        moves = json.loads(run("route", target.pid, "--dry-run", "--json", "mid=next").stdout)
        assert len(moves) == len(target.mid()), moves
        for move in moves:
            # A page is 64 KiB, and there are at most 64 in a segment.
            pages, segments = move["stays_behind_pinned_pages"], move["stays_behind_pinned_segments"]
            assert move["stays_behind_pinned_bytes"] == pages * 65536 and segments <= pages <= 64 * segments, move
        # 3k shares legacy's class of 4 KiB with larger ones.
        done = run("route", target.pid, "--dry-run", "3k=next@25%:thread")
        assert re.search(r"(?m)^2817 to 3k +legacy -> next for a share; stays behind in legacy: up to ", done.stdout), done
        assert all(row["state"] == "old" for row in target.mid()), "a dry run changes nothing"
        # And once it is done, the status says the same: some of them live for ever.
        assert run("route", target.pid, "mid=next").returncode == 0
        shown = run("status", target.pid, "-i", "0").stdout
        assert re.search(r"(?m)^draining +[0-9.]+ (MiB|KiB|B) in \d+ blocks left in legacy, which pin \d+ pages? and "
                         r"(up to )?\d+ segments?, [0-9.]+ (MiB|KiB)$", shown), shown
        assert re.search(r"(?m)^ +they are at least \d+ s old", shown), shown
        # The other way round: what is left in next after a rollback.
        comes(lambda: sum(row["next_live_blocks"] for row in target.mid()) > 0, "blocks in next")
        done = run("route", target.pid, "--dry-run", "mid=old")
        assert re.search(r"(?m)^1025 to 32k +next -> legacy; stays behind in next: [0-9.]+ (MiB|KiB|B) in \d+ blocks?, "
                         r"which pins? \d+ pages? and (up to )?\d+ segments?, [0-9.]+ (MiB|KiB)$", done.stdout), done


def promoted():
    with Target(plan="tiny=next") as target:
        assert run("route", target.pid, "large=next,\t4k=old").returncode == 0
        code, report = Walk(target, *QUICK).end()
        assert (code, report["verdict"], report["rolled_back"]) == (0, "promoted", False), report
        assert [step["share_pct"] for step in report["steps"]] == [50, 100]
        first, last = report["steps"]
        assert first["outcome"] == last["outcome"] == "go"
        assert first["canary_samples"] >= 20 and first["old_samples"] >= 20
        assert first["canary_ns"] > 0 and first["old_ns"] > 0
        assert first["ratio_low"] <= first["canary_ns"] / first["old_ns"] <= (first["ratio_high"] or 1e300), first
        assert all(step["seconds"] >= 0.1 for step in report["steps"])
        assert report["seconds"] >= sum(step["seconds"] for step in report["steps"]) * 0.9
        # What the live plan said before stands before it, as it was, though a tab is not shown as one.
        assert target.live_plan() == "large=next,?4k=old, mid=next"
        assert all(row["state"] == "next" for row in target.mid())


def the_report_for_people():
    with Target() as target:
        done = run("rollout", target.pid, "--classes", "2k-8k,16k", *QUICK)
        assert done.returncode == 0, done
        assert re.search(r"(?m)^ +50% +[0-9.]+ +go ", done.stdout), done.stdout
        assert re.search(r"(?m)^ +100% +[0-9.]+ +go ", done.stdout), done.stdout
        assert "promoted" in done.stdout and "\033" not in done.stdout
        assert "at 50% after" in done.stderr and "\033" not in done.stderr
        assert target.live_plan() == "2k-8k=next,16k=next"
        again = run("rollout", target.pid, "--classes", "mid", *QUICK)
        assert again.returncode == 4 and "next's already" in again.stderr, again
        assert target.live_plan() == "2k-8k=next,16k=next"
        assert run("route", target.pid, "--clear").returncode == 0
        quiet = run("rollout", target.pid, "--classes", "mid", "--quiet", *QUICK)
        assert quiet.returncode == 0 and not quiet.stderr, quiet


def rolled_back_by_what_is_compared():
    with Target() as target:
        assert run("route", target.pid, "tiny=next").returncode == 0
        code, report = Walk(target, *QUICK, "--max-latency", "0.0001").end()
        assert (code, report["verdict"], report["rolled_back"]) == (10, "rolled back", True), report
        assert report["steps"][-1]["latency"] == "roll back" and report["steps"][-1]["ratio_low"] > 0.0001
        assert all(row["state"] == "old" and row["latched"] for row in target.mid())
        assert target.live_plan() == "tiny=next"
        # As it is now, another one is refused.
        done = run("rollout", target.pid, "--classes", "mid", *QUICK)
        assert done.returncode == 4 and "latched" in done.stderr, done


def rolled_back_by_somebody_else():
    with Target() as target:
        walk = Walk(target, *QUICK, "--hold", "1h")
        walk.says("at 50%.*go")
        assert run("rollback", target.pid, "4k").returncode == 0
        code, report = walk.end()
        assert (code, report["verdict"]) == (10, "rolled back"), report
        assert report["steps"][-1]["why"] == "a class was rolled back"
        assert all(row["latched"] for row in target.mid())


def held_without_enough_to_go_by():
    with Target() as target:
        lasting = ["--min-samples", "1e12", "--patience", "300ms"]
        code, report = Walk(target, *QUICK, *lasting).end()
        assert (code, report["verdict"], report["rolled_back"]) == (11, "held", False), report
        assert len(report["steps"]) == 1 and report["steps"][0]["outcome"] == "hold"
        assert all(row["state"] == "canary" and not row["latched"] for row in target.mid())
        code, report = Walk(target, *QUICK, *lasting, "--on-patience", "rollback").end()
        assert (code, report["verdict"], report["rolled_back"]) == (11, "held", True), report
        assert all(row["latched"] for row in target.mid())
    # Nobody allocates, so nothing is known: no promotion, however lenient the limits.
    with Target(idle=True) as target:
        code, report = Walk(target, *QUICK, "--min-samples", "1", "--patience", "300ms").end()
        assert (code, report["verdict"]) == (11, "held"), report
        assert "no sample" in report["steps"][0]["why"], report


def interrupted():
    with Target() as target:
        for number in (signal.SIGINT, signal.SIGTERM):
            walk = Walk(target, *QUICK, "--hold", "1h")
            walk.says("at 50%")
            walk.process.send_signal(number)
            code, report = walk.end()
            assert (code, report["verdict"], report["rolled_back"]) == (12, "interrupted", True), report
            assert all(row["latched"] for row in target.mid())
            assert not target.live_plan()
            assert run("unlatch", target.pid, "--all").returncode == 0
        walk = Walk(target, *QUICK, "--hold", "1h", "--on-interrupt", "leave")
        walk.says("at 50%.*go")
        # What it goes by is seen from outside as well.
        shown = run("status", target.pid, "-i", "0").stdout
        assert re.search(r"(?m)^latency +[0-9]+ class(es)? timed; .* does worst: p99 .* times$", shown), shown
        walk.process.send_signal(signal.SIGINT)
        code, report = walk.end()
        assert (code, report["verdict"], report["rolled_back"]) == (12, "interrupted", False), report
        assert all(row["state"] == "canary" and not row["latched"] for row in target.mid())
        assert target.live_plan() == "mid=next@50%:thread/control"


def the_process_ends_meanwhile():
    for how in ("exit", "kill"):
        with Target() as target:
            walk = Walk(target, *QUICK, "--hold", "1h")
            walk.says("at 50%")
            if how == "exit":
                target.end()
            else:
                target.process.kill()
                target.process.wait()
            code, report = walk.end()
            assert (code, report["verdict"]) == (13, "process ended"), report


def overruled_by_another_plan():
    with Target() as target:
        walk = Walk(target, *QUICK, "--hold", "1h")
        walk.says("at 50%")
        assert run("route", target.pid, "tiny=next").returncode == 0
        code, report = walk.end()
        assert (code, report["verdict"]) == (11, "overruled"), report
        assert target.live_plan() == "tiny=next", "what came last is left alone"


def a_process_that_does_not_answer_is_not_promoted():
    # At the last step as well, where nothing is compared any more.
    for steps in ("50%,100%", "100%"):
        with Target() as target:
            step = steps.split(",", maxsplit=1)[0]
            walk = Walk(target, *QUICK, "--steps", steps, "--hold", "3s")
            walk.says(f"at {step}")
            os.kill(target.pid, signal.SIGSTOP)
            walk.says(f"at {step} .*: hold, the process does not answer")
            assert walk.process.poll() is None
            os.kill(target.pid, signal.SIGCONT)
            code, report = walk.end()
            assert (code, report["verdict"]) == (0, "promoted"), report


def the_kill_switch_ends_it():
    with Target() as target:
        walk = Walk(target, *QUICK, "--hold", "1h")
        walk.says("at 50%")
        assert run("kill-switch", target.pid).returncode == 0
        code, report = walk.end()
        assert (code, report["verdict"]) == (10, "rolled back"), report
        done = run("rollout", target.pid, "--classes", "mid", *QUICK)
        assert done.returncode == 4 and "kill switch" in done.stderr, done


def wrong_command_lines():
    with Target(idle=True) as target:
        pid = str(target.pid)
        for arguments, code, words in (
                ([], 2, "which process"),
                ([pid], 2, "--classes: which ones"),
                (["x", "--classes", "mid"], 2, "no process id"),
                ([pid, "1", "--classes", "mid"], 2, "nothing to do with"),
                ([pid, "--classes", "midd"], 2, "no such selector"),
                ([pid, "--classes", ""], 2, "empty"),
                ([pid, "--classes", "mid", "--steps", "5%,1%"], 2, "larger than the one before"),
                ([pid, "--classes", "mid", "--steps", "101%"], 2, "percentage"),
                ([pid, "--classes", "mid", "--hold", "soon"], 2, "no time: soon"),
                ([pid, "--classes", "mid", "--hold", "-1s"], 2, "no time: -1s"),
                ([pid, "--classes", "mid", "--hold", "nan"], 2, "no time: nan"),
                ([pid, "--classes", "mid", "--interval", "60"], 2, "interval"),
                ([pid, "--classes", "mid", "--alpha", "2"], 2, "alpha"),
                ([pid, "--classes", "mid", "--on-interrupt", "shrug"], 2, "leave or rollback"),
                (["999999999", "--classes", "mid"], 3, "no such process"),
                ([str(os.getpid()), "--classes", "mid"], 3, "no control page")):
            done = run("rollout", *arguments)
            assert done.returncode == code and words in done.stderr, (arguments, done)
            assert not done.stdout, done
        assert "--on-interrupt" in run("rollout", "--help").stdout
        # Nothing of this changed anything.
        assert all(row["state"] == "old" for row in target.status()["classes"])
        # A reader of the report that is not there.
        done = subprocess.run(f"exec '{HAKMEM}' rollout {pid} --classes mid --patience 100ms --hold 50ms "
                              "--interval 0.05 >/dev/full", shell=True, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1 and b"cannot write" in done.stderr, done


def main():
    symbols = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True)
    if not re.search(r" malloc$", symbols.stdout, re.M):
        print("skipped: built for a sanitizer: there is no malloc to preload")
        return 77
    failures = 0
    for test in (what_a_plan_would_strand, promoted, the_report_for_people, rolled_back_by_what_is_compared, rolled_back_by_somebody_else,
                 held_without_enough_to_go_by, interrupted, the_process_ends_meanwhile, overruled_by_another_plan,
                 a_process_that_does_not_answer_is_not_promoted, the_kill_switch_ends_it, wrong_command_lines):
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        try:
            test()
            print(f"ok      {test.__name__}")
        except AssertionError as error:
            print(f"FAILED  {test.__name__}: {error} (line {error.__traceback__.tb_next.tb_lineno})")
            failures += 1
    return failures > 0


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
