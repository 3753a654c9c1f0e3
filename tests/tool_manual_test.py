#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/tool_manual_test.py - the man pages, --help and completion tell of the same commands and options

And every setting that the library or the command reads from the environment has an entry in a page. What an
entry says is for people to read; that there is one, in the right place and no other, is for this.
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
SOURCE = os.environ["top_srcdir"]
HAKMEM = os.path.join(os.environ["top_builddir"], "hakmem")
TOOL = os.path.join(SOURCE, "migrate", "tool")
PAGES = ("hakmem.1", "hakmem-trace.1")

# argp's own, which the pages leave to "Every command has --help".
EVERYWHERE = {"help", "usage", "version"}
# Where a command has commands of its own, their options are asked for one by one.
PARTS = {"record": ("start", "stop", "dump", "status"), "trace": ("import", "info", "export")}
# Read by nearly every program, and what its own manual says.
NOT_OURS = {"PATH", "TERM"}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def told(*arguments):
    return subprocess.run([HAKMEM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def commands():
    after = told("--help").split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in after.splitlines()]


def with_help():
    """The commands without commands of their own. hakmem top is only a sentence where there is no ncurses."""
    top = subprocess.run([HAKMEM, "top", "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True, check=False)
    left_out = set(PARTS) | ({"top"} if "built without ncurses" in top.stderr else set())
    return [name for name in commands() if name not in left_out]


def helped(command):
    """{long option: its letter or None}, by --help."""
    return {name: letter or None for letter, name in re.findall(
        r"^ +(?:-(\w), )?--([a-z-]+)", told(*command.split(), "--help"), re.MULTILINE)
        if name not in EVERYWHERE}


class Manual:
    """What the pages have on each command: its synopsis and its section, as text."""

    def __init__(self):
        self.text = {page: read(TOOL, page).replace("\\-", "-").replace("\\~", " ") for page in PAGES}
        self.about = {}
        for text in self.text.values():
            for name, body in re.findall(r'^\.SY "hakmem ([^"]+)"\n(.*?)^\.YS', text, re.MULTILINE | re.DOTALL):
                self.add(name, body)
            for names, body in re.findall(r"^\.SS (hakmem [^\n]*)\n(.*?)(?=^\.S[SH] |\Z)", text,
                                          re.MULTILINE | re.DOTALL):
                for name in names.split(", "):
                    self.add(name[len("hakmem "):], body)

    def add(self, name, text):
        self.about[name] = self.about.get(name, "") + text

    def of(self, command):
        """With what stands there for a whole group: "record" for "record start"."""
        return self.about.get(command, "") + self.about.get(command.split()[0], "") * (" " in command)

    def options(self, command):
        """Its own, not those of another command that its text names."""
        text = re.sub(r"hakmem [a-z]+ --[a-z-]+", "", self.of(command))
        return set(re.findall(r"--([a-z]+(?:-[a-z]+)*)", text)) - EVERYWHERE


class Pages(unittest.TestCase):
    def setUp(self):
        self.manual = Manual()
        self.whole = with_help()
        self.parts = [f"{name} {part}" for name, parts in PARTS.items() for part in parts]

    def test_every_command_has_a_section_and_no_other(self):
        sections = set()
        for text in self.manual.text.values():
            for line in re.findall(r"^\.SS (hakmem .*)", text, re.MULTILINE):
                sections |= {name[len("hakmem "):].split()[0] for name in line.split(", ")}
        self.assertEqual(sections, set(commands()))

    def test_every_option_is_in_the_page_and_no_other(self):
        for command in self.whole + self.parts:
            # record's commands share a help and a section
            group = command.split()[0] if command.startswith("record") else command
            with self.subTest(command):
                options = self.manual.options(group)
                if group == "record":
                    options = set().union(*(self.manual.options(part) for part in self.parts
                                            if part.startswith("record")))
                self.assertEqual(options, set(helped(command)))

    def test_a_letter_in_the_page_is_the_option_s(self):
        for command in self.whole + self.parts:
            letters = helped(command)
            for letter, name in re.findall(r'^\.BR? -(\w) ", " --([a-z-]+)', self.manual.of(command),
                                           re.MULTILINE):
                with self.subTest(f"{command} -{letter}"):
                    self.assertEqual(letters.get(name), letter)

    def test_an_entry_begins_with_its_option(self):
        for page, text in self.manual.text.items():
            lines = text.splitlines()
            for before, line in zip(lines, lines[1:]):
                if re.match(r'\.BR? -\w ", " --', line):
                    with self.subTest(f"{page}: {line}"):
                        self.assertEqual(before, ".TP")

    def test_every_setting_has_an_entry(self):
        read_by = {}
        for folder in ("shim", "migrate"):
            for where, _, names in os.walk(os.path.join(SOURCE, folder)):
                for name in names:
                    if name.endswith(".c"):
                        for setting in re.findall(r'(?:shim_setting|getenv)\("([A-Z_]+)"', read(where, name)):
                            read_by.setdefault(setting, name)
        self.assertGreater(len(read_by), 10)
        entries = set()
        for text in self.manual.text.values():
            environment = text.split(".SH ENVIRONMENT\n")[1].split("\n.SH ")[0]
            for line in re.findall(r"^\.TP\n\.BR? (.*)", environment, re.MULTILINE):
                entries |= set(re.findall(r"[A-Z_]{4,}", line))
        self.assertEqual(sorted(set(read_by) - entries - NOT_OURS), [])
        self.assertEqual(sorted(name for name in entries - set(read_by)), [])

    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_groff_finds_nothing_wrong(self):
        for page in PAGES:
            done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", os.path.join(TOOL, page)],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)


class Completion(unittest.TestCase):
    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_every_option_is_completed_and_no_other(self):
        parts = ["record start", "trace import", "trace info", "trace export"]
        for command in with_help() + parts:
            with self.subTest(command):
                words = ["hakmem", *command.split(), "--"]
                script = ('. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hakmem; '
                          'printf "%s\\n" "${COMPREPLY[@]}"')
                done = subprocess.run(["bash", "-c", script, os.path.join(TOOL, "hakmem.bash"), *words],
                                      capture_output=True, text=True, check=True)
                completed = {word[2:].split("=")[0] for word in done.stdout.split()}
                self.assertEqual(completed - EVERYWHERE, set(helped(command)))

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_every_command_is_completed(self):
        script = '. "$0"; COMP_WORDS=(hakmem ""); COMP_CWORD=1; _hakmem; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", script, os.path.join(TOOL, "hakmem.bash")], capture_output=True,
                              text=True, check=True)
        self.assertEqual({word for word in done.stdout.split() if not word.startswith("-")}, set(commands()))


if __name__ == "__main__":
    unittest.main()
