# SPDX-License-Identifier: MIT
"""tests/programs.d/harness.py - runs a row's commands with and without the library, and measures.

Used by tests/programs (is the output the same?) and tests/flag-cost (what does it cost?). A *row* is
a function in rows.py that runs one real program on generated input and notes its output; a *side* is
a way to run it: plain, or preloaded with a plan. One `Run` is one row on one side.

Every run uses the same directory under one temporary directory, an environment built from nothing,
and input generated once, so that the allocator is the only difference between two runs of a row.
"""
import atexit
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from judge import document  # noqa: E402

COMMAND_TIMEOUT_S = 300
SERVER_TIMEOUT_S = 20


class RunError(Exception):
    """A run that gives no answer: a crash, a hang, a missing program, a preload without effect."""


class Side:
    """A way to run a row. `lib` is None without preload. `owners` maps sizes to the pool that has to
    serve them, by its name in hakmem.h; None if the library is no hakmem and cannot be asked."""

    def __init__(self, name, lib=None, env=None, owners=None):
        self.name, self.lib, self.env, self.owners = name, lib, env or {}, owners


def find_lib(option):
    """The library under test as an absolute path, or exit."""
    named = option or os.environ.get("HAKMEM_LIB")
    places = [Path(named)] if named else [
        base / lib for base in (Path.cwd(), ROOT)
        for lib in ("build/.libs/libhakmem.so", ".libs/libhakmem.so")]
    for place in places:
        if place.exists():
            return place.resolve()
    sys.exit("no library: build it first, or name it with --lib (looked for %s)"
             % ", ".join(map(str, places)))


def pick(wanted, known):
    """The known items by the wanted names, all if none was named."""
    for name in wanted or ():
        if name not in known:
            sys.exit("no %s: there are %s" % (name, ", ".join(known)))
    return [item for name, item in known.items() if not wanted or name in wanted]


