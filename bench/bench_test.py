#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/bench_test.py - the workloads measure what they say, and the judge survives what goes wrong

Run by make check, which sets top_builddir and HAKMEM_LIB; by hand it looks for them as the scripts do.
No test here depends on how fast anything is.
"""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from judge import libraries, machine, page, plots, runner, verdict, workloads  # noqa: E402

BUILD = os.environ.get("top_builddir") or os.path.join(os.path.dirname(HERE), "build")
PROGRAMS = os.path.join(os.path.abspath(BUILD), "bench")
HAKMEM = os.environ.get("HAKMEM_LIB") or os.path.join(os.path.abspath(BUILD), ".libs",
                                                      "libhakmem.so")


def configured(macro):
    """A number that configure wrote into config.h."""
    with open(os.path.join(BUILD, "config.h"), encoding="utf-8") as config:
        match = re.search(rf"^#define {macro} (\d+)", config.read(), re.MULTILINE)
    return int(match.group(1)) if match else 0


SANITIZED = configured("HAKMEM_SANITIZER") != 0
MIGRATION = configured("HAKMEM_MIGRATION") != 0


# Where a sanitizer's shadow memory is has to be free: see m4/hakmem.m4.
PREFIX = ["setarch", "-R"] if SANITIZED and shutil.which("setarch") else []


def run(program, *arguments, env=None):
    """Run a workload to its end and read its result line."""
    done = subprocess.run([*PREFIX, os.path.join(PROGRAMS, program), *arguments], env=env,
                          capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"{program} {' '.join(arguments)}: {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def hakmem(plan, **variables):
    return libraries.Library("hakmem", HAKMEM, {"HAKMEM_PLAN": plan, **variables}).environment()


# Options that make each program of a row short; the row's own come before.
BRIEF = {
    "larson": "--seconds 0.05 --warmup 0.02 --chunks 200 --rounds 2",
    "burst": "--seconds 0.03 --warmup 0 --count 100",
    "locality": "--seconds 0.02 --count 4000",
    "producer-consumer": "--seconds 0.03 --warmup 0.01",
    "free-only": "--blocks 64k",
    "remote": "--seconds 0.03 --warmup 0.01",
    "churn": "--ops 20k --live 4m",
    "thread-churn": "--threads 60",
    "realloc": "--seconds 0.03 --warmup 0",
    "calloc": "--seconds 0.03 --warmup 0",
    "startup": "--count 3",
    "return": "--bytes 8m --idle 0.1",
    "latency": "--seconds 0.1 --warmup 0.02",
}


class Workloads(unittest.TestCase):
    """Every row runs, and its result line has every field that the judge reads."""

    def brief(self, case, *more, env=None, key="ops"):
        """Where main only sleeps while others work, a busy machine may let them do nothing."""
        for _ in range(20):
            result = run(case.command[0], *case.command[1:], *BRIEF[case.command[0]].split(),
                         *more, env=env)
            if result[key]:
                break
        return result

    def test_every_row_of_the_table_runs_and_has_its_figures(self):
        for case in workloads.CASES:
            with self.subTest(case.name):
                result = self.brief(case)
                self.assertGreater(case.score(result), 0)
                self.assertGreater(result["ops"], 0)
                self.assertGreater(result[case.memory], 100 << 10)
                self.assertLess(result[case.memory], 1 << 30)
                for key, _ in case.also:
                    self.assertIn(key, result)
                if case.command[0] in ("churn", "free-only", "thread-churn", "return"):
                    self.assertGreaterEqual(len(result["series"]), 20)

    @unittest.skipIf(SANITIZED, "a sanitizer's build exports no malloc")
    def test_every_program_runs_on_both_pools(self):
        for case in workloads.CASES:
            if case.name in workloads.SELF_TEST or case.quick:
                for plan in ("all=next", "all=old") if MIGRATION else ("all=next",):
                    with self.subTest(case.name, plan=plan):
                        result = self.brief(case, env=hakmem(plan))
                        self.assertIn("hakmem", result)

    def test_peak_memory_is_the_program_s_own(self):
        little = run("larson", *BRIEF["larson"].split(), "--band", "tiny")
        # the parent's own peak must not be inherited, as the kernel's ru_maxrss is
        weight = bytearray(200 << 20)
        weight[::4096] = b"x" * len(weight[::4096])
        again = run("larson", *BRIEF["larson"].split(), "--band", "tiny")
        self.assertLess(little["peak_rss_bytes"], 60 << 20)
        self.assertLess(again["peak_rss_bytes"], 60 << 20)
        self.assertEqual(len(weight), 200 << 20)

    def test_larson_hands_over_within_the_time_measured(self):
        for case in workloads.CASES:
            if case.name in ("larson-tiny-4", "larson-mid-4", "larson-large-4"):
                with self.subTest(case.name):
                    result = self.brief(case, "--chunks", "50", "--rounds", "1",
                                        key="generations_timed")
                    self.assertGreater(result["generations_timed"], 0)

    def test_fragmentation_is_what_is_held_over_what_is_live(self):
        result = run("churn", "--ops", "50k", "--live", "8m", "--threads", "1")
        shares = [(rss - result["books_bytes"] - live) / live
                  for _, rss, live in result["series"]]
        self.assertAlmostEqual(result["fragmentation"], sum(shares) / len(shares), delta=1e-6)
        self.assertAlmostEqual(result["fragmentation_most"], max(shares), delta=1e-6)
        for _, _, live in result["series"]:
            self.assertAlmostEqual(live / (8 << 20), 1, delta=0.1)

    def test_percentiles_rise_and_the_floor_is_timed_too(self):
        result = run("latency", *BRIEF["latency"].split())
        for what in ("malloc", "free", "both", "nothing"):
            curve = [ns for _, ns in result[f"{what}_curve"]]
            self.assertEqual(curve, sorted(curve))
            self.assertGreater(curve[0], 0)
            self.assertLessEqual(result[f"{what}_p99_99_ns"], result[f"{what}_most_ns"] * 1.02)
        self.assertLess(result["nothing_p50_ns"], result["both_p99_ns"])

    def test_return_waits_as_long_as_it_says(self):
        result = run("return", "--bytes", "16m", "--idle", "0.4")
        moments = [at for at, _, _ in result["series"]]
        self.assertGreaterEqual(max(moments) - min(moments), 0.4)
        self.assertGreaterEqual(result["rss_peak"] - result["rss_before"], 15 << 20)

    @unittest.skipIf(SANITIZED, "a sanitizer's build has a malloc of its own")
    def test_locality_calls_malloc_from_sixteen_places(self):
        source = """
            #include <stddef.h>
            #include <stdio.h>
            #include <unistd.h>
            void *__libc_malloc(size_t size);
            static void *seen[64];
            static unsigned count;
            void *malloc(size_t size)
            {
                void *from = __builtin_return_address(0);
                unsigned i = 0;
                if (size == 40) {
                    while (i < count && seen[i] != from)
                        i++;
                    if (i == count && count < 64)
                        seen[count++] = from;
                }
                return __libc_malloc(size);
            }
            __attribute__((destructor)) static void tell(void)
            {
                char text[32];
                write(2, text, (size_t)snprintf(text, sizeof(text), "sites %u\\n", count));
            }
        """
        with tempfile.TemporaryDirectory() as work:
            library = os.path.join(work, "sites.so")
            subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-O1", "-w",
                            "-fno-builtin", "-x", "c", "-", "-o", library], input=source, text=True,
                           check=True)
            done = subprocess.run(
                [os.path.join(PROGRAMS, "locality"), "--count", "4000", "--min", "40", "--max",
                 "40", "--seconds", "0.01"], env={**os.environ, "LD_PRELOAD": library},
                capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "sites 16\n")

    def test_the_sharded_list_loses_no_node_and_repeats_none(self):
        for way in ("mutex", "cas", "cas-backoff"):
            result = run("mf1", "--way", way, "--threads", "16", "--seconds", "0.1")
            self.assertGreater(result["ops"], 0)

    def test_both_ways_find_every_page(self):
        for way in ("hash", "map"):
            run("mf2", "--way", way, "--threads", "2", "--seconds", "0.05")

    def test_a_wrong_option_is_refused_in_one_line(self):
        for arguments in (["--threads", "0"], ["--band", "huge"], ["--seconds"], ["--nonsense"],
                          ["stray"]):
            done = subprocess.run([os.path.join(PROGRAMS, "larson"), *arguments],
                                  capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


@unittest.skipIf(SANITIZED or not MIGRATION, "needs both pools in a library that can be preloaded")
class Counters(unittest.TestCase):
    def test_what_legacy_counted_comes_out_of_a_workload(self):
        done = subprocess.run(
            [os.path.join(PROGRAMS, "larson"), "--band", "mid", *BRIEF["larson"].split(),
             "--malloc-stats"], env=hakmem("mid=legacy"), capture_output=True, text=True)
        counted = verdict.legacy_counters(done.stderr)
        ops = json.loads(done.stdout)["ops"]
        mallocs = sum(count for name, count in counted.items() if name.startswith("mallocs "))
        self.assertGreaterEqual(mallocs, ops)
        # a lookup for the malloc and one for the free, but for the blocks still live at the end
        self.assertGreaterEqual(counted["hash lookups"], 2 * mallocs - 4 * 200 - 100)
        self.assertIn("table lock waits", counted)
        self.assertIn("contended trylocks", counted)


class Preloads(unittest.TestCase):
    def setUp(self):
        self.larson = os.path.join(PROGRAMS, "larson")

    @unittest.skipIf(SANITIZED, "a sanitizer's runtime refuses to come second")
    def test_a_library_without_malloc_did_not_take_effect(self):
        # Of the machine that the program runs on: there may be libraries for others.
        listed = subprocess.run(["ldd", self.larson], stdout=subprocess.PIPE, text=True, check=True)
        libc = next(line.split()[2] for line in listed.stdout.splitlines() if "libc.so" in line)
        libm = os.path.join(os.path.dirname(libc), "libm.so.6")
        problem = libraries.verify(libraries.Library("m", libm), self.larson)
        self.assertIn("took no effect", problem)

    def test_a_file_that_is_no_library_is_told(self):
        with tempfile.NamedTemporaryFile(suffix=".so") as broken:
            broken.write(b"no library")
            broken.flush()
            problem = libraries.verify(libraries.Library("b", broken.name), self.larson)
        self.assertTrue(problem)

    @unittest.skipIf(SANITIZED or not MIGRATION, "needs plans")
    def test_a_plan_that_was_refused_is_told(self):
        library = libraries.Library("h", HAKMEM, {"HAKMEM_PLAN": "tiny=legacy"})
        self.assertTrue(libraries.verify(library, self.larson))

    @unittest.skipIf(SANITIZED, "a sanitizer's build exports no malloc")
    def test_a_result_of_another_library_is_no_result(self):
        ours = run("larson", *BRIEF["larson"].split(), env=hakmem("all=next"))
        self.assertIsNone(libraries.came_from(libraries.Library("h", HAKMEM), ours))
        self.assertIn("should be libc's", libraries.came_from(libraries.Library("g"), ours))
        theirs = run("larson", *BRIEF["larson"].split())
        self.assertIn("took no effect",
                      libraries.came_from(libraries.Library("h", HAKMEM), theirs))

    def test_settings_of_the_caller_reach_no_column_but_a_bare_hakmem(self):
        stray = {"HAKMEM_CHECK": "full", "MALLOC_ARENA_MAX": "1", "MIMALLOC_VERBOSE": "1",
                 "GLIBC_TUNABLES": "x", "LD_PRELOAD": "/nowhere.so"}
        before = dict(os.environ)
        os.environ.update(stray)
        try:
            for library in (libraries.Library("g"), libraries.Library("h", HAKMEM)):
                for key in stray:
                    self.assertNotEqual(library.environment().get(key), stray[key])
            bare = libraries.Library("h", HAKMEM, takes_environment=True).environment()
            self.assertEqual(bare["HAKMEM_CHECK"], "full")
            self.assertNotIn("MALLOC_ARENA_MAX", bare)
            named = libraries.Library("g", None, {"MALLOC_ARENA_MAX": "2"}).environment()
            self.assertEqual(named["MALLOC_ARENA_MAX"], "2")
        finally:
            os.environ.clear()
            os.environ.update(before)

    def test_libraries_are_found_by_themselves(self):
        names = libraries.default_names(PROGRAMS)
        self.assertEqual(names[0], "glibc")
        self.assertEqual(names[-2:], ["hakmem:old", "hakmem:next"])
        loaded = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True,
                                env={**os.environ, "PATH": os.environ["PATH"] + ":/sbin"}).stdout
        for name, pattern in libraries.PEERS.items():
            if pattern.split("[")[0] in loaded:
                self.assertIn(name, names)

    def test_environment_of_a_row_is_for_hakmem_alone(self):
        case = next(case for case in workloads.CASES if case.name == "locality-return")
        self.assertEqual(case.ours_only, {"HAKMEM_SITE": "return-address"})
        self.assertIn("hakmem alone", case.about)
        self.assertIn("HAKMEM_SITE", libraries.Library("h", "/x/libhakmem.so").environment(
            case.ours_only))
        for other in (libraries.Library("g"), libraries.Library("m", "/x/libmimalloc.so")):
            self.assertNotIn("HAKMEM_SITE", other.environment(case.ours_only))


# A stand-in for a workload: does what --mode says and prints a result line.
FAKE = """#!/usr/bin/env python3
import json, os, random, signal, sys, time
name = os.environ.get("WHO", "")
with open({log!r}, "a") as log:
    log.write(sys.argv[1] + " " + name + "\\n")
