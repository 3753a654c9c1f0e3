#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests/migrate_syslog_test.py - HAKMEM_LOG=syslog: a rollback's one line goes to /dev/log, and to standard error where
# nobody takes it there
#
# In a mount namespace of its own with a /dev of its own, so that the machine's log hears nothing of it.

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["top_builddir"]
HAKMEM = os.path.join(BUILD, "hakmem")
OWNER = os.path.join(BUILD, "tests", "migrate_owner")
MISUSE = os.path.join(BUILD, "tests", "misuse_act")
LIBRARY = os.environ["HAKMEM_LIB"]
PATIENCE = 30
SKIPPED = 77
WARNING = 3 * 8 + 4  # of a daemon, as syslog(3) has it


def enter_namespace(work):
    """Runs this again with a /dev that holds little. Does not return where that is possible."""
    script = """
        mount --make-rprivate / && mkdir "$1/dev" && mount -t tmpfs none "$1/dev" || exit 99
        for name in null zero full random urandom; do
            touch "$1/dev/$name" && mount --bind "/dev/$name" "$1/dev/$name" || exit 99
        done
        mount --bind "$1/dev" /dev || exit 99
        shift && exec "$@" """
    for how in (["-m"], ["-r", "-m"]):
        if subprocess.run(["unshare", *how, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            continue
        environment = {**os.environ, "HAKMEM_TEST_OWN_DEV": work}
        done = subprocess.run(["unshare", *how, "sh", "-c", script, "sh", work, sys.executable, *sys.argv],
                              env=environment, check=False)
        if done.returncode != 99:
            return done.returncode
    print("skipped: no mount namespace to be had here")
    return SKIPPED


class Log:
    """What syslogd would be."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        self.socket.settimeout(PATIENCE)
        return self

    def line(self):
        return self.socket.recv(65536).decode()

    def is_empty(self):
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(65536)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def __exit__(self, *_):
        self.socket.close()
        os.unlink("/dev/log")


class Target:
    def __init__(self, **settings):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [OWNER, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env={**os.environ, "LD_PRELOAD": LIBRARY, "HAKMEM_CONTROL": "1", "HAKMEM_PLAN": "tiny=next", **settings})
        self.pid = self.process.pid
        limit = time.monotonic() + PATIENCE
        while self.command("status", "-i", "0").returncode != 0:
            assert time.monotonic() < limit and self.process.poll() is None, "no control page"

    def command(self, name, *arguments):
        return subprocess.run([HAKMEM, name, str(self.pid), *arguments], capture_output=True, text=True, check=False)

    def rolls_back(self):
        assert self.command("rollback", "64").returncode == 0
        assert self.command("unlatch", "64").returncode == 0

    def said(self):
        """On standard error so far. A command is answered when its line is out."""
        self.errors.seek(0)
        return self.errors.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()
        self.errors.close()


LINE = r"rolled back 1 class of 64 bytes \(1 left next\), asked for by the command; latched until unlatched"


def one_line_in_the_log():
    with Log() as log, Target(HAKMEM_LOG="syslog") as target:
        for _ in range(3):
            target.rolls_back()
            assert re.fullmatch(rf"<{WARNING}>hakmem\[{target.pid}\]: {LINE}", log.line())
        assert log.is_empty(), "more than one line for a rollback"
        assert target.said() == "", target.said()


def a_guards_line_too():
    with Log() as log:
        done = subprocess.run([MISUSE, "double-free", "64"], capture_output=True, text=True, check=False,
                              env={**os.environ, "LD_PRELOAD": LIBRARY, "HAKMEM_PLAN": "tiny=next",
                                   "HAKMEM_GUARD": "misuse", "HAKMEM_LOG": "syslog"})
        assert (done.returncode, done.stderr) == (0, ""), done
        first, second = log.line(), log.line()
        assert re.match(rf"<{WARNING}>hakmem\[\d+\]: free of a block .*survived", first), first
        assert re.match(rf"<{WARNING}>hakmem\[\d+\]: rolled back 1 class of 64 bytes .*guard: misuse: ", second), second
        assert log.is_empty()


def to_standard_error_where_there_is_no_log():
    with Target(HAKMEM_LOG="syslog") as target:
        target.rolls_back()
        assert re.fullmatch(rf"hakmem: {LINE}\n", target.said()), target.said()
        # Whoever starts later gets the next one.
        with Log() as log:
            target.rolls_back()
            assert re.search(LINE, log.line())
        assert target.said().count("\n") == 1, target.said()


def a_log_that_nobody_reads_holds_nobody_up():
    with Log(), Target(HAKMEM_LOG="syslog") as target:
        limit = time.monotonic() + PATIENCE
        rollbacks = 0
        while not target.said():
            assert time.monotonic() < limit and rollbacks < 5000, "the log takes everything"
            target.rolls_back()
            rollbacks += 1
        assert re.fullmatch(rf"(hakmem: {LINE}\n)+", target.said()), target.said()


def to_standard_error_unless_it_is_asked_for():
    with Log() as log:
        for settings in ({}, {"HAKMEM_LOG": "stderr"}):
            with Target(**settings) as target:
                target.rolls_back()
                assert re.fullmatch(rf"hakmem: {LINE}\n", target.said()), target.said()
        with Target(HAKMEM_LOG="nowhere") as target:
            target.rolls_back()
            assert re.fullmatch(rf"hakmem: HAKMEM_LOG: stderr or syslog; lines go to stderr\nhakmem: {LINE}\n",
                                target.said()), target.said()
        assert log.is_empty()


def main():
    symbols = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True)
    if not re.search(r" malloc$", symbols.stdout, re.M):
        print("skipped: built for a sanitizer: there is no malloc to preload")
        return SKIPPED
    if "HAKMEM_TEST_OWN_DEV" not in os.environ:
        work = tempfile.mkdtemp()
        try:
            return enter_namespace(work)
        finally:
            shutil.rmtree(work)
    for name in list(os.environ):
        if name.startswith("HAKMEM_") and name not in ("HAKMEM_LIB", "HAKMEM_TEST_OWN_DEV"):
            del os.environ[name]
    os.environ["XDG_RUNTIME_DIR"] = os.environ["HAKMEM_TEST_OWN_DEV"]
    failures = 0
    for test in (one_line_in_the_log, a_guards_line_too, to_standard_error_where_there_is_no_log,
                 a_log_that_nobody_reads_holds_nobody_up, to_standard_error_unless_it_is_asked_for):
        try:
            test()
            print(f"ok      {test.__name__}")
        except (AssertionError, OSError) as error:
            print(f"FAILED  {test.__name__}: {error!r} (line {error.__traceback__.tb_next.tb_lineno})")
            failures += 1
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
