#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/migrate_record_test.py - recordings hold what the program did, and hold their rules whatever happens

Run by make check, which sets top_builddir and HAKMEM_LIB.
"""
import collections
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from record_trace import ALLOCATES, Trace  # noqa: E402

BUILD = os.path.abspath(os.environ.get("top_builddir") or os.path.join(HERE, "../build"))
# A program of this build, and what a sanitizer wants before it.
OPERATIONS = [*os.environ.get("SANITIZER_RUN", "").split(),
              os.path.join(BUILD, "tests/record_operations")]
HAKMEM = os.path.join(BUILD, "hakmem")
LIBRARY = os.environ.get("HAKMEM_LIB") or os.path.join(BUILD, ".libs/libhakmem.so")


def configured(name):
    with open(os.path.join(BUILD, "config.h"), encoding="utf-8") as file:
        return re.search(rf"^#define {name} 1$", file.read(), re.M) is not None


SANITIZED = configured("HAKMEM_SANITIZER")
BABELTRACE = shutil.which("babeltrace2")


def listing(folder):
    """What babeltrace2 says, by lines; it has to find nothing wrong."""
    done = subprocess.run([BABELTRACE, "--clock-seconds", folder], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise AssertionError(f"babeltrace2 {folder}: {done.stderr[-2000:]}")
    return done.stdout.splitlines(), done.stderr


class RecordTest(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="record-")
        self.addCleanup(shutil.rmtree, self.work)
        self.directory = os.path.join(self.work, "traces")
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("HAKMEM_") and name != "LD_PRELOAD"}

    def operate(self, options="", *arguments, expect=0):
        """Runs the helper. Events, losses and bytes as it was told, and the recording."""
        done = subprocess.run([*OPERATIONS, *arguments, self.directory, options], text=True,
                              capture_output=True, env=self.environment, check=False)
        self.assertEqual(done.returncode, expect, done.stderr)
        if expect:
            return done.stderr
        events, lost, size, folder = done.stdout.split(maxsplit=3)
        self.said = done.stderr
        self.trace = Trace(folder.strip())
        self.folder = folder.strip()
        self.assertEqual((self.trace.count, self.trace.lost), (int(events), int(lost)))
        self.assertEqual(sum(stream.bytes for stream in self.trace.streams) + 4096, int(size))
        return self.trace

    def read_list(self, path):
        """What each thread did, as (name, fields)."""
        threads = collections.defaultdict(list)
        with open(path, encoding="ascii") as file:
            for line in file:
                tid, name, *numbers = line.split()
                old, address, count, size = (int(number, 16) for number in numbers)
                fields = {"free": {"address": address}, "realloc_begin": {"old": old},
                          "realloc": {"address": address, "size": size},
                          "malloc": {"address": address, "size": size},
                          "calloc": {"address": address, "count": count, "size": size},
                          "aligned_alloc": {"address": address, "alignment": count, "size": size},
                          }[name]
                threads[int(tid)].append((name, fields))
        return threads

    def of_threads(self, trace):
        threads = collections.defaultdict(list)
        for stream in trace.streams:
            for event in stream.events:
                threads[event.tid].append((event.name, event.fields))
        return threads

    def test_events_are_what_the_program_did(self):
        """Thread by thread, in order, under every set of routes; addresses raw, to be compared."""
        routes = ["next", "old", "system", "mixed"]
        for number, route in enumerate(routes):
            with self.subTest(route):
                path = os.path.join(self.work, f"list-{route}")
                trace = self.operate("raw", "-t", "8", "-n", "4000", "-r", route, "-l", path,
                                     "-s", str(number))
                self.assertEqual(trace.lost, 0)
                trace.check()
                wanted, got = self.read_list(path), self.of_threads(trace)
                self.assertEqual(len(wanted), 8)
                self.assertEqual(set(got), set(wanted))
                for tid, operations in wanted.items():
                    self.assertEqual(got[tid][-1][0], "thread_end")
                    self.assertEqual(got[tid][:-1], operations)

    def test_pools_are_told(self):
        """The pool of every event is the one that its size goes to."""
        names = {1: "system", 2: "next", 3: "next", 4: "next", 5: "next", 14: "legacy", 15: "next"}
        names.update((number, "legacy") for number in range(6, 14))
        seen = set()
        for route in ("old", "next"):
            trace = self.operate("", "-n", "20000", "-r", route)
            for event in trace.events():
                if event.name not in ALLOCATES:
                    continue
                size = event.fields["size"] * event.fields.get("count", 1)
                # Larger alignments are not legacy's.
                legacy = 1024 < size <= 32768 and event.name != "aligned_alloc"
                pool = "next" if route == "next" else "legacy" if legacy else "system"
                self.assertEqual(names[event.served], pool, event)
                seen.add(event.served)
        # Every layer of next, and of legacy the ring, the active pages and fresh ones at least.
        self.assertLessEqual({1, 2, 3, 4, 5, 6, 7, 9}, seen)

    def test_trace_info_tells_pools_and_layers(self):
        for route in ("old", "next"):
            trace = self.operate("", "-n", "20000", "-r", route)
            self.assertEqual(trace.lost, 0)
            names = re.search(r"enum : u4 \{([^}]*)\} served", trace.metadata)[1]
            names = {int(number): name for name, number in re.findall(r"(\w+) = (\d+)", names)}
            wanted = {"served_by": collections.Counter(), "freed_in": collections.Counter()}
            for event in trace.events():
                if event.name in (*ALLOCATES, "realloc"):
                    wanted["served_by"][names[event.served]] += 1
                elif event.name == "free":
                    wanted["freed_in"][names[event.served]] += 1
            done = subprocess.run([HAKMEM, "trace", "info", "--json", self.folder],
                                  capture_output=True, text=True, check=True)
            info = json.loads(done.stdout)
            self.assertEqual({key: info[key] for key in wanted}, wanted)
            self.assertGreater(len(wanted["served_by"]), 3)

    def test_addresses_are_hidden(self):
        """Two recordings of one program have the same blocks under other names."""
        path = os.path.join(self.work, "list")
        trace = self.operate("", "-t", "1", "-l", path)
        raw = [fields.get("address") or fields.get("old")
               for _, fields in next(iter(self.read_list(path).values()))]
        ids = [event.fields.get("address") or event.fields.get("old")
               for event in trace.streams[0].events[:-1]]
        self.assertEqual(len(raw), len(ids))
        # A bijection: as many, and each always the same.
        self.assertEqual(len(set(zip(raw, ids))), len(set(raw)))
        self.assertEqual(len(set(ids)), len(set(raw)))
        self.assertLess(len(set(raw) & set(ids)), 3)
        # Neighbours are none any more.
        near = sum(abs(a - b) < 65536 for a, b in zip(ids, ids[1:]) if a != b)
        self.assertLess(near, len(ids) / 20)
        self.assertEqual(trace.env["addresses"], "ids")

    @unittest.skipUnless(BABELTRACE, "no babeltrace2")
    def test_babeltrace2_lists_the_events(self):
        trace = self.operate("", "-t", "3")
        lines, said = listing(self.folder)
        self.assertEqual(said, "")
        mine = collections.Counter()
        for event in trace.events():
            fields = ", ".join(f"{name} = {value:#X}".replace("0X", "0x")
                               if name in ("address", "old") else f"{name} = {value}"
                               for name, value in event.fields.items())
            mine[f"{event.name} {event.tid} {event.served} {fields}"] += 1
        theirs = collections.Counter()
        for line in lines:
            found = re.search(r"(\w+): \{ tid = (\d+), .*container = (\d+) \) \}, \{ (.*) \}", line)
            self.assertIsNotNone(found, line)
            theirs[" ".join(found.groups())] += 1
        self.assertEqual(theirs, mine)

    def test_both_ends_of_a_block_or_neither(self):
        trace = self.operate("share=10%", "-t", "4", "-n", "20000")
        trace.check()
        drawn = sum(event.name in ALLOCATES for event in trace.events())
        whole = self.operate("", "-t", "4", "-n", "20000")
        live = whole.check()
        mallocs = sum(event.name in ALLOCATES for event in whole.events())
        reallocs = sum(event.name == "realloc" for event in whole.events())
        self.assertGreater(len(live), 100)
        # A realloc that moves a block which was not drawn is a malloc like others. Five standard deviations.
        margin = 5 * ((mallocs + reallocs) * 0.09) ** 0.5
        self.assertGreater(drawn, mallocs / 10 - margin)
        self.assertLess(drawn, (mallocs + reallocs) / 10 + margin)
        self.assertEqual(trace.env["share_millionths"], "100000")

    def test_the_draw_is_of_the_allocation(self):
        """Hot addresses are not drawn for ever: of each one that came often, some are left out."""
        trace = self.operate("raw share=50%", "-t", "1", "-n", "40000")
        whole = self.operate("raw", "-t", "1", "-n", "40000")
        def often(of):
            return collections.Counter(event.fields["address"] for event in of.events()
                                       if event.name in ALLOCATES)
        half, all_of_them = often(trace), often(whole)
        hot = [address for address, count in all_of_them.most_common(20) if count >= 30]
        self.assertTrue(hot)
        self.assertGreater(len(half), len(all_of_them) / 4)
        self.assertLess(max(half.values()), max(all_of_them.values()))

    def test_a_share_of_threads(self):
        trace = self.operate("share=50% by=thread", "-t", "32", "-n", "1000")
        trace.check()
        threads = [stream for stream in trace.streams
                   if any(event.name in ALLOCATES for event in stream.events)]
        self.assertIn(len(threads), range(4, 29))

    def test_classes(self):
        trace = self.operate("classes=2k-8k,huge", "-n", "30000")
        trace.check()
        sizes = [event.fields["size"] * event.fields.get("count", 1) for event in trace.events()
                 if event.name in ALLOCATES]
        self.assertTrue(sizes)
        self.assertFalse([size for size in sizes if not (1024 < size <= 8192 or size > 1 << 20)])

    def test_losses_are_counted_and_break_no_rule(self):
        """With room for a few packets on disk most is lost; what is there holds."""
        trace = self.operate("disk=1m", "-t", "4", "-n", "30000")
        trace.check()
        self.assertLess(trace.complete, max(stream.end for stream in trace.streams))
        self.assertGreater(trace.lost, 10000)
        self.assertLessEqual(sum(stream.bytes for stream in trace.streams), 1 << 20)
        self.assertIn("lost, and counted", self.said)
        if BABELTRACE:
            self.assertIn("discarded", listing(self.folder)[1])

    def test_a_stream_without_room_is_not_complete(self):
        """Room for the open packets of two threads of eight, through many cycles of the writer."""
        trace = self.operate("disk=12k", "-t", "8", "-n", "150", "-p", "300")
        self.assertEqual(len(trace.streams), 2)
        self.assertGreater(trace.lost, 100)
        trace.check()

    def test_a_dump_without_room_is_not_complete(self):
        trace = self.operate("ring buffer=64k disk=96k", "-d", "-t", "4", "-n", "20000")
        self.assertEqual(trace.complete, 0)
        self.assertIn("lost, and counted", self.said)
        self.assertGreater(trace.lost, 1000)

    def test_threads_without_memory_are_counted(self):
        """Buffers for two threads of four: stream 0 tells what the others lost."""
        # With pauses, so that all four are there at once on one processor too: a buffer goes on to the next thread.
        trace = self.operate("buffer=64k memory=128k", "-t", "4", "-n", "2000", "-p", "100")
        trace.check()
        self.assertGreater(trace.lost_elsewhere, 1000)
        if BABELTRACE:
            self.assertIn("discarded", listing(self.folder)[1])

    def test_a_full_ring_loses_and_goes_on(self):
        """The smallest buffers and no pause: with or without losses, every rule holds."""
        trace = self.operate("buffer=16k", "-t", "8", "-n", "20000")
        trace.check()

    @unittest.skipUnless(BABELTRACE, "no babeltrace2")
    def test_killed_at_any_moment(self):
        """What is there can be read, by babeltrace2 too, and holds every rule."""
        seen = 0
        draw = random.Random(4711)
        for _ in range(8):
            with subprocess.Popen([*OPERATIONS, "-k", "-t", "4", self.directory, "disk=64m"],
                                  env=self.environment, stdout=subprocess.DEVNULL) as program:
                # Not from its start: under load that may take any time.
                while not self.folders():
                    self.assertIsNone(program.poll())
                    time.sleep(0.001)
                time.sleep(draw.random() * 0.1)
                program.kill()
            for folder in self.folders():
                if not os.path.exists(os.path.join(folder, "stream-0")):
                    continue
                trace = Trace(folder)
                trace.check()
                lines, _ = listing(folder)
                self.assertEqual(len(lines), trace.count)
                seen += sum(event.time <= trace.complete for event in trace.events())
                shutil.rmtree(folder)
        self.assertGreater(seen, 1000)

    def folders(self):
        """Those with a whole metadata."""
        if not os.path.isdir(self.directory):
            return []
        found = (os.path.join(self.directory, name) for name in os.listdir(self.directory))
        return sorted(folder for folder in found
                      if os.path.exists(os.path.join(folder, "metadata")))

    @unittest.skipIf(SANITIZED, "the sanitizers' runtimes start no threads in forked children")
    def test_a_child_has_a_recording_of_its_own(self):
        trace = self.operate("", "-f", "-n", "5000")
        trace.check()
        self.assertEqual(trace.lost, 0)
        others = [folder for folder in self.folders() if folder != self.folder]
        self.assertEqual(len(others), 1)
        child = Trace(others[0])
        child.check()
        self.assertGreater(child.count, 100)
        self.assertNotEqual(child.env["vpid"], trace.env["vpid"])
        self.assertNotEqual(child.uuid, trace.uuid)

    def test_a_flight_recorder(self):
        """Its dump has the newest events of every thread, as many as the ring holds."""
        path = os.path.join(self.work, "list")
        trace = self.operate("raw ring buffer=16k", "-d", "-t", "4", "-n", "20000", "-l", path)
        trace.check(ring=True)
        wanted = self.read_list(path)
        self.assertEqual(trace.env["mode"], "ring")
        self.assertEqual(len(trace.streams), 4)
        for stream in trace.streams:
            self.assertEqual(stream.bytes, 16 << 10)
            events = [(event.name, event.fields) for event in stream.events]
            self.assertEqual(events.pop()[0], "thread_end")
            self.assertGreater(len(events), 800)
            self.assertEqual(events, wanted[stream.events[0].tid][-len(events):])

    def test_permissions(self):
        umask = os.umask(0)
        try:
            self.operate()
        finally:
            os.umask(umask)
        def mode(path):
            return stat.S_IMODE(os.lstat(path).st_mode)
        self.assertEqual((mode(self.directory), mode(self.folder)), (0o700, 0o700))
        for name in os.listdir(self.folder):
            self.assertEqual(mode(os.path.join(self.folder, name)), 0o600, name)

    def test_no_symbolic_link_is_followed(self):
        os.mkdir(os.path.join(self.work, "elsewhere"))
        os.symlink("elsewhere", self.directory)
        self.assertIn("symbolic link", self.operate(expect=1))
        self.assertEqual(os.listdir(os.path.join(self.work, "elsewhere")), [])

    def test_wrong_options(self):
        for options, line in (("share=0%", "a share is above 0%"), ("share=101%", "at most 100%"),
                              ("share=1", "a share"), ("by=size", "by block or by thread"),
                              ("classes=5x", "classes=5x"), ("buffer=1", "no size"),
                              ("buffer=1m memory=64k", "memory is less"), ("disk=", "no size"),
                              ("disk=99999999999999999999", "no size"), ("fast", "no such option"),
                              ("share=1.23456%", "a share"), ("x" * 2000, "too long")):
            self.assertIn(line, self.operate(options, expect=1), options)
        self.assertEqual(self.folders(), [])

    def test_a_folder_that_cannot_be_made(self):
        with open(os.path.join(self.work, "file"), "w", encoding="ascii"):
            pass
        self.directory = os.path.join(self.work, "file")
        self.assertIn("no folder", self.operate(expect=1))
        self.directory = os.path.join(self.work, "none/traces")
        self.assertIn("No such file", self.operate(expect=1))

    def test_a_full_disk(self):
        """On a file system of 256 KiB the program goes on, the losses are told, the rest is whole."""
        os.mkdir(self.directory)
        script = ('mount -t tmpfs -o size=256k,mode=700 none "$1" || exit 77; shift; '
                  '"$@" && cp -r "$DIRECTORY"/. "$OUT"')
        out = os.path.join(self.work, "out")
        os.mkdir(out)
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", self.directory,
                               *OPERATIONS, "-t", "4", "-n", "20000", self.directory, ""],
                              env=dict(self.environment, DIRECTORY=self.directory, OUT=out),
                              capture_output=True, text=True, check=False)
        if done.returncode == 77 or "unshare" in done.stderr:
            self.skipTest("no mount namespace: " + done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("lost, and counted", done.stderr)
        folder, = os.listdir(out)
        trace = Trace(os.path.join(out, folder))
        trace.check()
        self.assertGreater(trace.lost, 10000)
        self.assertGreater(trace.count, 1000)
        if BABELTRACE:
            self.assertEqual(len(listing(os.path.join(out, folder))[0]), trace.count)


@unittest.skipIf(SANITIZED, "a sanitizer's build exports no malloc to run programs on")
class ProgramTest(unittest.TestCase):
    """Programs that know nothing of it."""

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="record-")
        self.addCleanup(shutil.rmtree, self.work)
        self.directory = os.path.join(self.work, "traces")
        os.mkdir(os.path.join(self.work, "runtime"), 0o700)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("HAKMEM_") and name != "LD_PRELOAD"}
        self.environment.update(HAKMEM_LIB=LIBRARY,
                                XDG_RUNTIME_DIR=os.path.join(self.work, "runtime"))

    def hakmem(self, *arguments, expect=0):
        done = subprocess.run([HAKMEM, *arguments], env=self.environment, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def allocate_when_told(self):
        """A program with control that allocates 10,000 blocks of mid for each line of its input."""
        return subprocess.Popen([HAKMEM, "run", "--control", "--plan", "all=next", "--",
                                 sys.executable, "-c", "import sys\nprint('there', flush=True)\n"
                                 "for line in sys.stdin:\n"
                                 "    x = [bytes(1000 + i) for i in range(10000)]\n"
                                 "    print('done', flush=True)"],
                                env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True)

    def traces(self):
        return {name: Trace(os.path.join(self.directory, name))
                for name in os.listdir(self.directory)}

    def test_run_records_what_is_started(self):
        """exec and children inside: each program has its own."""
        self.hakmem("run", "--plan", "all=next", "--record", self.directory, "--", "/bin/sh", "-c",
                    'for i in 1 2; do /bin/ls / >/dev/null; done; exec /bin/ls /')
        traces = self.traces()
        for trace in traces.values():
            trace.check()
            self.assertEqual(trace.lost, 0)
        self.assertEqual(sorted(name.split("-")[0] for name in traces), ["ls"] * 3 + ["sh"])

    def test_the_command_itself_is_not_recorded(self):
        """What it starts is, by the same environment."""
        self.hakmem("run", "--plan", "all=next", "--record", self.directory, "--", "/bin/sh", "-c",
                    '"$0" classes >/dev/null && "$0" run -- /bin/ls / >/dev/null', HAKMEM)
        self.assertEqual(sorted(name.split("-")[0] for name in self.traces()), ["ls", "sh"])

    def test_start_and_stop(self):
        with self.allocate_when_told() as program:
            def go_on():
                program.stdin.write("go\n")
                program.stdin.flush()
                self.assertEqual(program.stdout.readline(), "done\n")
            self.assertEqual(program.stdout.readline(), "there\n")
            pid = str(program.pid)
            go_on()
            self.assertIn("nothing is recorded", self.hakmem("record", "status", pid))
            self.hakmem("record", "stop", pid, expect=4)
            self.assertIn("recording into", self.hakmem("record", "start", pid, "--dir",
                                                        self.directory, "--classes", "mid"))
            self.assertIn("already", self.hakmem("record", "start", pid, "--dir", self.directory,
                                                 expect=4))
            go_on()
            self.assertRegex(self.hakmem("record", "stop", pid), r": \d+ events of 1 threads")
            go_on()
            (trace,) = self.traces().values()
            trace.check()
            mallocs = sum(event.name in ALLOCATES for event in trace.events())
            # What python makes of it; without classes it would be more, without the pause twice as many.
            self.assertIn(mallocs, range(10000, 15000))
            # A flight recorder writes when it is told to, and when a class is rolled back.
            self.hakmem("record", "start", pid, "--dir", self.directory, "--ring", "--buffer", "64k")
            go_on()
            self.assertEqual(len(self.traces()), 1)
            self.hakmem("record", "dump", pid)
            self.assertEqual(len(self.traces()), 2)
            self.hakmem("rollback", pid, "4k")
            self.hakmem("record", "stop", pid)
            self.assertEqual(len(self.traces()), 3)
            for trace in self.traces().values():
                trace.check(ring=trace.env["mode"] == "ring")
            program.stdin.close()

    def test_a_small_share_leaves_nothing_to_the_next_recording(self):
        """What a thread may let pass in one recording it may not in another."""
        with self.allocate_when_told() as program:
            pid = str(program.pid)
            self.assertEqual(program.stdout.readline(), "there\n")
            counts = []
            for share in ("0.0001%", "100%", "0.0001%", "100%"):
                self.hakmem("record", "start", pid, "--dir", self.directory, "--classes", "mid",
                            "--share", share)
                program.stdin.write("go\n")
                program.stdin.flush()
                self.assertEqual(program.stdout.readline(), "done\n")
                said = self.hakmem("record", "stop", pid)
                trace = Trace(said.split(": ")[0])
                trace.check()
                counts.append(sum(event.name in ALLOCATES for event in trace.events()))
            program.stdin.close()
        self.assertLess(max(counts[0::2]), 10)
        self.assertIn(counts[1], range(9000, 15000))
        self.assertIn(counts[3], range(9000, 15000))

    def test_usage(self):
        for arguments in (("record",), ("record", "begin", "1"), ("record", "start", "1"),
                          ("record", "stop"), ("record", "stop", "1", "--share", "1%"),
                          ("record", "start", "1", "--dir", "x", "--share", "2"),
                          ("run", "--record-options", "fast", "--", "true")):
            self.hakmem(*arguments, expect=2)

    def test_a_wrong_setting_costs_the_recording_alone(self):
        done = subprocess.run(["/bin/echo", "fine"], capture_output=True, text=True, check=True,
                              env=dict(self.environment, LD_PRELOAD=LIBRARY,
                                       HAKMEM_RECORD=self.directory, HAKMEM_RECORD_OPTIONS="fast"))
        self.assertEqual(done.stdout, "fine\n")
        self.assertEqual(done.stderr, 'hakmem: HAKMEM_RECORD: "fast": no such option; nothing is '
                                      'recorded\n')
        self.assertFalse(os.path.exists(self.directory))

    def test_set_user_programs_record_nothing(self):
        if os.geteuid() != 0:
            self.skipTest("only root can make a set-uid program of another user")
        program = os.path.join(self.work, "privileged")
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-I" + os.path.dirname(HERE), "-o",
                        program, os.path.join(HERE, "preload_privileged.c"), LIBRARY,
                        "-Wl,-rpath," + os.path.dirname(LIBRARY)], check=True)
        os.chmod(self.work, 0o755)
        os.mkdir(self.directory)
        os.chown(self.directory, 65534, 65534)
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o4755)
        done = subprocess.run([program], capture_output=True, text=True, check=True,
                              env=dict(self.environment, HAKMEM_RECORD=self.directory))
        self.assertIn("AT_SECURE=1", done.stdout)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
