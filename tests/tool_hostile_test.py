#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/tool_hostile_test.py - root looks into processes and traces of somebody who means it no good

Another user's process has a control page of which every byte is that user's to write, and a name with what a terminal
would obey; a trace is a folder of theirs. Whatever is there, the command ends by itself within its patience, sends
nothing but text to the terminal, and neither reads nor writes what only root may.

Run by make check, which sets top_builddir and HAKMEM_LIB. Only root has rights to lose: for others nothing is tested.
"""
import contextlib
import glob
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BUILD = os.path.abspath(os.environ.get("top_builddir") or os.path.join(os.path.dirname(__file__), "../build"))
HAKMEM = os.path.join(BUILD, "hakmem")
LIBRARY = os.environ.get("HAKMEM_LIB") or os.path.join(BUILD, ".libs/libhakmem.so")
STRANGER = 65534
ROUNDS = int(os.environ.get("HAKMEM_TEST_HOSTILE", "12"))  # of each kind of damage
EVIL = "e\x1b]0;evil\x07\x1b[2J\x9b31m\r\n<b>&amp;%n"
SECRET = b"what only root may read\n"


def configured(name):
    with open(os.path.join(BUILD, "config.h"), encoding="utf-8") as file:
        return re.search(rf"^#define {name} 1$", file.read(), re.M) is not None


def bound():
    """A trace is not to make the command take all the memory there is."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


@unittest.skipIf(os.geteuid() != 0, "not root")
@unittest.skipIf(configured("HAKMEM_SANITIZER"), "a sanitizer's build exports no malloc to preload")
class Hostile(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="hostile-")
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        os.chmod(self.work, 0o755)
        self.secret = os.path.join(self.work, "secret")
        with open(self.secret, "wb") as file:
            file.write(SECRET)
        os.chmod(self.secret, 0o600)
        self.secret_was = self.look_at_secret()

    def look_at_secret(self):
        found = os.stat(self.secret)
        with open(self.secret, "rb") as file:
            return file.read(), found.st_mode, found.st_uid, found.st_mtime_ns, found.st_size

    def tool(self, *arguments, seconds=40, environment=None):
        """Runs the command as root. It ends by itself, and what it says is text and no secret."""
        done = subprocess.run([HAKMEM, *map(str, arguments)], capture_output=True, timeout=seconds,
                              stdin=subprocess.DEVNULL, cwd=self.work, check=False, preexec_fn=bound,
                              env={"PATH": os.environ["PATH"], "HAKMEM_LIB": LIBRARY, "LC_ALL": "C", **(environment or {})})
        said = done.stdout + done.stderr
        self.assertGreaterEqual(done.returncode, 0, f"{arguments}: ended by a signal: {said[-400:]!r}")
        # JSON is for programs, and escapes what JSON has to.
        text = rb"[^\n\t\x20-\x7e]" if "--json" not in arguments else rb"[\x00-\x09\x0b-\x1f\x7f]"
        bad = re.search(text, said)
        self.assertIsNone(bad, f"{arguments}: {said[max(0, bad.start() - 80):bad.start() + 80]!r}" if bad else "")
        self.assertNotIn(SECRET.strip(), said)
        self.assertEqual(self.look_at_secret(), self.secret_was, arguments)
        return done


