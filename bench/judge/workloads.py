# SPDX-License-Identifier: MIT
"""bench/judge/workloads.py - the rows: which program, which options, what counts as its score"""


class Case:
    """One row. `metric` is a field of the result line; `less` says that less of it is better."""

    def __init__(self, name, command, metric="ops_per_s", unit="ops/s", less=False,
                 memory="peak_rss_bytes", quick=False, also=()):
        self.name = name
        self.command = command.split()
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
    for band in ("tiny", "mid", "large"):
        for threads in (4, 2, 8, 16):
            cases.append(Case(f"larson-{band}-{threads}",
                              f"larson --band {band} --threads {threads} --seconds 0.8 "
                              "--warmup 0.4", quick=threads == 4))
    return cases


def _producer_consumer():
    cases = []
    for pairs in (1, 2):
        for mix in ("small", "medium", "broad"):
            cases.append(Case(f"producer-consumer-{pairs}:{pairs}-{mix}",
                              f"producer-consumer --producers {pairs} --consumers {pairs} "
                              f"--mix {mix} --seconds 0.7",
                              quick=(pairs, mix) == (1, "small")))
    return cases


CASES = [
    *_larson(),
    Case("burst-small", "burst --count 100000 --min 16 --max 256 --seconds 0.8", quick=True),
    Case("burst-mid", "burst --count 5000 --min 1k --max 16k --seconds 0.6", quick=True),
    Case("locality", "locality --seconds 0.5", unit="objects/s"),
    Case("locality-aged", "locality --age 50 --seconds 0.5", unit="objects/s"),
    Case("locality-site", "locality --by site --seconds 0.5", unit="objects/s", quick=True),
    *_producer_consumer(),
    Case("free-only", "free-only --blocks 2m",
         also=(("rss_first_quarter", "bytes"), ("rss_last_quarter", "bytes"))),
    Case("remote-2", "remote --threads 2 --seconds 0.7"),
    Case("remote-4", "remote --threads 4 --seconds 0.7", quick=True),
    Case("churn", "churn --ops 2m", quick=True,
         also=(("fragmentation", "share"), ("fragmentation_most", "share"))),
    Case("churn-drift", "churn --ops 2m --turns 12",
         also=(("fragmentation", "share"), ("fragmentation_most", "share"))),
    Case("thread-churn", "thread-churn", unit="threads/s", quick=True,
         also=(("rss_first_quarter", "bytes"), ("rss_last_quarter", "bytes"))),
    Case("realloc-small", "realloc --max 64k --buffers 8 --seconds 0.6"),
    Case("realloc-64m", "realloc --max 64m --seconds 0.6", quick=True),
    Case("calloc-tiny", "calloc --band tiny --seconds 0.6"),
    Case("calloc-mid", "calloc --band mid --seconds 0.6", quick=True),
    Case("calloc-large", "calloc --band large --seconds 0.6"),
    Case("startup", "startup --count 200", unit="processes/s", memory="child_peak_rss_bytes",
         quick=True, also=(("child_rss_bytes", "bytes"),)),
    Case("return", "return", also=(
        ("rss_before", "bytes"), ("rss_peak", "bytes"), ("rss_freed", "bytes"),
        ("rss_idle", "bytes"), ("rss_worked", "bytes"), ("rss_trimmed", "bytes"))),
    Case("latency", "latency --seconds 0.8", metric="both_p99_9_ns", unit="ns, p99.9", less=True,
         quick=True,
         also=(("both_p50_ns", "ns"), ("both_p99_ns", "ns"), ("both_p99_9_ns", "ns"),
               ("both_p99_99_ns", "ns"), ("ops_per_s", "ops/s"))),
]

# The judge's own test: one library against itself and against itself slowed down on purpose.
SELF_TEST = ("larson-tiny-4", "larson-mid-4", "burst-small", "remote-4", "calloc-mid",
             "realloc-small")


WITH_WARMUP = ("larson", "burst", "producer-consumer", "remote", "realloc", "calloc", "latency")
SHORT = {"--ops": "512k", "--blocks": "512k", "--count": "60", "--threads": "800"}
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
