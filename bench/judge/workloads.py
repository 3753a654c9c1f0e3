# SPDX-License-Identifier: MIT
"""bench/judge/workloads.py - the rows: which program, which options, what counts as its score"""


class Case:
    """One row. `metric` is a field of the result line; `less` says that less of it is better.

    `ours_only` is environment that hakmem's columns get and no other. `apart`: the row compares a
    feature of ours with the plain program on every other library, and `about` says so; it is shown,
    and in no mean.
    """

    def __init__(self, name, command, about, metric="ops_per_s", unit="ops/s", less=False,
                 memory="peak_rss_bytes", quick=False, also=(), ours_only=None, apart=False):
        self.name = name
        self.command = command.split()
        self.about = about
        self.ours_only = ours_only or {}
        self.apart = apart
        self.metric = metric
        self.unit = unit
        self.less = less
        self.memory = memory
        self.quick = quick
        self.also = also

    def score(self, result):
        """Larger is better, always positive: what ratios are made of."""
        value = result.get(self.metric)
        if value is None or value <= 0:
            return None
        return 1 / value if self.less else value


def _larson():
    cases = []
    for band, sizes in (("tiny", "8-1024 B"), ("mid", "1-32 KiB"), ("large", "64 KiB-1 MiB")):
        for threads in (4, 2, 8, 16):
            cases.append(Case(f"larson-{band}-{threads}",
                              f"larson --band {band} --threads {threads} --seconds 0.8 "
                              "--warmup 0.4",
                              f"random replacement, {sizes}, {threads} threads at a time, each "
                              "handing its blocks to a successor",
                              quick=threads == 4, also=(("generations_timed", "threads"),)))
    return cases


def _producer_consumer():
    cases = []
    for pairs in (1, 2):
        for mix, sizes in (("small", "16-256 B"), ("medium", "256 B-4 KiB"),
                           ("broad", "16 B-32 KiB")):
            cases.append(Case(f"producer-consumer-{pairs}:{pairs}-{mix}",
                              f"producer-consumer --producers {pairs} --consumers {pairs} "
                              f"--mix {mix} --seconds 0.7",
                              f"a bounded queue, {pairs} allocating and {pairs} freeing, {sizes}",
                              quick=(pairs, mix) == (1, "small")))
    return cases


_QUARTERS = (("rss_first_quarter", "bytes"), ("rss_last_quarter", "bytes"))
_PLACEMENT = (("build_ns", "ns"), ("ns_per_object", "ns"))
_FRAGMENTATION = (("fragmentation", "share"), ("fragmentation_most", "share"))

