#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests/terminal.py - a terminal for tests: runs a program on a pty and knows what stands on its screen
#
# It understands what ncurses sends for TERM=xterm-256color and fails on everything else, so that nothing on the screen
# is guessed. `python3 tests/terminal.py COLUMNSxLINES HTML COMMAND...` leaves the last screen as a page for a browser.

import fcntl
import html
import os
import pty
import re
import resource
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 30  # seconds until something that has to come has not come

COLOURS = ["#1d1f21", "#cc342b", "#3fa34d", "#d6a02c", "#3971ed", "#a36ac7", "#3aa6a6", "#c5c8c6",
           "#666666", "#ff5555", "#5fd75f", "#f0c04c", "#6c9ef8", "#c792ea", "#5fd7d7", "#ffffff"]
DIM = len(COLOURS)  # no colour
COLOURS.append("#666666")
BLANK = (" ", None, None, False, False)  # character, colour, background, bold, reversed


class Screen:
    """What the bytes so far have put on the screen."""

    SEQUENCE = re.compile(rb"\x1b(?:\[([?>!]?)([0-9;]*)([A-Za-z@`])|[()]([0B])|([=>78cM])|\][^\x07]*\x07)")

    def __init__(self, columns, lines):
        self.rest = b""
        self.alternate = False
        self.cursor_hidden = False
        self.attributes = BLANK[1:]
        self.resize(columns, lines)

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.top, self.bottom = 0, lines - 1
        self.cells = [[BLANK] * columns for _ in range(lines)]
        self.x = self.y = 0

    def feed(self, data):
        data, self.rest = self.rest + data, b""
        at = 0
        while at < len(data):
            byte = data[at]
            if byte == 0x1b:
                match = self.SEQUENCE.match(data, at)
                if not match:
                    if len(data) - at > 40:
                        raise ValueError(f"unknown sequence {data[at:at + 20]!r}")
                    self.rest = data[at:]
                    return
                self.sequence(match)
                at = match.end()
            elif byte < 0x20:
                self.control(byte)
                at += 1
            else:
                length = 1 if byte < 0x80 else 2 if byte < 0xe0 else 3 if byte < 0xf0 else 4
                if at + length > len(data):
                    self.rest = data[at:]
                    return
                self.put(data[at:at + length].decode())
                at += length

    def put(self, character):
        if self.x >= self.columns:
            self.x = 0
            self.line_feed()
        self.cells[self.y][self.x] = (character, *self.attributes)
        self.last = character
        self.x += 1

    def control(self, byte):
        if byte == 8:
            self.x = max(0, self.x - 1)
        elif byte == 9:
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif byte == 10:
            self.line_feed()
        elif byte == 13:
            self.x = 0
        elif byte != 7 and byte != 15 and byte != 14:
            raise ValueError(f"unknown control character {byte}")

    def line_feed(self):
        if self.y == self.bottom:
            self.scroll(1)
        elif self.y < self.lines - 1:
            self.y += 1

    def scroll(self, count):
        for _ in range(count):
            del self.cells[self.top]
            self.cells.insert(self.bottom, [BLANK] * self.columns)

    def scroll_back(self, count):
        for _ in range(count):
            del self.cells[self.bottom]
            self.cells.insert(self.top, [BLANK] * self.columns)

    def blank(self, y, first, end):
        for x in range(max(0, first), min(end, self.columns)):
            self.cells[y][x] = (" ", None, self.attributes[1], False, False)

    def sequence(self, match):
        mark, numbers, final, charset, single = match.groups()
        if final is None:
            if single == b"M":
                if self.y == self.top:
                    self.scroll_back(1)
                else:
                    self.y -= 1
            return
        values = [int(n) if n else 0 for n in numbers.split(b";")] if numbers else []
        first = values[0] if values else 0
        one = first or 1
        final = final.decode()
        self.x = min(self.x, self.columns - 1) if final != "m" else self.x
        line = self.cells[self.y]
        if mark == b"?":
            for value in values:
                if value in (1049, 47, 1047):
                    self.alternate = final == "h"
                    if final == "h":
                        self.cells = [[BLANK] * self.columns for _ in range(self.lines)]
                elif value == 25:
                    self.cursor_hidden = final == "l"
                elif value not in (1, 4, 7, 12, 1000, 1006, 2004):
                    raise ValueError(f"unknown mode {value}")
        elif mark:
            if not (mark == b"!" and final == "p"):
                raise ValueError(f"unknown sequence {match.group()!r}")
        elif final in "Hf":
            self.y = min((values[0] or 1) - 1 if values else 0, self.lines - 1)
            self.x = min((values[1] or 1) - 1 if len(values) > 1 else 0, self.columns - 1)
        elif final == "d":
            self.y = min(one - 1, self.lines - 1)
        elif final in "G`":
            self.x = min(one - 1, self.columns - 1)
        elif final == "A":
            self.y = max(0, self.y - one)
        elif final == "B":
            self.y = min(self.lines - 1, self.y + one)
        elif final == "C":
            self.x = min(self.columns - 1, self.x + one)
        elif final == "D":
            self.x = max(0, self.x - one)
        elif final == "J":
            if first in (0, 2, 3):
                self.blank(self.y, self.x if first == 0 else 0, self.columns)
                for y in range(self.y + 1, self.lines):
                    self.blank(y, 0, self.columns)
            if first in (1, 2, 3):
                for y in range(self.y):
                    self.blank(y, 0, self.columns)
                self.blank(self.y, 0, self.x + 1)
        elif final == "K":
            self.blank(self.y, 0 if first else self.x, self.x + 1 if first == 1 else self.columns)
        elif final == "X":
            self.blank(self.y, self.x, self.x + one)
        elif final == "P":
            del line[self.x:self.x + one]
            line.extend([BLANK] * (self.columns - len(line)))
        elif final == "@":
            line[self.x:self.x] = [BLANK] * one
            del line[self.columns:]
        elif final == "b":
            for _ in range(one):
                self.put(self.last)
        elif final in "LM":
            for _ in range(one):
                if final == "L":
                    del self.cells[self.bottom]
                    self.cells.insert(self.y, [BLANK] * self.columns)
                else:
                    del self.cells[self.y]
                    self.cells.insert(self.bottom, [BLANK] * self.columns)
        elif final == "r":
            self.top = (values[0] or 1) - 1 if values else 0
            self.bottom = (values[1] if len(values) > 1 and values[1] else self.lines) - 1
            self.x = self.y = 0
        elif final == "S":
            self.scroll(one)
        elif final == "T":
            self.scroll_back(one)
        elif final == "m":
            self.paint(values or [0])
        elif final not in "hltn":
            raise ValueError(f"unknown sequence {match.group()!r}")

    def paint(self, values):
        colour, background, bold, reverse = self.attributes
        values = list(values)
        while values:
            value = values.pop(0)
            if value == 0:
                colour, background, bold, reverse = BLANK[1:]
            elif value == 1:
                bold = True
            elif value == 2:
                colour = DIM if colour is None else colour
            elif value == 22:
                bold = False
            elif value == 7:
                reverse = True
            elif value == 27:
                reverse = False
            elif 30 <= value <= 37:
                colour = value - 30
            elif 40 <= value <= 47:
                background = value - 40
            elif 90 <= value <= 97:
                colour = value - 82
            elif value == 39:
                colour = None
            elif value == 49:
                background = None
            elif value not in (4, 24, 5, 25):
                raise ValueError(f"unknown attribute {value}")
        self.attributes = (colour, background, bold, reverse)

    def row(self, y):
        return "".join(cell[0] for cell in self.cells[y]).rstrip()

    def text(self):
        return "\n".join(self.row(y) for y in range(self.lines))

    def colours(self):
        """The colours in use, the default left out."""
        return {c for row in self.cells for _, *cs, _, _ in row for c in cs if c not in (None, DIM)}

    def html(self):
        out = ['<meta charset="utf-8"><style>body{margin:0;background:#1d1f21}pre{margin:0;padding:16px;'
               'font:15px/1.25 "DejaVu Sans Mono",monospace;color:#d8dbd9;background:#1d1f21}</style><pre>']
        for row in self.cells:
            for character, colour, background, bold, reverse in row:
                front = COLOURS[colour + 8 * bold if colour < 8 else colour] if colour is not None \
                    else "#ffffff" if bold else "#d8dbd9"
                back = COLOURS[background] if background is not None else "#1d1f21"
                if reverse:
                    front, back = back, front
                style = f"color:{front};background:{back}" + (";font-weight:bold" if bold else "")
                out.append(f'<span style="{style}">{html.escape(character)}</span>')
            out.append("\n")
        return "".join(out) + "</pre>"


