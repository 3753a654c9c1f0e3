#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/tool_trace_test.py - hakmem trace, replay, compare and advise, on traces made here

A model in Python replays the same traces, by dictionaries; what the commands count has to be what it counts.
"""
import functools
import glob
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import uuid

HAKMEM = os.path.join(os.environ.get("top_builddir", "build"), "hakmem")
LIBRARY = os.environ.get("HAKMEM_LIB", "build/.libs/libhakmem.so")
ENVIRONMENT = {key: value for key, value in os.environ.items()
               if not key.startswith("HAKMEM_PLAN") and key not in ("LD_PRELOAD", "TMPDIR")}


def exports_malloc():
    """A sanitizer's build does not: there is nothing to replay on but glibc."""
    found = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True,
                           check=False)
    return re.search(r" malloc$", found.stdout, re.M) is not None


def run(*arguments, status=0, **more):
    done = subprocess.run([HAKMEM, *arguments], capture_output=True, text=True, env=ENVIRONMENT,
                          check=False, timeout=300, **more)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: status {done.returncode}, not {status}: "
                             f"{done.stdout[-500:]}{done.stderr[-500:]}")
    return done


def run_json(*arguments, status=0):
    return json.loads(run(*arguments, "--json", status=status).stdout)


def run_json_of(command, data):
    return json.loads(run(command, "-", "--json", input=json.dumps(data)).stdout)


class Model:
    """What a trace in memory_replay's text comes to."""

    def __init__(self):
        self.live = {}  # pointer: (bytes, thread)
        self.allocations = self.reallocations = self.frees = self.null_frees = 0
        self.freed_by_others = self.returned = 0
        self.peak = (0, 0, {})
        self.bytes = 0

    def _in(self, pointer, size, thread):
        self.live[pointer] = (size, thread)
        self.bytes += size
        if self.bytes > self.peak[0]:
            self.peak = (self.bytes, len(self.live), sizes(self.live))

    def _out(self, pointer, thread):
        size, owner = self.live.pop(pointer)
        self.bytes -= size
        self.returned += 1
        self.freed_by_others += owner != thread

    def line(self, line):
        thread, operation, *words = line.replace(":", "").split()
        pointer = int(words[0], 16)
        if operation == "malloc":
            self.allocations += 1
            self._in(pointer, int(words[1]), thread)
        elif operation == "calloc":
            self.allocations += 1
            self._in(pointer, int(words[1]) * int(words[2]), thread)
        elif operation == "memalign":
            self.allocations += 1
            self._in(pointer, int(words[2]), thread)
        elif operation == "realloc":
            self.reallocations += 1
            self._out(int(words[1], 16), thread)
            self._in(pointer, int(words[2]), thread)
        elif operation == "free" and pointer:
            self.frees += 1
            self._out(pointer, thread)
        elif operation == "free":
            self.null_frees += 1


@functools.cache
def class_ends():
    return [row["max_bytes"] for row in run_json("classes")["classes"]]


def class_of(size):
    """The largest size of a size's class; None for the last one."""
    return next(end for end in class_ends() if end is None or size <= end)


def sizes(live):
    """{class: [blocks, bytes]}"""
    counted = {}
    for size, _ in live.values():
        cell = counted.setdefault(class_of(size), [0, 0])
        cell[0] += 1
        cell[1] += size
    return counted


