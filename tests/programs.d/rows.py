# SPDX-License-Identifier: MIT
"""tests/programs.d/rows.py - the real programs, what each does, and which output must not change.

Rules for a row: its input comes from a generator with a fixed seed; nothing that depends on time,
pids, hash seeds or thread timing is noted; what is noted covers everything the program computed, so
that one wrong byte shows. Rows exercise threads, forks and frees by other threads where the program
can do that.
"""
import functools
import http.client
import os
import random
import socket
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import HERE, RunError

ROWS = []


class Row:
    """`work(run)` does the row; `programs` are those that must be seen to run on the preload. The
    key, the name's first word, is for the command line."""

    def __init__(self, name, programs, work):
        self.key = name.split()[0]
        self.name, self.programs, self.work = name, programs, work


def row(name, *programs):
    def register(work):
        ROWS.append(Row(name, programs or (name,), work))
        return work
    return register


@functools.cache
def vocabulary():
    rng = random.Random(0)
    return ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 11))) for _ in range(4000)]


def text(bytes_, seed):
    """Compressible text of made-up words in lines."""
    rng, words = random.Random(seed), vocabulary()
    lines, length = [], 0
    while length < bytes_:
        line = " ".join(rng.choices(words, k=rng.randint(3, 14))) + "\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[:bytes_]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_listening(run, command, is_ours):
    """Starts a server on a free port of 127.0.0.1 and returns (server, port) once `is_ours(server,
    port)`. Another process may take the port in between, so a server that ends at once is retried."""
    for _ in range(3):
        port = free_port()
        server = run.start(*command(port))
        deadline = time.monotonic() + 20
        while server.popen.poll() is None and time.monotonic() < deadline:
            try:
                if is_ours(server, port):
                    return server, port
            except OSError:
                pass
            time.sleep(0.02)
        server.kill()
    raise RunError("%s does not answer" % server.name)


# --- redis -------------------------------------------------------------------------------------

