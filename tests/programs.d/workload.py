# SPDX-License-Identifier: MIT
"""tests/programs.d/workload.py - the python3 row: JSON, regular expressions, threads, children

workload.py SCALE prints one checksum a part. Results are put in order before they are hashed, so
that only a wrong byte, and never the timing of threads, can change them.
"""
import hashlib
import json
import os
import queue
import random
import re
import subprocess
import sys
import threading

SCALE = int(sys.argv[1])


def show(part, *values):
    print(part, hashlib.sha256(repr(values).encode()).hexdigest(), flush=True)


def document(rng, depth):
    """A nested value with strings from a byte to some KiB."""
    if depth == 0:
        return rng.choice((rng.random(), rng.getrandbits(70), None, True,
                           "\u00fc" * rng.randrange(40),
                           "x%d " % rng.randrange(999) * rng.randrange(300)))
    width = rng.randrange(2, 9)
    if rng.random() < 0.5:
        return [document(rng, depth - 1) for _ in range(width)]
    return {"key%d" % rng.randrange(10**6): document(rng, depth - 1) for _ in range(width)}


def json_part():
    rng = random.Random(1)
    for n in range(6 * SCALE):
        before = document(rng, 5)
        packed = json.dumps(before, indent=n % 3, sort_keys=True)
        after = json.loads(packed)
        assert after == before
        show("json", packed, after)


def regex_part():
    rng = random.Random(2)
    words = ["".join(rng.choices("abcdef0123", k=rng.randrange(1, 12))) for _ in range(60_000 * SCALE)]
    text = " ".join(words)
    show("regex", re.findall(r"\b([a-c]+)(\d{2,})", text), re.sub(r"(\w)(\w+)", r"\2\1", text),
         re.split(r"[ f]+", text), sum(len(m.group()) for m in re.finditer(r"(?:ab|cd|ef)+\S*", text)))


def threads_part():
    """Blocks are made by producers and freed by consumers, and many threads come and go."""
    todo, done = queue.Queue(64), queue.Queue()

    def produce(seed):
        rng = random.Random(seed)
        for n in range(1500 * SCALE):
            todo.put((seed, n, bytearray(rng.randbytes(int(2 ** rng.uniform(3, 15))))))

    def consume():
        while (job := todo.get()) is not None:
            seed, n, block = job
            block.extend(block[:n % 3000])
            done.put((seed, n, hashlib.sha256(block).hexdigest()))

    consumers = [threading.Thread(target=consume) for _ in range(4)]
    producers = [threading.Thread(target=produce, args=(seed,)) for seed in range(4)]
    for thread in consumers + producers:
        thread.start()
    children = fork_part(4)
    for thread in producers:
        thread.join()
    for _ in consumers:
        todo.put(None)
    for thread in consumers:
        thread.join()
    show("threads", sorted(done.queue))
    show("fork", children)

    short_lived = []
    for n in range(100 * SCALE):
        thread = threading.Thread(target=lambda n=n: short_lived.append((n, str(n) * 2000)))
        thread.start()
        thread.join()
    show("short-lived threads", short_lived)


def fork_part(count):
    """Children forked while other threads allocate; each allocates and answers through a pipe."""
    answers = []
    for n in range(count):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            blocks = [bytes([n]) * size for size in range(1, 40_000, 37)]
            os.write(writer, hashlib.sha256(b"".join(blocks)).digest())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answers.append(pipe.read())
        assert os.waitpid(pid, 0)[1] == 0
    return answers


def subprocess_part():
    program = "import sys; print(sum(map(int, sys.stdin)), list(range(%d))[-1])"
    children = [subprocess.Popen([sys.executable, "-I", "-c", program % (n * 1000)], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(1, 7)]
    numbers = "\n".join(map(str, range(50_000)))
    show("subprocess", [child.communicate(numbers) for child in children],
         [child.returncode for child in children])
    lines = "\n".join("%d" % (n * 7919 % 10007) for n in range(20_000 * SCALE))
    show("pipeline", subprocess.run("sort -n | uniq -c | tail -500", shell=True, check=True, text=True,
                                    input=lines, stdout=subprocess.PIPE).stdout)


json_part()
regex_part()
threads_part()
subprocess_part()
