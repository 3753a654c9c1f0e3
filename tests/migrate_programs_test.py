#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests/migrate_programs_test.py - real programs are migrated step by step under load and rolled back by a guard
#
#   migrate_programs_test.py [-s SECONDS] [PROGRAM...]
#
# redis-server (under redis-benchmark besides), sqlite3 and python3 serve requests whose replies are known, without a pause.
# Meanwhile tiny, then mid, then large are sent to next, SECONDS (default 1) of requests each; then next gets a fault
# (tests/faulty.c), the guard that is armed for it rolls back by itself, and the requests go on. Not one may fail, and
# every reply has to be right. Without the guard the same fault ends the process, which is shown as well.
import argparse
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(os.environ.get('top_builddir', '.'))
HAKMEM = os.path.join(BUILD, 'hakmem')
FAULTY = os.path.join(BUILD, 'tests', '.libs', 'faulty.so')
PATIENCE_S = 60
SIZES = [1, 24, 100, 1000, 1500, 4000, 9000, 30000, 60000, 300000]
BANDS = ['tiny', 'mid', 'large']
SKIPPED = 77


class Failure(Exception):
    pass


def value_of(seed):
    """What a reply has to be: as long as the seed says, of every byte that is harmless everywhere."""
    size = SIZES[seed % len(SIZES)]
    unit = hashlib.sha256(str(seed).encode()).hexdigest()
    return (unit * (size // len(unit) + 1))[:size]


# ------------------------------------------------------------------------------------ the programs


class Redis:
    name = 'redis-server'
    needs = ['redis-server', 'redis-benchmark']

    def __init__(self, work):
        self.path = os.path.join(work, 'redis.sock')
        self.command = ['redis-server', '--port', '0', '--unixsocket', self.path, '--save', '',
                        '--dir', work, '--maxmemory', '200mb', '--maxmemory-policy', 'allkeys-lru']
        self.bench = None

    def connect(self, process):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.link = socket.socket(socket.AF_UNIX)
            try:
                self.link.connect(self.path)
                break
            except OSError:
                self.link.close()
                if time.monotonic() > deadline or process.poll() is not None:
                    raise Failure('redis-server does not answer')
                time.sleep(0.02)
        self.replies = self.link.makefile('rb')

    def load(self):
        """Beside the requests whose replies are checked. It ends with an error if one of its own gets one."""
        self.bench = subprocess.Popen(
            ['redis-benchmark', '-s', self.path, '-q', '-l', '-n', '20000', '-c', '8', '-P', '4',
             '-d', '700', '-r', '5000', '-t', 'set,get,lpush,lpop,sadd,hset'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end_load(self):
        if self.bench.poll() is not None:
            raise Failure('redis-benchmark ended with %d' % self.bench.returncode)
        self.bench.terminate()
        said = self.bench.communicate()[0].decode(errors='replace')
        if 'rror' in said:
            raise Failure('redis-benchmark: ' + said[-300:])

    def ask(self, *words):
        text = b'*%d\r\n' % len(words)
        for word in words:
            word = word.encode()
            text += b'$%d\r\n%s\r\n' % (len(word), word)
        self.link.sendall(text)
        head = self.replies.readline()
        if not head.startswith(b'$'):
            return head.decode().strip()
        length = int(head[1:])
        return self.replies.read(length + 2)[:-2].decode() if length >= 0 else None

    def request(self, seed):
        key = 'checked:%d' % (seed % 97)
        answer = self.ask('SET', key, value_of(seed))
        if answer != '+OK':
            raise Failure('SET: %r' % answer)
        if seed % 5 == 0:
            answer = self.ask('APPEND', key, 'end')
            return self.ask('GET', key), value_of(seed) + 'end'
        return self.ask('GET', key), value_of(seed)

    def end(self, process):
        self.link.sendall(b'*2\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n')
        return process.wait(timeout=PATIENCE_S)


class Piped:
    """A program that reads requests line by line and answers each with one line."""

    def connect(self, process):
        self.process = process

    def load(self):
        pass

    def end_load(self):
        pass

    def ask(self, line):
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().rstrip('\n')

    def end(self, process):
        process.stdin.close()
        return process.wait(timeout=PATIENCE_S)


class Sqlite(Piped):
    name = 'sqlite3'
    needs = ['sqlite3']

    def __init__(self, work):
        self.command = ['sqlite3', '-batch', os.path.join(work, 'checked.db')]
        self.begun = False

    def request(self, seed):
        sql = ''
        if not self.begun:
            sql = 'PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; ' \
                  'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t (v);'
            self.begun = True
            if self.ask(sql) != 'memory':
                raise Failure('sqlite3 does not begin')
        value = value_of(seed)
        answer = self.ask("INSERT OR REPLACE INTO t VALUES (%d, '%s'); "
                          "SELECT v || (SELECT count(*) FROM (SELECT v FROM t ORDER BY v DESC LIMIT 3) "
                          "WHERE v IS NOT NULL) FROM t WHERE k = %d;" % (seed % 53, value, seed % 53))
        return answer[:-1], value


PYTHON = r'''
import hashlib, json, re, sys
kept = {}
for line in sys.stdin:
    seed, value = json.loads(line)
    kept[seed % 61] = value
    parts = re.findall('..', value)
    table = {str(i): part * (i % 5) for i, part in enumerate(parts[:2000])}
    text = json.dumps(table, sort_keys=True)
    back = json.loads(text)
    assert back == table
    print(hashlib.sha256((value + str(len(back))).encode()).hexdigest(), flush=True)
'''


class Python(Piped):
    name = 'python3'
    needs = ['python3']

    def __init__(self, work):
        # A python of its own allocator asks malloc for little.
        self.command = ['env', 'PYTHONMALLOC=malloc', 'python3', '-c', PYTHON]

    def request(self, seed):
        value = value_of(seed)
        parts = min(len(value) // 2, 2000)
        expected = hashlib.sha256((value + str(parts)).encode()).hexdigest()
        return self.ask(json.dumps([seed, value])), expected


# --------------------------------------------------------------------------------------- the load


class Client(threading.Thread):
    """Asks without a pause until it is told to stop, and keeps what went wrong first."""

    def __init__(self, program):
        super().__init__(daemon=True)
        self.program, self.count, self.wrong, self.going = program, 0, None, True

    def run(self):
        numbers = random.Random(1)
        while self.going and not self.wrong:
            try:
                reply, expected = self.program.request(numbers.randrange(1 << 30))
                if reply != expected:
                    self.wrong = 'a reply of %d bytes is not the %d that were expected' % (
                        len(reply or ''), len(expected))
                self.count += 1
            except (Failure, OSError, ValueError) as error:
                self.wrong = 'request %d failed: %s' % (self.count, error)

    def goes_on(self, requests, seconds=0.0):
        """That many more, and for so long."""
        target, start = self.count + requests, time.monotonic()
        while self.count < target or time.monotonic() < start + seconds:
            if self.wrong:
                raise Failure(self.wrong)
            if time.monotonic() > start + seconds + PATIENCE_S:
                raise Failure('no reply for %d s' % PATIENCE_S)
            time.sleep(0.01)


def command(*words):
    done = subprocess.run([HAKMEM, *words], capture_output=True, text=True)
    if done.returncode:
        raise Failure('hakmem %s: %s' % (' '.join(words), done.stderr.strip()))
    return done.stdout


def classes_of(pid):
    return json.loads(command('status', str(pid), '--json'))['classes']


def start(program, work, fault, guard):
    trigger = os.path.join(work, 'fault')
    settings = dict(os.environ, LD_PRELOAD=FAULTY, HAKMEM_CONTROL='1', XDG_RUNTIME_DIR=work,
                    HAKMEM_FAULT=fault, HAKMEM_FAULT_FILE=trigger, HAKMEM_GUARD=guard)
    os.environ['XDG_RUNTIME_DIR'] = work
    log = open(os.path.join(work, 'log'), 'w')
    process = subprocess.Popen(program.command, env=settings, stdin=subprocess.PIPE,
                               stdout=log if program.name == 'redis-server' else subprocess.PIPE,
                               stderr=log, cwd=work)
    program.connect(process)
    return process, trigger


def wait_for_page(process):
    """Its page is made by a thread of its own, and a wrapper that starts it has another one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return command('status', str(process.pid), '--json')
        except Failure:
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.02)


def log_of(work):
    with open(os.path.join(work, 'log'), errors='replace') as file:
        return file.read()


def migrate(pid, client, seconds):
    plan = []
    for band in BANDS:
        plan.append(band + '=next')
        command('route', str(pid), ','.join(plan))
        client.goes_on(50, seconds)


def latched(pid):
    return [c for c in classes_of(pid) if c.get('latched')]


def show(kind, fault, guard, seconds):
    """One program, one fault, the guard armed: it goes back, and nobody notices."""
    with tempfile.TemporaryDirectory() as work:
        program = kind(work)
        process, trigger = start(program, work, fault, guard)
        client = Client(program)
        try:
            client.start()
            client.goes_on(20)
            wait_for_page(process)
            program.load()
            migrate(process.pid, client, seconds)
            before = client.count
            open(trigger, 'w').close()
            deadline = time.monotonic() + PATIENCE_S
            while not latched(process.pid):
                client.goes_on(1)
                if time.monotonic() > deadline:
                    raise Failure('no guard rolled back')
            client.goes_on(100, seconds)
            program.end_load()
            gone = latched(process.pid)
            client.going = False
            client.join()
            if client.wrong:
                raise Failure(client.wrong)
            for c in gone:
                if c.get('cause') != 'guard: ' + guard or c.get('state') != 'old':
                    raise Failure('a class is latched otherwise: %r' % c)
            lines = [line for line in log_of(work).splitlines() if 'rolled back' in line]
            if not lines or 'guard: ' + guard not in lines[0]:
                raise Failure('no line in the log: %r' % lines)
            code = program.end(process)
            if code:
                raise Failure('it ended with %d' % code)
            print('%s, %s: %d replies right, %d of them after the fault; %s' % (
                program.name, fault, client.count, client.count - before,
                lines[0].split('hakmem: ', 1)[1]))
        except (Failure, subprocess.TimeoutExpired) as error:
            raise Failure('%s, %s: %s; its log ends with: %s' % (
                program.name, fault, error, log_of(work)[-600:])) from error
        finally:
            if program.name == 'redis-server' and program.bench:
                program.bench.kill()
            process.kill()
            process.wait()


def show_unguarded(kind):
    """The same fault with no guard ends the process, in one line."""
    with tempfile.TemporaryDirectory() as work:
        program = kind(work)
        process, trigger = start(program, work, 'double-free', '')
        client = Client(program)
        try:
            client.start()
            client.goes_on(20)
            wait_for_page(process)
            migrate(process.pid, client, 0)
            open(trigger, 'w').close()
            code = process.wait(timeout=PATIENCE_S)
            if code != -6 or 'double free' not in log_of(work):
                raise Failure('%s, unguarded: it ended with %d: %s' % (
                    program.name, code, log_of(work)[-300:]))
            print('%s, double-free without a guard: abort(), as it should be' % program.name)
        finally:
            process.kill()
            process.wait()


def show_threads(fault, guard):
    """What is measured needs threads in both arms: half of eight allocate from next, in which the fault is from the start."""
    with tempfile.TemporaryDirectory() as work:
        trigger = os.path.join(work, 'fault')
        open(trigger, 'w').close()
        settings = dict(os.environ, LD_PRELOAD=FAULTY, HAKMEM_PLAN='4k=next@50%:thread',
                        HAKMEM_GUARD=guard, HAKMEM_FAULT=fault, HAKMEM_FAULT_FILE=trigger)
        load = os.path.join(BUILD, 'tests', 'migrate_guarded')
        done = subprocess.run([load, str(PATIENCE_S), '8'], env=settings, capture_output=True,
                              text=True, timeout=3 * PATIENCE_S)
        name = guard.split('=')[0]
        lines = [line for line in done.stderr.splitlines() if 'rolled back' in line]
        if done.returncode or not lines or 'guard: ' + name not in lines[0]:
            raise Failure('threads, %s: it ended with %d: %s%s' % (
                fault, done.returncode, done.stdout, done.stderr))
        print('threads, %s: %s' % (fault, lines[0].split('hakmem: ', 1)[1]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('-s', dest='seconds', type=float, default=1)
    parser.add_argument('programs', nargs='*')
    wanted = parser.parse_args()
    kinds = [Redis, Sqlite, Python]
    for name in wanted.programs:
        if name not in [kind.name for kind in kinds]:
            parser.error('no such program: ' + name)
    if wanted.programs:
        kinds = [kind for kind in kinds if kind.name in wanted.programs]
    if not os.path.exists(FAULTY):
        print('skipped: no library with a fault: built for a sanitizer')
        return SKIPPED
    here = [kind for kind in kinds if all(shutil.which(need) for need in kind.needs)]
    for kind in kinds:
        if kind not in here:
            print('not here, not shown: ' + kind.name)
    if not here:
        return SKIPPED
    for name in list(os.environ):
        if name.startswith('HAKMEM_') and name not in ('HAKMEM_LIB', 'HAKMEM_SYMBOLS'):
            del os.environ[name]
    failures = 0
    for kind in here:
        for fault, guard in (('double-free', 'misuse'), ('no-memory', 'reservation')):
            try:
                show(kind, fault, guard, wanted.seconds)
            except Failure as error:
                print('FAILED: %s' % error)
                failures += 1
    for fault, guard in (('slow', 'latency=1.5/500'), ('leak', 'held=3/1m')):
        if wanted.programs:
            break
        try:
            show_threads(fault, guard)
        except (Failure, subprocess.TimeoutExpired) as error:
            print('FAILED: %s' % error)
            failures += 1
    try:
        show_unguarded(here[0])
    except (Failure, subprocess.TimeoutExpired) as error:
        print('FAILED: %s' % error)
        failures += 1
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