if name == {bad!r}:
    if sys.argv[1] == "crash":
        os.kill(os.getpid(), signal.SIGABRT)
    if sys.argv[1] == "hang":
        time.sleep(60)
    if sys.argv[1] == "nonsense":
        print("no json")
        sys.exit()
idle = sys.argv[1] == "idle" and (name == "bad" or random.random() < 0.3)
print(json.dumps({{"ops_per_s": 0.0 if idle else 100.0, "ops": 1, "peak_rss_bytes": 1 << 20,
                  "malloc_from": "/lib/libc.so.6"}}))
"""


class Stumbles(unittest.TestCase):
    """A program that fails under one library, and an end in the middle."""

    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.work = work.name
        self.log = os.path.join(self.work, "log")
        self.program = os.path.join(self.work, "fake")
        with open(self.program, "w", encoding="utf-8") as out:
            out.write(FAKE.format(log=self.log, bad="bad"))
        os.chmod(self.program, 0o755)
        self.journal_path = os.path.join(self.work, "runs.jsonl")
        self.variants = [runner.Variant(libraries.Library(name, None, {"WHO": name}))
                         for name in ("one", "bad", "two")]

    def rows(self, *modes):
        return [runner.Row(mode, self.program, [mode]) for mode in modes]

    def journal(self, subject="s", fresh=False):
        return runner.Journal(self.journal_path, subject, fresh)

    def ran(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read().splitlines()

    def run_all(self, journal, rows, rounds=5):
        said = []
        runner.run_all(journal, rows, self.variants, rounds, None, 5,
                       lambda *words: said.append(words))
        return said

    def build(self, journal, *names):
        cases = [workloads.Case(name, name, "a fake") for name in names]
        return verdict.build(journal, cases, ["one", "bad", "two"], ["two"])

    def test_a_crash_costs_its_row_on_its_library_and_nothing_else(self):
        journal = self.journal()
        self.run_all(journal, self.rows("crash", "good"))
        self.assertEqual(self.ran().count("crash bad"), 1)
        self.assertEqual(self.ran().count("crash one"), 6)
        self.assertEqual(self.ran().count("good bad"), 6)
        found = self.build(journal, "crash", "good")
        self.assertIn("signal 6", found["cases"]["crash"]["libraries"]["bad"]["errors"][0])
        self.assertNotIn("bad", found["cases"]["crash"]["ratios"]["two"])
        self.assertAlmostEqual(
            found["cases"]["crash"]["ratios"]["two"]["one"]["speed"]["point"], 1)
        self.assertEqual(found["means"]["two"]["bad"]["rows"], 1)
        self.assertEqual(found["means"]["two"]["one"]["rows"], 2)

    def test_a_hang_is_ended_and_not_repeated(self):
        was, runner.RUN_TIMEOUT_S = runner.RUN_TIMEOUT_S, 5
        try:
            journal = self.journal()
            self.run_all(journal, self.rows("hang"))
        finally:
            runner.RUN_TIMEOUT_S = was
        self.assertNotIn(("hang", "bad", 1), journal.runs)
        self.assertIn(("hang", "one", 5), journal.runs)
        self.assertIn("still running", journal.runs["hang", "bad", 0]["error"])

    def test_a_run_that_was_given_no_time_is_left_out_and_is_no_failure(self):
        journal = self.journal()
        self.run_all(journal, self.rows("idle"), 12)
        found = self.build(journal, "idle")["cases"]["idle"]["libraries"]
        self.assertEqual(found["bad"]["errors"], ["no run that did anything"])
        for name in ("one", "two"):
            done = [result for (_, library, number), result in journal.runs.items()
                    if library == name and number and result["ops_per_s"]]
            self.assertEqual(found[name]["rounds"], len(done))
            self.assertEqual(found[name]["median"], 100)

    def test_a_line_that_cannot_be_read_is_a_failure(self):
        journal = self.journal()
        self.run_all(journal, self.rows("nonsense"), 1)
        self.assertIn("cannot be read", journal.runs["nonsense", "bad", 0]["error"])

    def test_what_ran_is_not_run_again(self):
        self.run_all(self.journal(), self.rows("good"), 2)
        before = len(self.ran())
        self.run_all(self.journal(), self.rows("good"), 2)
        self.assertEqual(len(self.ran()), before)
        self.run_all(self.journal(), self.rows("good"), 3)
        self.assertEqual(len(self.ran()), before + 3)

    def test_half_a_line_is_forgotten_and_spoils_nothing(self):
        self.run_all(self.journal(), self.rows("good"), 1)
        with open(self.journal_path, "rb+") as out:
            out.truncate(os.path.getsize(self.journal_path) - 20)
        before = len(self.ran())
        self.run_all(self.journal(), self.rows("good"), 2)
        self.assertEqual(len(self.ran()), before + 1 + 3)
        self.run_all(self.journal(), self.rows("good"), 2)
        self.assertEqual(len(self.ran()), before + 1 + 3)
        with open(self.journal_path, encoding="utf-8") as lines:
            self.assertEqual(len([json.loads(line) for line in lines]), 1 + 9)

    def test_runs_of_another_subject_do_not_mix(self):
        self.run_all(self.journal("old"), self.rows("good"), 1)
        other = self.journal("new")
        self.assertTrue(other.outdated)
        self.assertEqual(other.runs, {})
        self.run_all(other, self.rows("good"), 1)
        self.assertEqual(len(self.journal("new").runs), 6)

    def test_a_changed_program_or_option_is_another_subject(self):
        first = runner.subject_of(self.variants, self.rows("good"))
        self.assertEqual(first, runner.subject_of(self.variants, self.rows("good")))
        self.assertNotEqual(first, runner.subject_of(self.variants, self.rows("crash")))
        with open(self.program, "a", encoding="utf-8") as out:
            out.write("# changed\n")
        self.assertNotEqual(first, runner.subject_of(self.variants, self.rows("good")))

    def test_every_library_comes_at_every_place_and_after_others(self):
        for count in (2, 3, 6):
            names = list(range(count))
            orders = [runner.order_of(names, number) for number in range(2 * count)]
            for name in names:
                self.assertEqual({order.index(name) for order in orders}, set(names))
                before = {order[order.index(name) - 1] for order in orders if order.index(name)}
                self.assertGreaterEqual(len(before), min(2, count - 1))
            for order in orders:
                self.assertEqual(sorted(order), names)

    def test_the_budget_ends_it(self):
        journal = self.journal()
        last = runner.run_all(journal, self.rows("good"), self.variants, None, 0, 5,
                              lambda *words: None)
        self.assertEqual(last, 5)


@unittest.skipIf(SANITIZED, "a sanitizer's build exports no malloc")
class WholeRuns(unittest.TestCase):
    """bench/compare as it is called."""

    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.out = os.path.join(work.name, "out")
        self.command = [sys.executable, os.path.join(HERE, "compare"), "--programs", PROGRAMS,
                        "--out", self.out, "--quick"]
        self.env = {**os.environ, "HAKMEM_LIBRARY": HAKMEM}

    def compare(self, *arguments):
        return subprocess.run([*self.command, *arguments], env=self.env, capture_output=True,
                              text=True, timeout=300)

    def test_killed_in_the_middle_it_goes_on(self):
        arguments = ["-w", "calloc-tiny", "-n", "5", "glibc", "hakmem:next"]
        for number in (signal.SIGTERM, signal.SIGKILL):
            with subprocess.Popen([*self.command, *arguments], env=self.env,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
                runs = self.runs()
                while self.runs() < runs + 2:
                    self.assertIsNone(child.poll(), "it ended before it could be killed")
                    time.sleep(0.01)
                programs = self.children_of(child.pid)
                child.send_signal(number)
                child.wait()
            if number == signal.SIGTERM:
                for pid in programs:
                    self.assertFalse(os.path.exists(f"/proc/{pid}"))
        runs = self.runs()
        done = self.compare(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"goes on after {runs} runs", done.stderr)
        with open(os.path.join(self.out, "verdict.json"), encoding="utf-8") as verdict_file:
            found = json.load(verdict_file)
        for name in ("glibc", "hakmem:next"):
            self.assertEqual(found["cases"]["calloc-tiny"]["libraries"][name]["rounds"], 5)

    def runs(self):
        """Whole lines but the first."""
        path = os.path.join(self.out, "runs.jsonl")
        if not os.path.exists(path):
            return 0
        with open(path, "rb") as lines:
            return max(lines.read().count(b"\n") - 1, 0)

    @staticmethod
    def children_of(pid):
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return children.read().split()
        return []

    def test_a_library_that_cannot_be_preloaded_is_left_out_and_told(self):
        broken = os.path.join(os.path.dirname(self.out), "broken.so")
        with open(broken, "w", encoding="ascii") as out:
            out.write("no library")
        done = self.compare("-w", "calloc-tiny", "-n", "1", "--no-page", "glibc",
                            "broken=" + broken, "hakmem:next")
        self.assertIn("broken is left out", done.stderr)
        with open(os.path.join(self.out, "verdict.json"), encoding="utf-8") as verdict_file:
            self.assertEqual(json.load(verdict_file)["libraries"], ["glibc", "hakmem:next"])

    def test_a_document_gets_the_means_between_its_marks(self):
        document = os.path.join(os.path.dirname(self.out), "README.md")
        with open(document, "w", encoding="ascii") as out:
            out.write("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
        done = self.compare("-w", "calloc-tiny", "-n", "1", "--no-page", "--update", document, "glibc",
                            "hakmem:next")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(document, encoding="ascii") as text:
            self.assertRegex(text.read(), r"^before\n<!-- bench:begin -->\n\| \| over glibc \|(?s:.*)"
                             r"`hakmem:next` is faster (?s:.*)<!-- bench:end -->\nafter\n$")
        done = self.compare("-w", "calloc-tiny", "-n", "1", "--no-page", "--update", self.out + "/runs.jsonl",
                            "glibc", "hakmem:next")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("lacks the lines", done.stderr)

    def test_the_page_needs_nothing_else_and_shows_every_row(self):
        done = self.compare("-w", "calloc-tiny,latency,locality-return,thread-churn", "-n", "1",
                            "glibc", "hakmem:next")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.out, "index.html"), encoding="utf-8") as html:
            text = html.read()
        for word in ("calloc-tiny", "latency", "thread-churn", "glibc", "hakmem:next",
                     "HAKMEM_SITE=return-address", "geometric mean"):
            self.assertIn(word, text)
        for where in re.findall(r"""(?:src|href)=["']?([^"' >]*)""", text):
            self.assertTrue(where.startswith(("data:image/svg+xml;base64,", "#")), where[:60])
        self.assertNotIn("<script", text)
        if plots.available():
            self.assertGreaterEqual(text.count("data:image/svg+xml"), 5)
        else:
            self.assertIn("gnuplot is not installed", text)


def small_verdict(work):
    """Of a library that failed a row, another whose name has to be escaped, and too few rounds."""
    journal = runner.Journal(os.path.join(work, "runs.jsonl"), "s", True)
    good = {"ops_per_s": 5.0, "peak_rss_bytes": 1 << 20}
    for number in range(3):
        for name, rate in (("glibc", 5.0), ("<us>", 6.0)):
            journal.add("fine", name, number, 0.1, {**good, "ops_per_s": rate})
            if number == 0:
                journal.add("lost", name, number, 0.1, {"error": "boom & <b>"})
    cases = [workloads.Case("fine", "fine", "a row"), workloads.Case("lost", "lost", "another")]
    found = verdict.build(journal, cases, ["glibc", "<us>"], ["<us>"])
    found.update(where={"glibc": ["no preload", ""], "<us>": ["/x", ""]}, machine=machine.describe(),
                 seconds=1.0)
    for case in found["cases"].values():
        case["command"] = "x"
    return found


class Summaries(unittest.TestCase):
    def test_a_curve_is_made_of_the_medians_of_the_rounds_that_count(self):
        with tempfile.TemporaryDirectory() as work:
            journal = runner.Journal(os.path.join(work, "runs.jsonl"), "s", True)
            for number, ns in enumerate((9000, 10, 20, 60)):
                journal.add("latency", "a", number, 0.1, {
                    "ops_per_s": 5.0, "peak_rss_bytes": 1 << 20,
                    "malloc_curve": [[50, ns], [99, 2 * ns]], "series": [[0, ns, 0]]})
            cell = verdict.build(journal, [workloads.Case("latency", "x", "y")], ["a"],
                                 ["a"])["cases"]["latency"]["libraries"]["a"]
        self.assertEqual(cell["malloc_curve"], [[50, 20], [99, 40]])
        self.assertEqual(cell["series"], [[0, 60, 0]])

    def test_the_sentence_counts_rows_ahead_behind_and_open(self):
        with tempfile.TemporaryDirectory() as work:
            journal = runner.Journal(os.path.join(work, "runs.jsonl"), "s", True)
            for number in range(8):
                noise = 1 + 0.001 * (number % 3)
                for case, rates in (("won", (5, 3, 9)), ("lost", (5, 8, 6)), ("even", (1, 6, 6))):
                    for name, rate in zip(("slow", "fast", "ours"), rates):
                        # the same rate, or as much above as below
                        wobble = noise if case != "even" or name != "ours" else 2.002 - noise
                        journal.add(case, name, number, 0.1, {"ops_per_s": rate * wobble,
                                                              "peak_rss_bytes": 1 << 20})
            cases = [workloads.Case(case, "x", "y") for case in ("won", "lost", "even")]
            found = verdict.build(journal, cases, ["slow", "fast", "ours"], ["ours"])
            apart = [workloads.Case("won", "x", "y", apart=True), *cases[1:]]
            without = verdict.build(journal, apart, ["slow", "fast", "ours"], ["ours"])
        self.assertEqual(verdict.standing(found, "ours"), (1, 1, 1))
        # what no other library offers is no victory
        self.assertEqual(verdict.standing(without, "ours"), (0, 1, 1))
        self.assertEqual(without["means"]["ours"]["slow"]["rows"], 2)
        text = verdict.markdown(found)
        self.assertIn("| | over slow | over fast |\n|---|---|---|\n| `ours`: speed | ", text)
        self.assertIn("faster than the fastest of the others in 1 of 3 rows and slower in 1; in 1 no", text)


class Plots(unittest.TestCase):
    @unittest.skipUnless(plots.available(), "no gnuplot")
    def test_what_lies_beyond_a_picture_s_edge_is_said_there(self):
        with tempfile.TemporaryDirectory() as work:
            journal = runner.Journal(os.path.join(work, "runs.jsonl"), "s", True)
            for number in range(8):
                for name, rate in (("glibc", 3.0), ("mimalloc", 200.0), ("hakmem:next", 60000.0)):
                    journal.add("far", name, number, 0.1, {"ops_per_s": rate, "peak_rss_bytes": 1 << 20})
            names = ["glibc", "mimalloc", "hakmem:next"]
            found = verdict.build(journal, [workloads.Case("far", "x", "y")], names, ["hakmem:next"])
            looks = plots.colours(names, ["hakmem:next"])
            path = os.path.join(work, "picture.svg")
            for wanted, function, last in ((("glibc 1/67", "hakmem:next 300"), plots.speed, "mimalloc"),
                                           (("300 [300, 300]",), plots.against_best, "hakmem:next")):
                self.assertTrue(function(found, looks, last, path))
                with open(path, encoding="utf-8") as picture:
                    text = picture.read()
                for words in wanted:
                    self.assertIn(words, text)


class Pages(unittest.TestCase):
    def test_a_row_that_failed_everywhere_and_one_without_interval_are_shown(self):
        with tempfile.TemporaryDirectory() as work:
            found = small_verdict(work)
            with contextlib.redirect_stdout(io.StringIO()):
                path = page.write(found, work)
            with open(path, encoding="utf-8") as html:
                text = html.read()
        self.assertIn("boom &amp; &lt;b&gt;", text)
        self.assertIn("no interval", text)
        self.assertNotIn("<us>", text)
        self.assertIn("no interval", verdict.text(found))
        self.assertIn("failed: boom", verdict.text(found))


@unittest.skipIf(SANITIZED or not shutil.which("valgrind"), "no valgrind")
class Instructions(unittest.TestCase):
    def test_counts_are_given_for_own_thread_batch_remote_and_class(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [sys.executable, os.path.join(HERE, "instructions"), "--programs", PROGRAMS,
                       "--rounds", "20", "--json", out.name, "glibc", "hakmem:next"]
            env = {**os.environ, "HAKMEM_LIBRARY": HAKMEM}
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
            counted = json.load(out)
            for name in ("glibc", "hakmem:next"):
                for case in ("64-batch", "64-ping-pong", "64-remote", "4k-batch"):
                    cell = counted[name][case]
                    self.assertGreater(cell["malloc"], 3)
                    self.assertGreater(cell["free"], 3)
                    self.assertAlmostEqual(cell["pair"], cell["malloc"] + cell["free"])
            self.assertEqual(counted["glibc"]["64-batch"]["slow"], 0)
            self.assertLess(counted["hakmem:next"]["64-batch"]["slow"], 0.1)
            subprocess.run(command + ["--per-class"], env=env, check=True,
                           stdout=subprocess.DEVNULL)
            # 16 B to 1 MiB in quarters of a doubling
            out.seek(0)
            self.assertEqual(len(json.load(out)["hakmem:next"]), 65)


@unittest.skipIf(SANITIZED or not MIGRATION, "needs both pools in a library that can be preloaded")
class Ladder(unittest.TestCase):
    """bench/ladder as it is called, but for a few threads and a moment each."""

    def run_ladder(self, work):
        name = os.path.join(HERE, "ladder")
        loader = importlib.machinery.SourceFileLoader("ladder", name)
        ladder = importlib.util.module_from_spec(importlib.util.spec_from_loader("ladder", loader))
        loader.exec_module(ladder)
        ladder.LARSON = ["--threads", "4", "--seconds", "0.3", "--warmup", "0.05"]
        ladder.MF1_THREADS, ladder.MF1_ROUNDS, ladder.MF2_THREADS = (1, 4), 2, (1, 2)
        ladder.MF1_SECONDS = ladder.MF2_SECONDS = "0.05"
        out = os.path.join(work, "ladder.json")
        words = io.StringIO()
        with unittest.mock.patch.object(sys, "argv", [name, "-n", "1", "--programs", PROGRAMS,
                                                      "--json", out]), \
                unittest.mock.patch.dict(os.environ, {"HAKMEM_LIBRARY": HAKMEM}), \
                unittest.mock.patch.object(machine, "warm_memory"), \
                contextlib.redirect_stdout(words):
            ladder.main()
        with open(out, encoding="utf-8") as data:
            return words.getvalue(), json.load(data)

    def test_every_step_is_shown_beside_what_the_plan_expected(self):
        with tempfile.TemporaryDirectory() as work:
            words, data = self.run_ladder(work)
            found = small_verdict(work)
            found["extra"] = {"ladder": data}
            with contextlib.redirect_stdout(io.StringIO()), \
                    open(page.write(found, work), encoding="utf-8") as html:
                text = html.read()
        shown = {step["name"]: step for step in data["steps"]}
        for name, plan in (("legacy", "46.7 %"), ("+ QF1", "+2-3 %"), ("+ QF2", "+1-2 %"),
                           ("+ QF3", "49-51 %"), ("+ MF1", "58-64 %"), ("+ MF2", "67-77 %"),
                           ("+ MF3", "74-86 %"), ("next", "91-105 %")):
            line = next(line for line in words.splitlines() if line.startswith(f"  {name} "))
            self.assertIn(plan, line)
            if not name.startswith("+ MF"):
                self.assertGreater(shown[name]["mops"], 0)
        self.assertEqual([(row["way"], row["threads"]) for row in data["mf1"]],
                         [(way, count) for count in (1, 4) for way in ("mutex", "cas", "cas-backoff")])
        for row in data["mf1"] + data["mf2"]:
            self.assertGreater(row["ops_per_s"], 0)
        if shutil.which("valgrind"):
            self.assertIn("MF3: what a malloc/free pair goes through", text)
            self.assertGreater(data["mf3"]["legacy"]["4k-batch"]["branches"],
                               data["mf3"]["next"]["4k-batch"]["branches"])
        # QF1 to QF3 are switched on one after the other, and do what they say
        counted = data["counted"]
        self.assertEqual(list(counted), ["legacy", "+ QF1", "+ QF2", "+ QF3"])
        # one for each malloc and one for each free, of which a busy machine may see few
        self.assertGreater(counted["legacy"]["hash_lookups_a_malloc"], 1)
        self.assertEqual(counted["+ QF2"]["layer_pct"]["lifo"], 0)
        self.assertAlmostEqual(counted["+ QF2"]["headers_a_malloc"], 1)
        self.assertLess(counted["+ QF3"]["headers_a_malloc"], 1)
        for word in ("The plan's ladder", "MF1 alone", "MF2 alone", "What legacy counted"):
            self.assertIn(word, text)


def perf_counts():
    """Also where it is installed, a machine may allow nothing."""
    return shutil.which("perf") is not None and subprocess.run(
        ["perf", "stat", "-e", "task-clock", "true"], capture_output=True).returncode == 0


@unittest.skipIf(SANITIZED or not MIGRATION, "needs both pools in a library that can be preloaded")
@unittest.skipUnless(perf_counts(), "perf counts nothing here")
class Perf(unittest.TestCase):
    def test_it_says_what_was_counted_and_where_the_time_went(self):
        with tempfile.TemporaryDirectory() as out:
            done = subprocess.run(
                [sys.executable, os.path.join(HERE, "perf"), "larson-mid-4", "hakmem:legacy", "--programs",
                 PROGRAMS, "--out", out, "--", "--seconds", "0.4", "--warmup", "0.1"],
                env={**os.environ, "HAKMEM_LIBRARY": HAKMEM}, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, "(?m)^(hardware counters: |this machine has no hardware counters;)")
            for counter in ("hash lookups", "table lock waits", "shard lock waits", "contended trylocks"):
                self.assertRegex(done.stdout, rf"(?m)^ +legacy: {counter} \d+$")
            self.assertNotIn("hash lookups 0\n", done.stdout)
            # a share, a bar, a function by its name, its object
            self.assertRegex(done.stdout, r"(?m)^ +\d+\.\d %  #* +legacy_\w+  \(libhakmem\.so")
            self.assertEqual(os.path.exists(os.path.join(out, "functions.svg")), plots.available())


if __name__ == "__main__":
    unittest.main()