def random_trace(operations, threads, seed, ends=False):
    """Lines of memory_replay. With ends, threads come and go."""
    source = random.Random(seed)
    live, unused, lines = [], [], []
    at, fresh, names = 1000, 0x7f0000000000, [100 + i for i in range(threads)]
    for number in range(operations):
        if ends and number % (operations // 20) == 17:
            gone = names.pop(source.randrange(len(names)))
            lines.append(f"{gone}: thread_done 0x0 {at}")
            names.append(1000 + number)
        thread, what, times = source.choice(names), source.random(), f"{at} {at + 30}"
        at += source.randrange(1, 200)
        size = int(2 ** source.uniform(0, 12)) if what < 0.49 else int(2 ** source.uniform(12, 21))
        if what < 0.5 or not live:
            if unused and source.random() < 0.7:
                pointer = unused.pop()
            else:
                pointer, fresh = fresh, fresh + (1 << 22)
            live.append(pointer)
            lines.append(source.choice((
                f"{thread}: malloc 0x{pointer:x} {size} {times}",
                f"{thread}: malloc 0x{pointer:x} {size} {times}",
                f"{thread}: calloc 0x{pointer:x} {size // 8 + 1} 8 {times}",
                f"{thread}: memalign 0x{pointer:x} 64 {size} {times}")))
        elif what < 0.93:
            index = source.randrange(len(live))
            pointer, live[index] = live[index], live[-1]
            live.pop()
            unused.append(pointer)
            lines.append(f"{thread}: free 0x{pointer:x} {times}")
        elif what < 0.99:
            index, size = source.randrange(len(live)), int(2 ** source.uniform(0, 14))
            old = new = live[index]
            if source.random() < 0.5:
                new, fresh = fresh, fresh + (1 << 22)
                unused.append(old)
                live[index] = new
            lines.append(f"{thread}: realloc 0x{new:x} 0x{old:x} {size} {times}")
        else:
            lines.append(f"{thread}: free 0x0 {times}")
    return lines


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hakmem-trace-")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def trace(self, lines):
        return self.write("trace.txt", "\n".join(lines) + "\n")

    def check_info(self, info, model):
        self.assertEqual(info["allocations"], model.allocations)
        self.assertEqual(info["reallocations"], model.reallocations)
        self.assertEqual(info["frees"], model.frees)
        self.assertEqual(info["null_frees"], model.null_frees)
        self.assertEqual((info["peak_bytes"], info["peak_blocks"]), model.peak[:2])
        self.assertEqual(info["all"]["end_bytes"], model.bytes)
        self.assertEqual(info["all"]["end_blocks"], len(model.live))
        self.assertEqual(info["all"]["freed_by_others"], model.freed_by_others)
        self.assertEqual(info["all"]["freed"], model.returned)
        self.check_classes(info, "end", sizes(model.live))
        self.check_classes(info, "at_peak", model.peak[2])

    def check_classes(self, shown, when, expected):
        found = {row["max_bytes"]: [row[f"{when}_blocks"], row[f"{when}_bytes"]]
                 for row in shown["classes"] if row[f"{when}_blocks"]}
        self.assertEqual(found, expected)


class Import(Case):
    def test_info_counts_what_a_model_counts_and_an_import_changes_nothing(self):
        lines = random_trace(20000, 5, 1, ends=True)
        model = Model()
        for line in lines:
            model.line(line)
        text = self.trace(lines)
        self.check_info(run_json("trace", "info", text), model)
        run("trace", "import", text, "-o", self.path("ctf"))
        info = run_json("trace", "info", self.path("ctf"))
        self.check_info(info, model)
        self.assertEqual(info["format"], "hakmem")

    def test_an_export_is_the_same_trace_with_other_pointers(self):
        lines = random_trace(5000, 3, 2)
        run("trace", "import", self.trace(lines), "-o", self.path("ctf"))
        for source in (self.path("trace.txt"), self.path("ctf")):
            exported = run("trace", "export", source).stdout.splitlines()
            self.assertEqual(len(exported), len(lines))
            names, given = {}, set()
            for ours, theirs in zip(exported, lines):
                mine, its = ours.split(), theirs.split()
                self.assertEqual(mine[:2], its[:2])
                pointers = [i for i, word in enumerate(its) if word.startswith("0x")]
                for place in reversed(pointers):  # the old block of a realloc first
                    old, new = its[place], mine[place]
                    if old == "0x0":
                        self.assertEqual(new, "0x0")
                    elif its[1] == "free" or place == 3:
                        self.assertEqual(names.pop(old), new)
                    else:
                        self.assertNotIn(new, given)
                        names[old] = new
                        given.add(new)
                rest = [i for i in range(2, len(its) - 2) if i not in pointers]
                self.assertEqual([mine[i] for i in rest], [its[i] for i in rest])

    @unittest.skipUnless(shutil.which("babeltrace2"), "babeltrace2 is not installed")
    def test_babeltrace2_lists_every_event_of_an_import(self):
        lines = random_trace(3000, 3, 3, ends=True)
        run("trace", "import", self.trace(lines), "-o", self.path("ctf"))
        listed = subprocess.run(["babeltrace2", self.path("ctf")], capture_output=True, text=True,
                                check=True)
        self.assertEqual(listed.stderr, "")
        found = {}
        for line in listed.stdout.splitlines():
            name = re.search(r"\) (?::\(\d+\) )?(\w+): ", line).group(1)
            found[name] = found.get(name, 0) + 1
        expected = {}
        for line in lines:
            name = {"memalign": "aligned_alloc", "thread_done": "thread_end"}.get(
                line.split()[1], line.split()[1])
            expected[name] = expected.get(name, 0) + 1
            if name == "realloc":
                expected["realloc_begin"] = expected.get("realloc_begin", 0) + 1
        self.assertEqual(found, expected)

    def test_what_was_resident_of_a_block_survives_an_import(self):
        text = self.write("a.txt", "1: malloc 0x10 1000000 1 2\n1: realloc 0x20 0x10 2000000 3 4 8192\n"
                          "1: free 0x20 5 6 4096\n")
        run("trace", "import", text, "-o", self.path("ctf"))
        exported = run("trace", "export", self.path("ctf")).stdout
        self.assertRegex(exported, r"realloc 0x20 0x10 2000000 \d+ \d+ 8192\n")
        self.assertRegex(exported, r"free 0x20 \d+ \d+ 4096\n")

    def test_glibc_mtrace(self):
        text = self.write("m", "= Start\n@ ./a b - 0x1:(f+0x1)[0x2] + 0x1000 0x18\n"
                          "@ ./a:[0x2] + 0x2000 0x100\n@ ./a:[0x2] < 0x1000\n"
                          "@ ./a:[0x2] > 0x3000 0x40\n@ ./a:[0x2] ! 0x3000 0x7000000000\n"
                          "- 0x2000\n@ ./a:[0x2] + (nil) 0x7000000000\n= End\n")
        info = run_json("trace", "info", text)
        self.assertEqual((info["format"], info["allocations"], info["reallocations"], info["frees"],
                          info["failed"]), ("mtrace", 2, 1, 1, 2))
        self.assertEqual((info["all"]["end_bytes"], info["peak_bytes"]), (64, 320))
        self.assertFalse(info["has_threads"])

    def test_mtrace_as_glibc_itself_writes_it(self):
        library = glob.glob(f"/lib/{os.uname().machine}-*/libc_malloc_debug.so.0")
        if not library:
            self.skipTest("no libc_malloc_debug")
        code = ("#include <mcheck.h>\n#include <stdlib.h>\nint main(void) { mtrace(); "
                "void *a = malloc(100), *b = calloc(3, 5); a = realloc(a, 5000); free(b); "
                "return a == 0; }\n")
        subprocess.run([os.environ.get("CC", "cc").split()[0], "-O0", "-x", "c", "-", "-o",
                        self.path("program")], input=code, text=True, check=True)
        subprocess.run([self.path("program")], check=True, env=ENVIRONMENT | {
            "MALLOC_TRACE": self.path("m"), "LD_PRELOAD": library[0]})
        info = run_json("trace", "info", self.path("m"))
        self.assertEqual((info["format"], info["reallocations"], info["frees"]), ("mtrace", 1, 1))
        self.assertEqual(info["all"]["end_bytes"], 5000)

    def test_firefox_logalloc_plain_and_munged(self):
        plain = self.write("p", "7 7 malloc(32)=0x10\n7 8 posix_memalign(256,240)=0x20\n"
                           "9 9 malloc(1)=0x10\n7 7 calloc(24,10)=0x30\n7 7 realloc(0x10,107)=0x40\n"
                           "7 7 jemalloc_stats()\n7 7 free(0x20)\n7 8 free(0x0)\n")
        info = run_json("trace", "info", plain)
        self.assertEqual((info["format"], info["process"], info["other_processes"]),
                         ("logalloc", 7, 1))
        self.assertEqual((info["all"]["end_bytes"], info["all"]["freed_by_others"]), (347, 1))
        self.assertEqual(run_json("trace", "info", plain, "--process", "9")["allocations"], 1)
        munged = self.write("q", "1 1 malloc(32)=#1\n1 1 memalign(64,32)=#2\n1 2 free(#1)\n"
                            "1 2 malloc(5)=#1\n1 1 realloc(#1,64)=#1\n")
        info = run_json("trace", "info", munged)
        self.assertEqual((info["all"]["end_bytes"], info["all"]["end_blocks"]), (96, 2))
        self.assertEqual(info["unknown_frees"] + info["supplied_frees"], 0)

    def test_what_cannot_be_is_counted_and_left_out(self):
        text = self.write("a", "1: free 0x99\n1: malloc 0x10 8\n2: malloc 0x10 16\n"
                          "1: realloc 0x20 0x98 4\n1: malloc 0x0 5\n")
        info = run_json("trace", "info", text)
        self.assertEqual((info["unknown_frees"], info["supplied_frees"], info["failed"]), (2, 1, 1))
        self.assertEqual((info["all"]["end_blocks"], info["all"]["end_bytes"]), (2, 20))

    def test_wrong_input_is_named_by_its_line(self):
        for data, words in (
                ("1: malloc 0x10 8\n1: mallok 0x10 8\n", "line 2: no such operation"),
                ("1: malloc 0x10\n", "line 1: malloc wants POINTER SIZE"),
                ("1: malloc 0x10 8\n\n1: malloc 0x10 99999999999999999999\n", "line 3: malloc wants"),
                ("1: malloc 0x10 8\n1: malloc 0x20 900000000000000\n", "line 2: a size"),
                ("1: malloc 0x10 8\n1: calloc 0x20 4294967296 4294967296\n", "line 2: calloc wants"),
                ("1: malloc 0x10 8 5 6\0 7\n", "line 1: what follows"),
                ("1: malloc 0x10 8\n" + "1" * 20000, "line 2: longer than"),
                ("= Start\n@ a:[0x1] < 0x10\n@ a:[0x1] - 0x10\n", "line 3: a line with <"),
                ("= Start\n@ a:[0x1] > 0x10 0x5\n", "line 2: a line with >"),
                ("1 1 malloc(3)=0x10\n1 1 fly(3)=0x10\n", "line 2: no such function"),
                ("", "there is nothing in it"), ("\x7fELF\n", "no format"),
                (b"PK\3\4....", "zip"), (b"\xff\xfe\n", "no format")):
            done = run("trace", "info", self.write("x", data), status=1)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertTrue(done.stderr.isprintable() or done.stderr.rstrip("\n").isprintable())

    def test_a_damaged_packet_is_named_by_its_byte(self):
        run("trace", "import", self.trace(random_trace(3000, 1, 4)), "-o", self.path("ctf"))
        with open(self.path("ctf/stream-1"), "rb") as file:
            whole = file.read()
        for offset, value, words in ((4096, b"\0", "byte 4096: no packet"),
                                     (4096 + 48, b"\xff\xff\xff", "byte 4144: more, or less"),
                                     (4096 + 56, b"\0\0", "byte 4152: a packet that"),
                                     (4096 + 20, b"\1", "byte 4116: no such stream"),
                                     (4096 + 88, b"\x0e", "byte 4184: no such event")):
            self.write("ctf/stream-1", whole[:offset] + value + whole[offset + len(value):])
            self.assertIn(words, run("trace", "info", self.path("ctf"), status=1).stderr)
        self.write("ctf/stream-1", whole[:4096 * 2 + 1000])  # as after a kill: the rest is passed over
        self.assertGreater(run_json("trace", "info", self.path("ctf"))["operations"], 100)

    def test_what_was_read_before_the_damage_is_kept(self):
        text = self.write("a", "1: malloc 0x10 8\n1: malloc 0x20 8\nrubbish\n")
        done = run("trace", "import", text, "-o", self.path("ctf"), status=1)
        self.assertIn("line 3", done.stderr)
        self.assertEqual(run_json("trace", "info", self.path("ctf"))["allocations"], 2)

    def test_an_import_does_not_overwrite_a_trace(self):
        text = self.write("a", "1: malloc 0x10 8\n")
        run("trace", "import", text)
        self.assertIn("holds a trace already", run("trace", "import", text, status=1).stderr)
        self.assertEqual(os.stat(text + ".hakmem/stream-1").st_mode & 0o777, 0o600)

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_a_picture_is_drawn(self):
        text = self.trace(random_trace(2000, 2, 5))
        run("trace", "info", text, "--picture", self.path("a.svg"))
        with open(self.path("a.svg"), encoding="utf8") as file:
            picture = file.read()
        self.assertIn("</svg>", picture)
        self.assertIn("lifetimes", picture)


def lttng_trace(folder, events, discarded=0):
    """A trace as LTTng-UST's libc wrapper leaves it: three folders down, several threads in one stream."""
    ident = uuid.UUID(int=7)
    deep = os.path.join(folder, "ust", "uid", "0")
    os.makedirs(deep)
    kinds = (("malloc", "size", "ptr"), ("free", "ptr"), ("calloc", "nmemb", "size", "ptr"),
             ("realloc", "in_ptr", "size", "ptr"), ("memalign", "alignment", "size", "ptr"),
             ("posix_memalign", "out_ptr", "alignment", "size", "result"), ("other:malloc_hint", "x"))
    text = ["/* CTF 1.8 */",
            "typealias integer { size = 32; align = 8; signed = false; } := u32;",
            "typealias integer { size = 64; align = 8; signed = false; } := u64;",
            "typealias integer { size = 32; align = 8; signed = true; } := s32;",
            f'trace {{ major = 1; minor = 8; uuid = "{ident}"; byte_order = le;',
            "packet.header := struct { u32 magic; u32 stream_id; }; };",
            'env { tracer_name = "lttng-ust"; };',
            "clock { name = c; freq = 1000000000; };",
            "typealias integer { size = 64; align = 8; signed = false; map = clock.c.value; } := t64;",
            "stream { id = 0; packet.context := struct { t64 timestamp_begin; t64 timestamp_end;"
            " u64 content_size; u64 packet_size; u64 events_discarded; };",
            "event.header := struct { u32 id; t64 timestamp; };",
            "event.context := struct { s32 vtid; s32 vpid; }; };"]
    for number, (name, *fields) in enumerate(kinds):
        name = name if ":" in name else "lttng_ust_libc:" + name
        text.append(f'event {{ name = "{name}"; id = {number}; stream_id = 0; fields := struct {{ '
                    + " ".join(f"{'s32' if one == 'result' else 'u64'} {one};" for one in fields)
                    + " }; };")
    body = b""
    for time, thread, process, name, *values in events:
        number = [kind[0] for kind in kinds].index(name)
        body += struct.pack("<IQii", number, time, thread, process)
        for field, value in zip(kinds[number][1:], values):
            body += struct.pack("<i" if field == "result" else "<Q", value)
    head = struct.pack("<IIQQQQQ", 0xC1FC1FC1, 0, events[0][0], events[-1][0], (48 + len(body)) * 8,
                       (48 + len(body)) * 8, discarded)
    with open(os.path.join(deep, "metadata"), "w", encoding="ascii") as file:
        file.write("\n".join(text) + "\n")
    with open(os.path.join(deep, "channel0_0"), "wb") as file:
        file.write(head + body)
    return deep


def reads_other_ctf():
    done = subprocess.run(["ldd", HAKMEM], capture_output=True, text=True, check=False)
    return "libbabeltrace2" in done.stdout


@unittest.skipUnless(reads_other_ctf(), "built without libbabeltrace2")
class OtherTracers(Case):
    EVENTS = ((10, 1, 5, "malloc", 100, 0x1000), (20, 2, 5, "calloc", 3, 50, 0x2000),
              (30, 1, 5, "other:malloc_hint", 1), (40, 1, 6, "malloc", 9, 0x1000),
              (50, 2, 5, "realloc", 0x1000, 200, 0x3000), (60, 1, 5, "memalign", 64, 10, 0x4000),
              (70, 1, 5, "posix_memalign", 0x5000, 32, 77, 0),
              (80, 1, 5, "posix_memalign", 0, 3, 77, 22), (90, 1, 5, "free", 0x2000))

    def test_lttng_ust_libc(self):
        lttng_trace(self.path("session"), self.EVENTS)
        info = run_json("trace", "info", self.path("session"))
        self.assertEqual((info["format"], info["process"], info["other_processes"]), ("ctf", 5, 1))
        self.assertEqual((info["allocations"], info["callocs"], info["aligned"],
                          info["reallocations"], info["frees"], info["failed"]), (4, 1, 2, 1, 1, 1))
        self.assertEqual((info["all"]["end_bytes"], info["all"]["freed_by_others"]), (287, 2))
        self.assertEqual(len(info["threads"]), 2)
        run("trace", "import", self.path("session"), "-o", self.path("ctf"))
        self.assertEqual(run_json("trace", "info", self.path("ctf"))["all"]["end_bytes"], 287)

    def test_a_cut_trace_is_an_error(self):
        deep = lttng_trace(self.path("session"), self.EVENTS)
        with open(os.path.join(deep, "channel0_0"), "r+b") as file:
            file.truncate(150)
        self.assertIn("libbabeltrace2", run("trace", "info", self.path("session"), status=1).stderr)
        self.write("session/ust/uid/0/metadata", "/* CTF 1.8 */\ntrace { rubbish")
        self.assertIn("libbabeltrace2", run("trace", "info", self.path("session"), status=1).stderr)

    def test_what_the_library_dies_of_is_an_error(self):
        """2.0.4 divides by the frequency that this clock lacks; another version may say so, or read it."""
        deep = lttng_trace(self.path("session"), self.EVENTS)
        with open(os.path.join(deep, "metadata"), encoding="ascii") as file:
            metadata = file.read()
        self.write("session/ust/uid/0/metadata", metadata.replace("freq =", "frequent ="))
        for command in ("info", "import"):
            done = subprocess.run([HAKMEM, "trace", command, self.path("session")], env=ENVIRONMENT,
                                  capture_output=True, text=True, check=False)
            self.assertIn(done.returncode, (0, 1), done.stderr)
            if done.returncode:
                self.assertRegex(done.stderr, r"\Ahakmem trace \w+: .*: libbabeltrace2: .*\n\Z")
                self.assertFalse(os.path.exists(self.path("session.hakmem")))

    def test_our_own_format_by_way_of_the_library_says_the_same(self):
        lines = random_trace(4000, 3, 6)
        run("trace", "import", self.trace(lines), "-o", self.path("ctf"))
        ours = run_json("trace", "info", self.path("ctf"))
        with open(self.path("ctf/metadata"), encoding="ascii") as file:
            metadata = file.read()
        self.write("ctf/metadata", metadata.replace('tracer_name = "hakmem"', 'tracer_name = "other"'))
        theirs = run_json("trace", "info", self.path("ctf"))
        self.assertEqual(theirs["format"], "ctf")
        for key in ("allocations", "reallocations", "frees", "peak_bytes", "peak_blocks", "all",
                    "classes"):
            self.assertEqual(ours[key], theirs[key], key)


def long_trace(folder, packets):
    """A trace in our format that is written quickly: one thread, and in each packet 182 mallocs and their frees."""
    import_of = os.path.join(os.path.dirname(folder), "one.txt")
    with open(import_of, "w", encoding="ascii") as file:
        file.write("7: malloc 0x10 100 5 6\n7: free 0x10 7 8\n")
    run("trace", "import", import_of, "-o", folder)
    with open(os.path.join(folder, "stream-1"), "rb") as file:
        ident = file.read(20)[4:]
    pairs = (4096 - 88) // (12 + 10)
    body = b"".join(struct.pack("<IHIH", 1 | i << 4, 16 * (i + 1), 0, 100) for i in range(pairs))
    body += b"".join(struct.pack("<IHI", 0 | (pairs + i) << 4, 16 * (i + 1), 0) for i in range(pairs))
    with open(os.path.join(folder, "stream-1"), "wb") as file:
        for number in range(packets):
            begin = number << 24  # an event has its low 24 bits
            file.write(struct.pack("<I16sIQQQQQQQII", 0xC1FC1FC1, ident, 0, 1, begin, begin + 2 * pairs,
                                   (88 + len(body)) * 8, 4096 * 8, number, 0, 7, 2 * pairs))
            file.write(body.ljust(4096 - 88, b"\0"))
    with open(os.path.join(folder, "stream-0"), "r+b") as file:
        file.seek(40)
        file.write(struct.pack("<Q", packets << 24))
    return 2 * pairs * packets


class Replay(Case):
    def sides(self):
        found = [("--preload", "glibc")]
        if exports_malloc():
            found += [("--plan", "all=old"), ("--plan", "all=next"),
                      ("--plan", "tiny=next, 2k-8k=next, large=next")]
        return found

    def check_end(self, shown, model):
        self.assertEqual((shown["end_live_bytes"], shown["end_live_blocks"]),
                         (model.bytes, len(model.live)))
        self.check_classes(shown, "end", sizes(model.live))
        self.assertEqual(shown["failed"], 0)

    def test_what_lives_at_the_end_is_what_lives_in_the_trace(self):
        lines = random_trace(20000, 6, 7, ends=True)
        model = Model()
        for line in lines:
            model.line(line)
        text = self.trace(lines)
        for side in self.sides():
            for more in ((), ("--threads", "2")):
                shown = run_json("replay", text, *side, *more)
                self.check_end(shown, model)
                self.assertEqual(shown["operations"],
                                 len(lines) - sum("thread_done" in line for line in lines))

    def test_in_recorded_order_it_is_the_same_at_the_peak_too(self):
        lines = random_trace(10000, 4, 8, ends=True)
        model = Model()
        for line in lines:
            model.line(line)
        for side in self.sides():
            shown = run_json("replay", self.trace(lines), *side, "--order=recorded")
            self.check_end(shown, model)
            self.assertEqual((shown["live_at_peak_bytes"], shown["blocks_at_peak"]), model.peak[:2])
            self.check_classes(shown, "at_peak", model.peak[2])

    def test_memory_of_the_replay_itself_is_left_out(self):
        # A million operations, of which never more than one block lives.
        text = self.write("a", "1: malloc 0x10 100\n1: free 0x10\n" * 200000)
        shown = run_json("replay", text, "--preload", "glibc")
        self.assertLess(shown["peak_rss_bytes"], 512 << 10)
        self.assertLess(shown["faults"], 100)
        # And what is held is there: 64 MiB, touched.
        text = self.write("b", "".join(f"1: malloc 0x{i + 1:x}0 1048576\n" for i in range(64)))
        shown = run_json("replay", text, "--preload", "glibc")
        self.assertGreaterEqual(shown["peak_rss_bytes"], 64 << 20)
        self.assertLess(shown["peak_rss_bytes"], 66 << 20)
        # Of which the trace says that less was touched:
        text = self.write("c", "".join(f"1: malloc 0x{i + 1:x}0 1048576 {i} {i}\n" for i in range(64))
                          + "".join(f"1: free 0x{i + 1:x}0 {99 + i} {99 + i} 40960\n"
                                    for i in range(64)))
        shown = run_json("replay", text, "--preload", "glibc")
        self.assertLess(shown["peak_rss_bytes"], 4 << 20)

    @unittest.skipUnless(exports_malloc(), "a sanitizer's shadow takes terabytes of addresses")
    def test_a_trace_larger_than_memory_is_streamed(self):
        """164 MB of trace, 233 MB of compiled operations, and room for 128 MiB in each process."""
        limit = 128 << 20
        operations = long_trace(self.path("long"), 40000)
        self.assertGreater(os.path.getsize(self.path("long/stream-1")), limit)
        self.assertGreater(operations * 16, limit)

        def confine():
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

        info = json.loads(run("trace", "info", self.path("long"), "--json", preexec_fn=confine).stdout)
        self.assertEqual((info["operations"], info["all"]["end_blocks"]), (operations, 0))
        shown = json.loads(run("replay", self.path("long"), "--plan", "all=next", "--json",
                               preexec_fn=confine).stdout)
        self.assertEqual((shown["operations"], shown["end_live_blocks"], shown["failed"]),
                         (operations, 0, 0))
        # The limit is one: what does not fit is refused.
        done = run("replay", self.write("a", "1: malloc 0x10 200000000\n"), "--plan", "all=next", "--json",
                   preexec_fn=confine)
        self.assertEqual(json.loads(done.stdout)["failed"], 1)

    def test_a_free_waits_for_its_malloc(self):
        # Every block goes from one thread to the next one, round and round.
        lines = [f"{i % 7}: malloc 0x{i + 1:x}0 64" if half == 0 else f"{(i + 1) % 7}: free 0x{i + 1:x}0"
                 for i in range(20000) for half in (0, 1)]
        for side in self.sides():
            shown = run_json("replay", self.trace(lines), *side)
            self.assertEqual((shown["end_live_blocks"], shown["threads"]), (0, 7))

    def test_a_thousand_threads_one_after_the_other_are_never_many(self):
        lines = []
        for i in range(1000):
            lines += [f"{i}: malloc 0x{i + 1:x}0 4000", f"{i}: thread_done 0x0"]
        shown = run_json("replay", self.trace(lines), "--preload", "glibc")
        self.assertEqual((shown["threads"], shown["most_threads"], shown["end_live_bytes"]),
                         (1000, 1, 4000000))

    def test_at_the_recorded_pace_it_takes_as_long(self):
        lines = [f"1: malloc 0x{i + 1:x}0 10 {i * 10000000} {i * 10000000}" for i in range(31)]
        shown = run_json("replay", self.trace(lines), "--preload", "glibc", "--pace")
        self.assertGreaterEqual(shown["seconds"], 0.3)

    def test_a_preload_that_does_not_take_effect_is_an_error(self):
        text = self.write("a", "1: malloc 0x10 100\n")
        for library, words in (("libnone-such.so", "did not take effect"),
                               ("./none.so", "No such file")):
            done = run("replay", text, "--preload", library, status=1 if words[0] == "d" else 125)
            self.assertIn(words, done.stderr)
        libm = glob.glob(f"/lib/{os.uname().machine}-*/libm.so.6")
        if libm:
            self.assertIn("did not take effect",
                          run("replay", text, "--preload", libm[0], status=1).stderr)

    def test_an_allocator_that_dies_is_told(self):
        code = ("#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdlib.h>\n"
                "void free(void *p) { static int n; if (p && ++n == 500) abort(); }\n"
                "void *__libc_malloc(size_t n);\nvoid *malloc(size_t n) { return __libc_malloc(n); }\n")
        library = self.path("dies.so")
        subprocess.run([os.environ.get("CC", "cc").split()[0], "-shared", "-fPIC", "-x", "c", "-",
                        "-o", library], input=code, text=True, check=True)
        text = self.write("a", "1: malloc 0x10 100\n1: free 0x10\n" * 1000)
        done = run("replay", text, "--preload", library, status=1)
        self.assertIn("Aborted in the middle of the replay", done.stderr)

    @unittest.skipUnless(exports_malloc(), "a sanitizer's build")
    def test_flips_in_the_middle(self):
        lines = random_trace(60000, 3, 9)
        model = Model()
        for line in lines:
            model.line(line)
        shown = run_json("replay", self.trace(lines), "--plan", "all=old", "--flip", "30%:all=next",
                         "--flip", "60%:mid=old")
        self.check_end(shown, model)
        migration = shown["migration"]
        self.assertEqual([flip["error"] for flip in migration["flips"]], [None, None])
        self.assertGreater(migration["flips"][1]["at_s"], migration["flips"][0]["at_s"])
        self.assertGreater(migration["peak_overlap_bytes"], 0)
        self.assertGreater(migration["around"]["malloc"]["timed"], 100)
        last = shown["series"][-1]
        self.assertEqual(last["system"] + last["next"] + last["legacy"], last["live_bytes"])
        self.assertGreater(max(one["stranded_bytes"] for one in shown["series"]), 0)
        first = shown["series"][0]
        self.assertEqual(first["next"], 0)
        self.assertIn("--flip", run("replay", self.path("trace.txt"), "--flip", "5x:all=next",
                                    status=2).stderr)
        self.assertIn("no such target", run("replay", self.path("trace.txt"), "--flip",
                                            "50%:all=fly", status=2).stderr)


def records():
    """This library can record."""
    done = subprocess.run([HAKMEM, "record", "--help"], capture_output=True, check=False)
    return exports_malloc() and done.returncode == 0


def by_thread(lines):
    """{thread: [(operation, numbers)]} of a trace in text, as the recorder has them: no free of NULL."""
    found = {}
    for line in lines:
        thread, operation, *words = line.replace(":", "").split()
        if operation == "thread_done" or (operation == "free" and words[0] == "0x0"):
            continue
        numbers = {"malloc": lambda: (int(words[1]),),
                   "calloc": lambda: (int(words[1]) * int(words[2]),),
                   "memalign": lambda: (int(words[1]), int(words[2])),
                   "realloc": lambda: (int(words[2]),), "free": tuple}[operation]()
        found.setdefault(thread, []).append((operation, numbers))
    return found


@unittest.skipUnless(records(), "this library does not record")
class Recorded(Case):
    def test_recording_a_replay_gives_each_thread_again(self):
        lines = random_trace(20000, 4, 11, ends=True)
        for plan in ("all=next", "all=old", "tiny=next, mid=old"):
            folder = self.path("record " + plan)
            subprocess.run([HAKMEM, "replay", self.trace(lines), "--plan", plan], check=True,
                           env=ENVIRONMENT | {"HAKMEM_RECORD": folder}, capture_output=True)
            folder, = glob.glob(glob.escape(folder) + "/hakmem-replay-*")
            info = run_json("trace", "info", folder)
            self.assertEqual((info["events_discarded"], info["cut"], info["unknown_frees"],
                              info["supplied_frees"]), (0, 0, 0, 0))
            recorded = list(by_thread(run("trace", "export", folder).stdout.splitlines()).values())
            for thread, operations in by_thread(lines).items():
                self.assertIn(operations, recorded, f"{plan}: thread {thread} is not there")
                recorded.remove(operations)


@unittest.skipUnless(exports_malloc(), "a sanitizer's build")
class Compare(Case):
    def compare(self, *more, status):
        return run_json("compare", self.trace(random_trace(30000, 1, 10)), *more, status=status)

    def test_a_plan_is_not_worse_than_itself_and_advice_follows(self):
        # Memory alone, which one thread takes the same way every time.
        guards = self.write("guards", "# memory\nwall.most = 0\ntime.most = 0\np99.most=0\n"
                            "peak_rss.most = 1.5 # wide\nheld.most = 1.5\nfaults.most = 0\n"
                            "allocations.least = 300\n")
        shown = self.compare("--old", "all=next", "--new", "all=next", "--rounds", "5",
                             "--guardrails", guards, "--html", self.path("a.html"), "--peer", "glibc",
                             status=0)
        self.assertEqual(shown["verdict"], "promote")
        self.assertEqual(shown["peers"][0]["peer"], "glibc")
        judged = [row for row in shown["classes"] if row["allocations"] >= 300]
        self.assertGreater(len(judged), 3)
        for row in judged:
            self.assertEqual(row["verdict"], "promote", row)
            self.assertLess(0.5, row["ratio"]["peak_rss"]["point"])
        for row in shown["classes"]:
            if row["allocations"] < 300:
                self.assertEqual((row["verdict"], "too few" in row["reason"]), ("hold", True))
        with open(self.path("a.html"), encoding="utf8") as file:
            page = file.read()
        self.assertIn("</html>", page)
        if shutil.which("gnuplot"):
            self.assertEqual(page.count("data:image/svg+xml"), 6)
        advice = run_json_of("advise", shown)
        run("classes", "--plan", advice["plan"])
        named = json.loads(run("classes", "--json", "--plan", advice["plan"]).stdout)
        on_next = {row["max_bytes"] for row in named["classes"] if row["served_by"] == "next"}
        self.assertTrue({row["max_bytes"] for row in judged} <= on_next)
        self.assertFalse({row["max_bytes"] for row in shown["classes"]
                          if row["verdict"] != "promote"} & on_next)
        self.assertEqual(advice["steps"][-1]["plan_so_far"], advice["plan"])

    def test_what_is_surely_worse_is_rolled_back(self):
        guards = self.write("guards", "wall.most = 0\ntime.most = 0\np99.most = 0\nheld.most = 0\n"
                            "faults.most = 0\npeak_rss.most = 0.001\npeak_rss.slack = 0\n")
        # A ratio anywhere near one is far above a thousandth, however noisy the machine is.
        shown = self.compare("--old", "all=old", "--new", "all=next", "--rounds", "6",
                             "--guardrails", guards, status=10)
        self.assertEqual(shown["verdict"], "roll back")
        self.assertIn("peak_rss is", shown["all"]["reason"])
        for row in shown["classes"]:
            self.assertEqual(row["verdict"], "roll back" if row["allocations"] >= 1000 else "hold")
        self.assertEqual(run_json_of("advise", shown)["steps"], [])

    def test_too_few_rounds_mean_hold(self):
        shown = self.compare("--old", "all=old", "--new", "all=next", "--rounds", "2", status=11)
        self.assertEqual(shown["verdict"], "hold")
        self.assertIn("too few", shown["all"]["reason"])

    def test_an_interrupt_keeps_the_rounds_that_are_whole(self):
        ours, theirs = os.openpty()
        text = self.trace(random_trace(20000, 1, 12))
        with subprocess.Popen([HAKMEM, "compare", text, "--old", "all=old", "--new", "all=next",
                               "--rounds", "200", "--json"], stdout=subprocess.PIPE, stderr=theirs,
                              env=ENVIRONMENT, text=True) as process:
            os.close(theirs)
            shown = b""
            # On a terminal it tells how far it is, a few times a second.
            while not re.search(rb"round ([3-9]|\d\d+) of 200", shown):
                shown += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            found = json.loads(process.communicate(timeout=60)[0])
        os.close(ours)
        self.assertIn(process.returncode, (0, 10, 11))
        self.assertTrue(found["interrupted"])
        self.assertTrue(2 <= found["rounds"] < 200)
        self.assertGreater(found["all"]["ratio"]["peak_rss"]["point"], 0)

    def test_thresholds_are_checked(self):
        self.assertIn("line 2: no such threshold", run(
            "compare", "x", "--guardrails", self.write("g", "time.most = 2\nfly = 3\n"),
            status=2).stderr)
        printed = run("compare", "--print-guardrails").stdout
        self.write("g", printed)
        self.compare("--old", "all=old", "--new", "all=old", "--rounds", "1", "--guardrails",
                     self.path("g"), status=11)

    def test_advice_needs_a_comparison(self):
        self.assertIn("is not what", run("advise", self.write("x", "{}"), status=1).stderr)
        self.assertIn("is not what", run("advise", self.write("y", "rubbish"), status=1).stderr)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