def class_sizes(lib):
    """The largest size of every class up to 1 MiB, ascending: from `hakmem classes --json` where the
    command is built or installed next to the library, else eight to a doubling from 256. A size names
    the class that serves it, so the guess gives valid plans too."""
    for tool in (lib.parent.parent / "hakmem", lib.parent.parent / "bin" / "hakmem"):
        if tool.exists():
            listed = subprocess.run([tool, "classes", "--json"], stdout=subprocess.PIPE, check=True)
            sizes = [c["max_bytes"] for c in json.loads(listed.stdout)["classes"]]
            return [size for size in sizes if size and size <= 1 << 20]
    return list(range(16, 257, 16)) + [
        (1 << k) * (8 + j) // 8 for k in range(8, 20) for j in range(1, 9)]


def update_readme(name, text):
    """Puts a table between the README's marks of that name."""
    document.replace(ROOT / "README.md", name, text)


class Workshop:
    """The temporary directory, the compiled helpers and the children that are still running. Each serves one run at a
    time; `inputs_of`, another one, shares the generated inputs."""

    def __init__(self, inputs_of=None):
        self.dir = Path(tempfile.mkdtemp(prefix="hakmem-programs."))
        self.children = set()
        atexit.register(self.close)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))  # so that atexit runs
        self.inputs = inputs_of.inputs if inputs_of else self.dir / "input"
        self.inputs.mkdir(exist_ok=True)
        self.launch = self.compile("launch")
        self.witness = self.compile("witness", "-shared", "-fPIC")

    def compile(self, name, *flags):
        built = self.dir / (name + (".so" if flags else ""))
        subprocess.run([*os.environ.get("CC", "cc").split(), "-O2", "-Wall", "-Wextra", *flags,
                        "-o", built, HERE / (name + ".c")], check=True)
        return built

    def close(self):
        for child in list(self.children):
            child.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Command:
    """A command under the launcher, in a process group of its own."""

    def __init__(self, run, argv, stdin, stdout, cwd):
        self.run, self.argv = run, argv
        self.name = os.path.basename(argv[0])
        reader, writer = os.pipe()
        self.popen = subprocess.Popen(
            [run.shop.launch, str(writer), *argv], cwd=cwd, env=run.env, stdin=stdin, stdout=stdout,
            stderr=run.stderr, pass_fds=(writer,), start_new_session=True)
        os.close(writer)
        run.shop.children.add(self)
        self.report = os.fdopen(reader)
        self.pid = int(self.report.readline())

    def kill(self):
        """Ends the command and its descendants, by their group."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        self.run.shop.children.discard(self)

    def finish(self, data=None, timeout=COMMAND_TIMEOUT_S):
        """Waits for the end, adds what was used to the run, and returns stdout if it was piped."""
        try:
            out, _ = self.popen.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            raise RunError("%s hung for %d s" % (self.name, timeout)) from None
        finally:
            self.kill()
        with self.report:
            status, rss_kib, user_us, sys_us = map(int, self.report.readline().split())
        self.run.peak_kib = max(self.run.peak_kib, rss_kib)
        self.run.cpu_s += (user_us + sys_us) / 1e6
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            raise RunError("%s died of %s" % (self.name, signal.Signals(-code).name))
        if code:
            raise RunError("%s exited with %d" % (self.name, code))
        return out


class Run:
    """One row on one side. The row calls cmd, start, input and note; afterwards `notes` maps the name
    of each output to its checksum, `peak_kib` is the peak RSS of the largest process and `cpu_s` the
    user and system time of all of them. `core` is the one processor that they may use, None for any."""

    def __init__(self, shop, side, small, witness=True, core=None):
        self.shop, self.side, self.small = shop, side, small
        self.notes, self.peak_kib, self.cpu_s = {}, 0, 0.0
        self.dir = shop.dir / "run"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        self.log = shop.dir / "witness.log"
        self.log.unlink(missing_ok=True)
        self.stderr = open(shop.dir / "stderr", "w+b")
        preload = [side.lib] if side.lib else []
        preload += [shop.witness] if witness else []
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.dir), "TMPDIR": str(self.dir),
            "LC_ALL": "C.UTF-8", "TZ": "UTC", "WITNESS_LOG": str(self.log),
            "WITNESS_SIZES": " ".join(map(str, side.owners or ())),
            "LAUNCH_PRELOAD": ":".join(map(str, preload)), **side.env}
        if core is not None:
            self.env["LAUNCH_CORE"] = str(core)
        if "LD_LIBRARY_PATH" in os.environ:
            self.env["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]

    def size(self, small, full):
        return small if self.small else full

    def input(self, name, make):
        """The path of a generated input; `make()` gives its bytes and is called once for all runs."""
        path = self.shop.inputs / ("%s.%s" % (name, self.size("small", "full")))
        if not path.exists():
            path.write_bytes(make())
        return path

    def start(self, *argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=None):
        """Starts a server; the row ends it with stop()."""
        argv = [str(a) for a in argv]
        if not shutil.which(argv[0]):
            raise RunError("%s is not installed" % argv[0])
        return Command(self, argv, stdin, stdout, cwd or self.dir)

    def stop(self, server):
        """Asks a server to end, by its pid, and waits for it."""
        os.kill(server.pid, signal.SIGTERM)
        server.finish(timeout=SERVER_TIMEOUT_S)

    def cmd(self, *argv, stdin=b"", to=None, cwd=None):
        """Runs a command to its end; stdin is bytes or a path. Returns stdout, or writes it to `to`."""
        files = []
        source, sink, data = subprocess.PIPE, subprocess.PIPE, stdin
        if isinstance(stdin, Path):
            source, data = open(stdin, "rb"), None
            files.append(source)
        if to:
            sink = open(to, "wb")
            files.append(sink)
        try:
            return self.start(*argv, stdin=source, stdout=sink, cwd=cwd).finish(data)
        finally:
            for file in files:
                file.close()

    def note(self, name, what):
        """Output to compare between sides: bytes, or the path of a file."""
        data = what.read_bytes() if isinstance(what, Path) else what
        if not data:
            raise RunError("%s is empty" % name)
        self.notes[name] = hashlib.sha256(data).hexdigest()

    def verify(self, programs):
        """The preload served every process of the row, the named programs among them, by the plan."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        seen = [line.split("\t") for line in lines]
        for program in programs:
            if not any(command.startswith(program) for _, command, *_ in seen):
                raise RunError("no sign of the preload in %s" % program)
        for _, command, malloc, version, owners in seen:
            served = self.side.lib and Path(malloc).resolve() == self.side.lib
            if bool(served) != bool(self.side.lib):
                raise RunError("malloc of %s is in %s" % (command, malloc))
            if self.side.owners is None:
                continue
            if Path(version).resolve() != self.side.lib:
                raise RunError("no hakmem_version in %s" % command)
            wanted = " ".join("%d=%s" % item for item in self.side.owners.items())
            if owners != wanted:
                raise RunError("in %s the pools are %s, not %s" % (command, owners, wanted))

    def errors(self):
        """What the commands wrote to stderr."""
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")


def perform(shop, row, side, small, witness=True, core=None):
    """Runs a row on a side. Returns (Run, seconds); raises RunError."""
    run = Run(shop, side, small, witness, core)
    began = time.monotonic()
    try:
        row.work(run)
        if witness:
            run.verify(row.programs)
        said = [line for line in run.errors().splitlines() if "hakmem" in line]
        if said and side.lib:
            raise RunError("the library said: " + said[0])
    except (RunError, OSError) as error:
        tail = "".join("\n    " + line for line in run.errors().splitlines()[-5:])
        raise RunError("%s%s" % (error, tail)) from None
    finally:
        for child in list(shop.children):
            child.kill()
        run.stderr.close()
    return run, time.monotonic() - began