class HostilePageTest(Hostile):
    def setUp(self):
        super().setUp()
        self.public = os.path.join(self.work, "public")
        os.mkdir(self.public)
        self.library = shutil.copy(os.path.realpath(LIBRARY), os.path.join(self.public, "libhakmem.so.0"))
        self.program = shutil.copy(shutil.which("sleep"), os.path.join(self.public, EVIL.replace("/", "")))
        self.runtime = os.path.join(self.work, "runtime")
        os.mkdir(self.runtime, 0o700)
        os.chown(self.runtime, STRANGER, STRANGER)
        self.process = self.start()
        self.pages = os.path.join(self.runtime, "hakmem")
        self.page = self.wait_for_page()

    def start(self, **environment):
        process = subprocess.Popen([self.program, "1000"], user=STRANGER, group=STRANGER, extra_groups=[], cwd="/",
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={"LD_PRELOAD": self.library, "HAKMEM_CONTROL": "1", "HAKMEM_PLAN": "all=next",
                                        "XDG_RUNTIME_DIR": self.runtime, **environment})
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()

    def wait_for_page(self):
        for _ in range(400):
            found = glob.glob(os.path.join(self.pages, f"{self.process.pid}-*"))
            if found and os.stat(found[0]).st_size >= 131072:
                return found[0]
            time.sleep(0.05)
        self.fail("the process made no page")

    def ask_everything(self):
        pid = self.process.pid
        for arguments in (("status", pid), ("status", pid, "--json"), ("ps",), ("ps", "--json"), ("route", pid, "tiny=old"),
                          ("rollback", pid, "4k"), ("unlatch", pid, "--all"), ("guard", pid, "rss=4g"),
                          ("record", "status", pid)):
            yield self.tool(*arguments)

    def test_a_good_page_is_obeyed(self):
        """Else all that follows would show nothing."""
        for done in self.ask_everything():
            self.assertEqual(done.returncode, 0, done)
        self.assertIn(b"next", self.tool("status", self.process.pid).stdout)

    def scribble(self, rng, count=1):
        with contextlib.suppress(FileNotFoundError), open(self.page, "r+b", buffering=0) as file:
            for _ in range(count):
                at = rng.choice((0, 4096, 12288, 16384)) + rng.randrange(rng.choice((16, 256, 4096, 60000)))
                file.seek(at)
                file.write(rng.randbytes(rng.choice((1, 4, 8, 300, 5000))))

    def test_rubbish_in_the_page_of_a_process_that_does_not_mend_it(self):
        rng = random.Random(1)
        with open(self.page, "rb") as file:
            good = file.read()
        self.process.send_signal(signal.SIGSTOP)
        for number in range(ROUNDS):
            with open(self.page, "r+b", buffering=0) as file:
                file.truncate(0)
                file.write(good)
            self.scribble(rng, rng.choice((1, 3, 20)))
            if number % 3 == 0:
                os.truncate(self.page, rng.choice((0, 1, 100, 4095, 5000, 16384, 131071)))
            if number % 5 == 4:
                os.truncate(self.page, 1 << 40)
            self.tool("status", self.process.pid)
            self.tool("ps")
        for arguments in (("route", self.process.pid, "tiny=old"), ("rollback", self.process.pid, "--all")):
            self.assertNotEqual(self.tool(*arguments).returncode, 0)

    def test_rubbish_while_the_command_reads(self):
        rng, running = random.Random(2), True

        def write_on():
            while running:
                self.scribble(rng)
        writer = threading.Thread(target=write_on)
        writer.start()
        try:
            for _ in range(2):
                for _ in self.ask_everything():
                    pass
        finally:
            running = False
            writer.join()
        # The process lived through it, and mends its page.
        self.assertIsNone(self.process.poll())
        for _ in range(40):
            if self.tool("route", self.process.pid, "tiny=old").returncode == 0:
                return
            time.sleep(0.1)
        self.fail("the page is not mended")

    def test_something_else_in_the_place_of_the_page(self):
        other = os.path.join(self.work, "other")
        with open(other, "wb") as file:
            file.truncate(131072)
        os.chown(other, STRANGER, STRANGER)
        os.chmod(other, 0o600)

        def sparse(path):
            shutil.copy(other, path)
            os.truncate(path, 1 << 42)
        # Else the process makes another page.
        self.process.send_signal(signal.SIGSTOP)
        makers = {
            "a link to root's file": lambda path: os.symlink(self.secret, path),
            "another name of root's file": lambda path: os.link(self.secret, path),
            "a link to a page": lambda path: os.symlink(other, path),
            "another name of a page": lambda path: os.link(other, path),
            "a link to itself": lambda path: os.symlink(path, path),
            "a FIFO": os.mkfifo,
            "a folder": os.mkdir,
            "a socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
            "a device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
            "four terabytes": sparse,
        }
        for what, make in makers.items():
            with self.subTest(what):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.page)
                make(self.page)
                os.chown(self.page, STRANGER, STRANGER, follow_symlinks=False)
                if what == "another name of root's file":
                    os.chown(self.secret, 0, 0)  # it has one owner
                for arguments in (("status", self.process.pid), ("route", self.process.pid, "tiny=old"),
                                  ("record", "start", self.process.pid, "--dir", self.runtime)):
                    self.assertEqual(self.tool(*arguments).returncode, 3)
                self.tool("ps")
                if os.path.isdir(self.page) and not os.path.islink(self.page):
                    os.rmdir(self.page)

    def test_something_else_in_the_place_of_the_folder(self):
        kept = os.path.join(self.work, "kept")
        os.rename(self.pages, kept)
        os.symlink(kept, self.pages)
        self.tool("ps")
        os.unlink(self.pages)
        os.rename(kept, self.pages)
        for mode in (0o777, 0o750, 0o1700):
            os.chmod(self.pages, mode)
            self.assertEqual(self.tool("status", self.process.pid).returncode, 3)
        os.chmod(self.pages, 0o700)
        os.chown(self.pages, STRANGER - 1, STRANGER - 1)
        self.assertEqual(self.tool("status", self.process.pid).returncode, 3)
        os.chown(self.pages, STRANGER, STRANGER)
        self.assertEqual(self.tool("status", self.process.pid).returncode, 0)

    def test_wherever_the_process_says_that_its_page_lies(self):
        for place in ("/dev", "../../..", "/proc/self", "/proc/1/root", "x" * 3000, "/" + "y/" * 400, "\x1b[31m", "/\x1b[31m"):
            process = self.start(XDG_RUNTIME_DIR=place)
            time.sleep(0.1)
            self.tool("status", process.pid)
            self.end(process)