def resp(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def redis_data(count):
    """Commands that build, grow, rewrite and delete values of every type and of many sizes."""
    rng = random.Random(1)
    out = []
    for i in range(count):
        key = rng.randrange(count // 4)
        blob = rng.randbytes(int(2 ** rng.uniform(3, 13)))
        out.append(rng.choice((
            resp("SET", "s:%d" % key, blob),
            resp("APPEND", "s:%d" % key, blob[:200]),
            resp("HSET", "h:%d" % (key % 500), "f%d" % i, blob[:300]),
            resp("RPUSH", "l:%d" % (key % 300), blob[:100], i),
            resp("ZADD", "z:%d" % (key % 100), i, "m%d" % key),
            resp("SADD", "e:%d" % (key % 100), i * 7919),
            resp("SET", "s:%d" % key, key) + resp("INCRBY", "s:%d" % key, i),
            resp("UNLINK", "s:%d" % rng.randrange(count // 4), "h:%d" % (key % 500)),
        )))
    for big in range(8):
        out.append(resp("SETRANGE", "big:%d" % big, 300_000 << (big % 4), b"end"))
    return b"".join(out)


@row("redis-server", "redis-server", "redis-benchmark", "redis-cli")
def redis(run):
    count = run.size(20_000, 200_000)
    data = run.input("redis", lambda: redis_data(count))

    def is_ours(server, port):
        with socket.create_connection(("127.0.0.1", port), 1) as peer:
            peer.sendall(b"INFO server\r\n")
            return b"process_id:%d\r" % server.pid in peer.recv(65536)

    server, port = start_listening(run, lambda port: (
        "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", run.dir,
        "--enable-debug-command", "yes", "--lazyfree-lazy-user-flush", "yes"), is_ours)

    def cli(*words, **how):
        return run.cmd("redis-cli", "-p", port, *words, **how)

    run.cmd("redis-benchmark", "-p", port, "-n", run.size(20_000, 200_000), "-c", 16, "-P", 8, "-q",
            "-d", 400, "-r", 20_000,
            "-t", "set,get,incr,lpush,rpop,sadd,hset,spop,zadd")
    # The data set goes into a database of its own, over the holes that the load leaves behind: half
    # of it before another thread frees the load, half after.
    commands = data.read_bytes()
    half = commands.index(b"\r\n*", len(commands) // 2) + 2
    cli("-n", 1, "--pipe", stdin=commands[:half])
    cli("-n", 0, "FLUSHDB", "ASYNC")
    cli("-n", 1, "--pipe", stdin=commands[half:])
    run.note("digest", cli("DEBUG", "DIGEST"))
    keys = sorted(cli("-n", 1, "KEYS", "*").split())
    run.note("keys", b"\n".join(keys))
    read = {b"s": b"GET %s", b"b": b"GET %s", b"h": b"HLEN %s", b"l": b"LRANGE %s 0 -1",
            b"z": b"ZRANGE %s 0 -1 WITHSCORES", b"e": b"SORT %s"}
    run.note("dump", cli("-n", 1, stdin=b"\n".join(read[k[:1]] % k for k in keys)))

    cli("BGSAVE")
    deadline = time.monotonic() + 60
    while b"rdb_bgsave_in_progress:0" not in (info := cli("INFO", "persistence")):
        if time.monotonic() > deadline:
            raise RunError("the saving child of redis hangs")
        time.sleep(0.05)
    if b"rdb_last_bgsave_status:ok" not in info:
        raise RunError("the saving child of redis failed")
    cli("DEBUG", "RELOAD", "NOSAVE")
    run.note("digest of what was saved", cli("DEBUG", "DIGEST"))
    run.stop(server)


# --- interpreters ------------------------------------------------------------------------------

@row("python3")
def python(run):
    # PYTHONMALLOC=malloc: otherwise its own arenas stand between the program and the library.
    run.env.update(PYTHONMALLOC="malloc", PYTHONHASHSEED="0")
    run.note("output", run.cmd(sys.executable, "-I", "-W", "ignore", "-X", "utf8",
                               HERE / "workload.py", run.size(1, 6)))


@row("perl")
def perl(run):
    run.env.update(PERL_HASH_SEED="0", PERL_PERTURB_KEYS="0")
    run.note("output", run.cmd("perl", HERE / "workload.pl", run.size(1, 8)))


# --- sqlite ------------------------------------------------------------------------------------

SQLITE = """
PRAGMA page_size=4096; PRAGMA cache_size=-32000; PRAGMA journal_mode=MEMORY; PRAGMA threads=2;
BEGIN;
CREATE TABLE item(id INTEGER PRIMARY KEY, hash TEXT, weight REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %(rows)d)
  INSERT INTO item SELECT i, printf('%%08x', (i * 2654435761) & 4294967295), (i * 7919 %% 100003) / 7.0,
    printf('%%.*c', i * 31 %% 57, 'x') FROM n;
CREATE INDEX item_hash ON item(hash);
COMMIT;
DELETE FROM item WHERE id %% 11 = 3;
UPDATE item SET note = note || hash WHERE id %% 13 = 5;
CREATE INDEX item_weight ON item(weight, note);
PRAGMA integrity_check;
SELECT count(*), sum(id), total(weight), sum(length(note)), min(hash), max(hash) FROM item;
SELECT substr(hash, 1, 2) AS h, count(*), group_concat(id) FROM item GROUP BY h ORDER BY h;
SELECT a.id, b.id FROM item a JOIN item b ON a.hash = printf('%%08x', b.id * 7919) ORDER BY 1 LIMIT 50;
VACUUM;
PRAGMA integrity_check;
"""


@row("sqlite3")
def sqlite(run):
    rows = run.size(100_000, 1_000_000)
    out = run.cmd("sqlite3", "-batch", "-bail", "-init", "/dev/null", "rows.db",
                  stdin=(SQLITE % {"rows": rows}).encode())
    run.note("output", out)
    run.note("database", run.dir / "rows.db")
    if out.count(b"ok\n") != 2:
        raise RunError("integrity_check is not ok")


# --- git ---------------------------------------------------------------------------------------

def history(commits):
    """A fast-import stream: files that grow, change in the middle, are renamed and deleted."""
    rng = random.Random(2)
    files = {"src/file%d.txt" % i: text(rng.randint(500, 40_000), i).splitlines(True)
             for i in range(40)}
    out = []
    for n in range(commits):
        who = b"Some Body <some@example.org> %d +0000\n" % (1_000_000_000 + n * 3600)
        out.append(b"commit refs/heads/main\ncommitter " + who + b"data 8\nstep%4d\n" % n)
        for name in sorted(files) if n == 0 else rng.sample(sorted(files), 4):
            lines = files[name]
            at = rng.randrange(len(lines))
            lines[at:at + 2] = text(rng.randint(20, 900), n * 100 + at).splitlines(True) + [b"\n"]
            body = b"".join(lines)
            out.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(body), body))
        if n % 10 == 9:
            old, new = rng.choice(sorted(files)), "moved/at%d.txt" % n
            files[new] = files.pop(old)
            out.append(b"R %s %s\n" % (old.encode(), new.encode()))
    return b"".join(out)


@row("git")
def git(run):
    commits = run.size(110, 600)
    stream = run.input("git", lambda: history(commits))
    run.env.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_COUNT="5")
    # One thread packs, because the cut of the work between threads decides which deltas are found;
    # nothing runs in the background, where nobody would wait for it.
    for i, setting in enumerate(("pack.threads=1", "gc.auto=0", "maintenance.auto=false",
                                 "init.defaultBranch=main", "advice.detachedHead=false")):
        key, value = setting.split("=")
        run.env.update({"GIT_CONFIG_KEY_%d" % i: key, "GIT_CONFIG_VALUE_%d" % i: value})
    run.cmd("git", "init", "-q", "origin")
    origin, clone = run.dir / "origin", run.dir / "clone"
    run.cmd("git", "fast-import", "--quiet", stdin=stream, cwd=origin)
    run.cmd("git", "clone", "-q", "--no-local", "origin", "clone")
    run.cmd("git", "gc", "-q", "--aggressive", cwd=clone)
    run.note("fsck", run.cmd("git", "fsck", "--full", "--root", "--no-progress", cwd=clone))
    run.note("log", run.cmd("git", "log", "--format=%H %T %ct %s", "--stat", "-M", cwd=clone))
    run.note("patch", run.cmd("git", "diff", "HEAD~100", cwd=clone))
    run.note("tree", b"".join(p.read_bytes() for p in sorted(clone.glob("*/*.txt"))))
    (pack,) = (clone / ".git/objects/pack").glob("*.pack")
    run.note("pack", pack)


# --- compiler, compressor, cryptography ----------------------------------------------------------

@row("g++ -O2", "g++", "cc1plus", "as")
def compiler(run):
    run.cmd("g++", "-std=c++17", "-O2", "-frandom-seed=0", "-DDEPTH=%d" % run.size(4, 40),
            *run.size((), ("-DFULL",)), "-c", HERE / "templates.cc", "-o", "templates.o")
    run.note("object", run.dir / "templates.o")


@row("xz -T2", "xz")
def xz(run):
    mib = run.size(4, 48)
    plain = run.input("xz", lambda: text(mib << 20, 3))
    packed, back = run.dir / "text.xz", run.dir / "text"
    run.cmd("xz", "-T2", "-2", "--block-size=2MiB", "-c", stdin=plain, to=packed)
    run.cmd("xz", "-T2", "-d", "-c", stdin=packed, to=back)
    run.note("compressed", packed)
    run.note("round trip", back)
    if back.read_bytes() != plain.read_bytes():
        raise RunError("the round trip lost something")


# The fixed part of a PKCS #8 Ed25519 key (RFC 8410, section 7); the 32 bytes after it are the seed.
ED25519_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")


@row("openssl")
def openssl(run):
    mib = run.size(8, 96)
    plain = run.input("openssl", lambda: text(mib << 20, 4))
    key = run.dir / "key.der"
    key.write_bytes(ED25519_PKCS8 + bytes(range(32)))
    note = run.dir / "note"
    note.write_bytes(plain.read_bytes()[:200_000])
    for digest in ("sha256", "sha3-512", "blake2b512"):
        run.note(digest, run.cmd("openssl", "dgst", "-" + digest, stdin=plain))
    run.note("hmac", run.cmd("openssl", "dgst", "-sha1", "-mac", "HMAC", "-macopt", "key:k", plain))
    secret = ("-pbkdf2", "-iter", 5000, "-S", "00112233445566ff", "-k", "not a secret")
    run.cmd("openssl", "enc", "-aes-256-cbc", "-a", *secret, "-in", plain, "-out", "sealed")
    run.cmd("openssl", "enc", "-d", "-aes-256-cbc", "-a", *secret, "-in", "sealed", "-out", "opened")
    run.note("sealed", run.dir / "sealed")
    if (run.dir / "opened").read_bytes() != plain.read_bytes():
        raise RunError("the round trip lost something")
    run.note("scrypt", run.cmd("openssl", "kdf", "-keylen", 64, "-kdfopt", "pass:p", "-kdfopt",
                               "salt:s", "-kdfopt", "n:16384", "-kdfopt", "r:8", "-kdfopt", "p:1",
                               "SCRYPT"))
    run.note("public key", run.cmd("openssl", "pkey", "-inform", "DER", "-in", key, "-pubout"))
    run.note("signature", run.cmd("openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER",
                                  "-inkey", key, "-in", note))
    store = run.cmd("openssl", "version", "-d").split(b'"')[1].decode() + "/certs"
    for path in sorted(Path(store).glob("*.pem"))[:run.size(10, 60)]:
        run.note(path.name, run.cmd("openssl", "x509", "-noout", "-text", "-in", path))


# --- nginx -------------------------------------------------------------------------------------

NGINX = """
daemon off; worker_processes 2; %(user)s pid %(dir)s/nginx.pid; error_log %(dir)s/error.log;
events { worker_connections 256; }
http {
  access_log off; gzip on; gzip_min_length 100; gzip_types *;
  client_body_temp_path %(dir)s/a; proxy_temp_path %(dir)s/b; fastcgi_temp_path %(dir)s/c;
  uwsgi_temp_path %(dir)s/d; scgi_temp_path %(dir)s/e;
  add_header X-Run %(token)s always;
  server {
    listen 127.0.0.1:%(port)d; root %(dir)s/www;
    location /proxy/ { proxy_pass http://127.0.0.1:%(port)d/; }
    location /twice.txt { ssi on; ssi_types *; }
  }
}
"""


@row("nginx")
def nginx(run):
    names = ["file%d.txt" % i for i in range(40)]
    source = run.input("nginx", lambda: text(run.size(3, 6) << 20, 5)).read_bytes()
    www = run.dir / "www"
    www.mkdir()
    for i, name in enumerate(names):
        (www / name).write_bytes(source[i * 1000:i * 1000 + 200 + (i * i * 131) % 400_000])
    (www / "twice.txt").write_text('<!--#include virtual="file7.txt"-->' * 2)
    names += ["proxy/" + name for name in names] + ["twice.txt"]
    token = str(run.dir.stat().st_ino)

    def command(port):
        # Started as root, the workers would change to a user who cannot read the directory.
        user = "user root;" if os.geteuid() == 0 else ""
        (run.dir / "nginx.conf").write_text(
            NGINX % {"dir": run.dir, "port": port, "user": user, "token": token})
        return "nginx", "-e", run.dir / "error.log", "-c", run.dir / "nginx.conf"

    def fetch(port, name):
        peer = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            peer.request("GET", "/" + name, headers={"Accept-Encoding": "gzip"})
            answer = peer.getresponse()
            body = answer.read()
            if answer.getheader("Content-Encoding") == "gzip":
                body = zlib.decompress(body, 31)
            return answer.status, answer.getheader("X-Run"), body
        except (http.client.HTTPException, zlib.error) as error:
            raise OSError(str(error)) from None
        finally:
            peer.close()

    server, port = start_listening(
        run, command, lambda _, port: fetch(port, names[0])[1] == token)
    with ThreadPoolExecutor(4) as pool:
        rounds = run.size(3, 30)
        answers = list(pool.map(lambda name: fetch(port, name), names * rounds))
    if any(status != 200 for status, _, _ in answers):
        raise RunError("nginx refused a request")
    run.note("bodies", b"".join(body for _, _, body in answers))
    run.stop(server)