def lead(slave, command, variables):
    """As a shell does: leads the session, and ends as the program in its foreground ends. Without a leader outside its
    group a program cannot be stopped."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.closerange(3, 64)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    begin, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)
        os.read(begin, 1)
        os.execvpe(command[0], command, variables)
    os.setpgid(pid, pid)
    os.tcsetpgrp(0, pid)
    os.write(go, b"g")
    status = os.waitpid(pid, 0)[1]
    os.tcsetpgrp(0, os.getpid())
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, columns=100, lines=30, environment=None):
        self.screen = Screen(columns, lines)
        self.output = b""  # all there was
        self.status = None
        variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
        variables = {name: value for name, value in variables.items() if value is not None}
        self.master, slave = pty.openpty()
        self.slave = slave
        self.settings = termios.tcgetattr(slave)
        self.set_size(columns, lines)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                lead(slave, command, variables)
            finally:
                os._exit(127)

    def set_size(self, columns, lines):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.screen.resize(columns, lines)
        self.set_size(columns, lines)  # the kernel sends SIGWINCH

    def read(self, timeout=0.05, most=65536):
        """What has come, if anything comes in time."""
        if not select.select([self.master], [], [], timeout)[0]:
            return b""
        data = os.read(self.master, most)
        self.output += data
        self.screen.feed(data)
        return data

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status

    def until(self, what, why=""):
        """Reads until what() holds; fails if it does not in time."""
        limit = time.monotonic() + PATIENCE
        while not what():
            if time.monotonic() > limit:
                raise AssertionError(f"{why or 'it'} did not come; the screen:\n{self.screen.text()}")
            if not self.read() and self.poll() is not None and not what():
                if not self.read():
                    raise AssertionError(f"{why or 'it'} did not come, the program ended: "
                                         f"{self.status}\n{self.screen.text()}")

    def shows(self, pattern):
        self.until(lambda: re.search(pattern, self.screen.text()), f"/{pattern}/")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def signal(self, number):
        """To the program, not to the one that leads its session."""
        os.killpg(os.tcgetpgrp(self.master), number)

    def end(self):
        """Its wait status, once it has ended by itself."""
        limit = time.monotonic() + PATIENCE
        while self.poll() is None:
            self.read()
            if time.monotonic() > limit:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it does not end; the screen:\n{self.screen.text()}")
        while self.read(0):
            pass
        return self.status

    def is_restored(self):
        """As it was: settings, the main screen, the cursor, no colour left over."""
        return (termios.tcgetattr(self.slave) == self.settings and not self.screen.alternate and
                not self.screen.cursor_hidden and self.screen.attributes == BLANK[1:])

    def close(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)


def main():
    columns, lines = map(int, sys.argv[1].split("x"))
    terminal = Terminal(sys.argv[3:], columns, lines)
    limit = time.monotonic() + float(os.environ.get("TERMINAL_SECONDS", "5"))
    for key in os.environ.get("TERMINAL_KEYS", ""):
        terminal.until(lambda: terminal.screen.text().strip())
        time.sleep(0.5)
        terminal.press(key)
    while time.monotonic() < limit and terminal.poll() is None:
        terminal.read()
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(terminal.screen.html())
    print(terminal.screen.text())
    terminal.close()


if __name__ == "__main__":
    main()