class HostileTraceTest(Hostile):
    def setUp(self):
        super().setUp()
        traces = os.path.join(self.work, "good")
        subprocess.run([HAKMEM, "run", "--record", traces, "--plan", "mid=next", "--", "perl", "-e",
                        'my @a; for my $i (1 .. 20000) { $a[$i % 97] = "x" x ($i * 37 % 9000); }'], check=True,
                       env={"PATH": os.environ["PATH"], "HAKMEM_LIB": LIBRARY})
        self.good = next(path for path in glob.glob(os.path.join(traces, "*")) if os.path.isdir(path))

    def copy(self, name):
        path = os.path.join(self.work, name)
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.good, path)
        return path

    def read(self, path, replays=True):
        self.tool("trace", "info", path)
        self.tool("trace", "info", path, "--json")
        self.tool("trace", "export", path, "--output", "/dev/null")
        if replays:
            self.tool("replay", path)

    def test_a_good_trace_is_read(self):
        done = self.tool("trace", "info", self.good)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(self.tool("replay", self.good).returncode, 0)

    def test_rubbish_in_the_files(self):
        rng = random.Random(3)
        for number in range(ROUNDS):
            path = self.copy("rubbish")
            for name in sorted(os.listdir(path)):
                file_path = os.path.join(path, name)
                size = os.path.getsize(file_path)
                if not size or rng.randrange(3) == 0:
                    continue
                if rng.randrange(4) == 0:
                    os.truncate(file_path, rng.randrange(size))
                    continue
                with open(file_path, "r+b") as file:
                    for _ in range(rng.choice((1, 5, 50))):
                        # Heads of packets as often as what is in them.
                        packet = rng.randrange(size // 4096 + 1) * 4096
                        file.seek(min(size - 1, packet + rng.randrange(rng.choice((8, 100, 4096)))))
                        file.write(rng.randbytes(rng.choice((1, 2, 8, 40))))
            with self.subTest(number):
                self.read(path, replays=number % 3 == 0)

    def test_something_else_in_the_place_of_the_files(self):
        def sparse(path):
            with open(path, "wb") as file:
                file.truncate(1 << 40)
        makers = {
            "a link to root's file": lambda path: os.symlink(self.secret, path),
            "a link to what never ends": lambda path: os.symlink("/dev/zero", path),
            "a link to itself": lambda path: os.symlink(path, path),
            "a FIFO": os.mkfifo,
            "a folder": os.mkdir,
            "nothing": lambda path: None,
            "a terabyte": sparse,
        }
        for what, make in makers.items():
            for kind in ("metadata", "stream-*"):
                path = self.copy("else")
                for file_path in sorted(glob.glob(os.path.join(path, kind))):
                    os.unlink(file_path)
                    make(file_path)
                with self.subTest(what, kind=kind):
                    self.read(path)

    def test_names_that_a_terminal_would_obey(self):
        path = self.copy(EVIL)
        self.read(path)
        metadata = os.path.join(path, "metadata")
        with open(metadata, "rb") as file:
            text = file.read()
        for word in (b"perl", b"malloc", b"hakmem"):
            with open(metadata, "wb") as file:
                file.write(text.replace(word, EVIL.replace('"', "").replace("\n", "").encode()))
            self.read(path)
        shutil.copy(metadata, os.path.join(path, "stream-" + EVIL))
        self.read(path)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