CASES = [
    *_larson(),
    Case("burst-small", "burst --count 100000 --min 16 --max 256 --seconds 0.8",
         "100000 blocks of 16-256 B allocated, then freed: backwards, forwards, at random in turns",
         quick=True),
    Case("burst-mid", "burst --count 5000 --min 1k --max 16k --seconds 0.6",
         "the same with 5000 blocks of 1-16 KiB", quick=True),
    Case("burst-large", "burst --count 200 --min 64k --max 1m --seconds 0.6",
         "the same with 200 blocks of 64 KiB-1 MiB"),
    Case("locality", "locality --seconds 0.5",
         "objects of 16 call sites made in turns, then walked site by site: only the walk is timed",
         unit="objects/s", also=_PLACEMENT),
    Case("locality-aged", "locality --age 50 --seconds 0.5",
         "the same after half of the objects were replaced", unit="objects/s", also=_PLACEMENT),
    Case("locality-site", "locality --by site --seconds 0.5",
         "the same objects as locality; hakmem is told the site of each (hakmem_malloc_site), the "
         "others have no such call and get plain malloc", unit="objects/s", quick=True,
         also=_PLACEMENT, apart=True),
    Case("locality-site-aged", "locality --by site --age 50 --seconds 0.5",
         "the same after half of the objects were replaced", unit="objects/s", also=_PLACEMENT,
         apart=True),
    Case("locality-return", "locality --seconds 0.5",
         "the same program as locality; hakmem alone is started with HAKMEM_SITE=return-address",
         unit="objects/s", also=_PLACEMENT, ours_only={"HAKMEM_SITE": "return-address"}, apart=True),
    *_producer_consumer(),
    Case("free-only", "free-only --blocks 6m",
         "one thread only frees what others allocate; resident memory must stay flat",
         also=_QUARTERS),
    Case("remote-2", "remote --threads 2 --seconds 0.7",
         "2 threads, each frees what the other allocated"),
    Case("remote-4", "remote --threads 4 --seconds 0.7",
         "4 threads in a ring, each frees what its neighbour allocated", quick=True),
    Case("churn", "churn --ops 6m",
         "96 MiB kept alive by 2 threads, a mixture of sizes", quick=True, also=_FRAGMENTATION),
    Case("churn-drift", "churn --ops 6m --turns 12",
         "the same while the sizes asked for drift", also=_FRAGMENTATION),
    Case("thread-churn", "thread-churn --threads 6000",
         "threads are born, allocate, leave blocks behind and end", unit="threads/s", quick=True,
         also=_QUARTERS),
    Case("realloc-small", "realloc --max 64k --buffers 8 --seconds 0.6",
         "8 buffers grow by half to 64 KiB"),
    Case("realloc-64m", "realloc --max 64m --seconds 0.6",
         "2 buffers grow by half to 64 MiB", quick=True),
    Case("calloc-tiny", "calloc --band tiny --seconds 0.6",
         "zeroed blocks of 16 B-1 KiB, dirtied and freed"),
    Case("calloc-mid", "calloc --band mid --seconds 0.6", "of 1-32 KiB", quick=True),
    Case("calloc-large", "calloc --band large --seconds 0.6", "of 64 KiB-4 MiB"),
    Case("startup", "startup --count 200",
         "a process from its start to its end; memory is that of one such process",
         unit="processes/s", memory="child_peak_rss_bytes", quick=True,
         also=(("child_rss_bytes", "bytes"),)),
    Case("return", "return",
         "256 MiB built up and freed once, from a cold start: the score is the time of that; what "
         "comes back afterwards stands under memory", also=(
             ("rss_before", "bytes"), ("rss_peak", "bytes"), ("rss_freed", "bytes"),
             ("rss_idle", "bytes"), ("rss_worked", "bytes"), ("rss_trimmed", "bytes"))),
    Case("latency", "latency --seconds 0.8",
         "the time that one malloc or free in a thousand exceeds", metric="both_p99_9_ns",
         unit="ns, p99.9", less=True, quick=True,
         also=(("both_p50_ns", "ns"), ("both_p99_ns", "ns"), ("both_p99_9_ns", "ns"),
               ("both_p99_99_ns", "ns"), ("nothing_p99_99_ns", "ns"), ("ops_per_s", "ops/s"))),
]

# The judge's own test: one library against itself and against itself slowed down on purpose.
SELF_TEST = ("larson-tiny-4", "larson-mid-4", "burst-small", "remote-4", "calloc-mid",
             "realloc-small")


WITH_WARMUP = ("larson", "burst", "producer-consumer", "remote", "realloc", "calloc", "latency")
SHORT = {"--ops": "1m", "--blocks": "2m", "--count": "60", "--threads": "1000"}
BY_COUNT = {"churn": "--ops", "free-only": "--blocks", "startup": "--count",
            "thread-churn": "--threads"}


def shorten(command, share=0.3):
    """The same workload for a quick look: a part of the time or of the operations."""
    short = list(command)
    program = short[0]
    if "--seconds" in short:
        at = short.index("--seconds") + 1
        short[at] = f"{float(short[at]) * share:g}"
    # the last one given counts
    if program in WITH_WARMUP:
        short += ["--warmup", "0.1"]
    if program in BY_COUNT:
        short += [BY_COUNT[program], SHORT[BY_COUNT[program]]]
    return short


def choose(names, quick):
    """The cases whose name is, or begins with, one of the given; all, or the quick ones."""
    if not names:
        return [case for case in CASES if case.quick or not quick]
    chosen = [case for case in CASES
              if any(case.name == name or case.name.startswith(name + "-") for name in names)]
    unknown = [name for name in names
               if not any(case.name == name or case.name.startswith(name + "-")
                          for case in CASES)]
    if unknown:
        raise ValueError(f"there is no workload '{unknown[0]}'; bench/compare --list shows all")
    return chosen
