# SPDX-License-Identifier: MIT
"""bench/judge/libraries.py - the malloc libraries under test, and whether a preload took effect"""
import glob
import json
import os
import re
import subprocess
import sys

from judge import programs

HELP = """libraries:
  glibc              the C library's own malloc: nothing is preloaded
  mimalloc jemalloc tcmalloc
                     the distribution's package, when it is installed
  hakmem             the library just built, with whatever HAKMEM_* the environment holds
  hakmem:PLAN        the same with HAKMEM_PLAN=PLAN; hakmem:next is short for all=next,
                     hakmem:old for all=old, hakmem:legacy for mid=legacy
  NAME=PATH          any library by path
  NAME=PATH:PLAN     a build of hakmem by path, with a plan
  ...,KEY=VALUE      after any of these: one more environment variable (KEY in capitals)
"""

PEERS = {
    "mimalloc": "libmimalloc.so.[0-9]",
    "jemalloc": "libjemalloc.so.[0-9]",
    "tcmalloc": "libtcmalloc_minimal.so.[0-9]",
}
# Environment that allocators and the dynamic linker listen to.
SETTINGS = ("LD_PRELOAD", "HAKMEM_", "MALLOC_", "_RJEM_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES",
            "SNMALLOC_", "RPMALLOC_")
PLANS = {"next": "all=next", "old": "all=old", "legacy": "mid=legacy"}


class Library:
    """One column of a table: a library and the environment it gets."""

    def __init__(self, name, path=None, variables=None, takes_environment=False):
        self.name = name
        self.takes_environment = takes_environment
        self.path = os.path.realpath(path) if path else None
        self.variables = variables or {}

    def environment(self, ours_only=None):
        """What a program is started with. `ours_only` is added for hakmem (see Case)."""
        # settings that happen to be in the caller's environment would change a column without a
        # trace; those of hakmem are meant for a bare 'hakmem' only
        kept = ("HAKMEM_",) if self.takes_environment else ()
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(SETTINGS) or (kept and key.startswith(kept))}
        if ours_only and self.is_hakmem():
            env.update(ours_only)
        env.update(self.variables)
        if self.path:
            env["LD_PRELOAD"] = self.path
        return env

    def is_hakmem(self):
        return bool(self.path) and os.path.basename(self.path).startswith("libhakmem")

    def describe(self):
        variables = " ".join(f"{key}={value}" for key, value in sorted(self.variables.items()))
        return " ".join(part for part in (variables, self.path or "no preload") if part)


def multiarch_directories():
    found = [d for d in glob.glob("/usr/lib/*-linux-*") if os.path.isdir(d)]
    return found + ["/usr/lib64", "/usr/lib", "/usr/local/lib"]


def find_peer(name):
    for directory in multiarch_directories():
        matches = sorted(glob.glob(os.path.join(directory, PEERS[name])))
        if matches:
            return matches[0]
    return None


def find_hakmem(given_programs=None):
    if os.environ.get("HAKMEM_LIBRARY"):
        return os.environ["HAKMEM_LIBRARY"]
    for directory in programs.directories(given_programs):
        path = os.path.join(os.path.dirname(directory), ".libs", "libhakmem.so")
        if os.path.exists(path):
            return path
    return None


def parse(text, given_programs=None):
    """Read one library from the command line; exits with a reason when it cannot be had."""
    # a comma before CAPITALS= starts a variable; other commas belong to the plan
    main, *extras = re.split(r",(?=[A-Z][A-Z_]*=)", text)
    variables = dict(extra.split("=", 1) for extra in extras)
    label = text
    if main == "glibc":
        return Library(label, None, variables)
    if main in PEERS:
        path = find_peer(main)
        if not path:
            sys.exit(f"bench: {main} is not installed")
        return Library(label, path, variables)
    if main == "hakmem" or main.startswith("hakmem:"):
        path = find_hakmem(given_programs)
        if not path:
            sys.exit("bench: libhakmem.so is not built: run 'make', or set HAKMEM_LIBRARY")
        if ":" in main:
            plan = main.split(":", 1)[1]
            variables.setdefault("HAKMEM_PLAN", PLANS.get(plan, plan))
        return Library(label, path, variables, takes_environment=main == "hakmem")
    if "=" not in main:
        sys.exit(f"bench: what library is '{text}'?\n{HELP}")
    label, path = main.split("=", 1)
    if not os.path.exists(path) and ":" in path:
        path, plan = path.split(":", 1)
        variables.setdefault("HAKMEM_PLAN", PLANS.get(plan, plan))
    if not os.path.exists(path):
        sys.exit(f"bench: {label}: there is no {path}")
    return Library(label, path, variables)


def default_names(given_programs=None):
    names = ["glibc"] + [name for name in PEERS if find_peer(name)]
    if find_hakmem(given_programs):
        names += ["hakmem:old", "hakmem:next"]
    return names


def choose(names, given_programs=None):
    names = names or default_names(given_programs)
    chosen = [parse(name, given_programs) for name in names]
    labels = [library.name for library in chosen]
    for label in labels:
        if labels.count(label) > 1:
            sys.exit(f"bench: '{label}' is named twice: give one of them another name by NAME=PATH")
    return chosen


def came_from(library, result):
    """None when a result line came from the library it should, else what is wrong."""
    origin = os.path.realpath(result.get("malloc_from", ""))
    if library.path is None:
        if not os.path.basename(origin).startswith(("libc.so", "libc-", "ld-musl")):
            return f"malloc should be libc's and is served by {origin}"
        return None
    if origin != library.path:
        return f"the preload took no effect: malloc is served by {origin}"
    if library.is_hakmem() and "hakmem" not in result:
        return "the library does not answer to hakmem_version"
    owners = result.get("hakmem_owners", [])
    if library.variables.get("HAKMEM_PLAN") == PLANS["next"] and set(owners) - {"next"}:
        return f"the plan took no effect: blocks of 64, 4k and 128k are {', '.join(owners)}'s"
    return None


def verify(library, program):
    """Start a program on the library and look at it from outside and from inside.

    Outside: /proc/PID/maps must show the file mapped executable. Inside: the symbol malloc must
    come from that file, and hakmem must answer to a symbol of its own. Whatever a library prints
    on standard error while it starts (a plan it refused, a preload that ld.so ignored) counts.
    """
    # standard error goes to a pipe that is read after the end: a few lines fit
    with subprocess.Popen([program, "--identify"], env=library.environment(),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as child:
        line = child.stdout.readline()
        try:
            with open(f"/proc/{child.pid}/maps", encoding="utf-8", errors="replace") as maps:
                mapped = {entry.split(None, 5)[5].strip() for entry in maps
                          if len(entry.split(None, 5)) == 6 and "x" in entry.split()[1]}
        except OSError:
            mapped = set()
        _, complaints = child.communicate()
    if not line:
        return f"the program did not start: {complaints.strip() or child.returncode}"
    if complaints.strip():
        return complaints.strip().splitlines()[0]
    if library.path and library.path not in {os.path.realpath(path) for path in mapped}:
        return f"the preload took no effect: {library.path} is not mapped"
    return came_from(library, json.loads(line))
