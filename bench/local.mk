# SPDX-License-Identifier: MIT
# bench/local.mk - benchmarks: nothing here is installed, and the programs are built on demand
#
#   make bench          every workload on every library, with pictures, in under an hour; resumable
#   make bench-quick    a part of it in under four minutes
#   make bench-self     the judge's own test: one library against itself and against a planted loss
#   make ladder         the plan's table as measured here
#   make instructions   instructions per malloc/free pair
#   make flip           what a live flip costs, over the number of threads; fails above 1 ms
#   make traces         real programs recorded, replayed and compared, with report pages, in a quarter of an hour
#
# Other libraries: make bench BENCH_SIDES='glibc hakmem:next mine=/path/to/lib.so'

bench_common = bench/common.c bench/common.h bench/result.c

# The workloads are programs on plain malloc, not linked with the library: it is preloaded. What
# keeps the compiler from removing malloc/free pairs is NOBUILTIN_CFLAGS in AM_CFLAGS.
bench_programs = \
	bench/burst \
	bench/calloc \
	bench/churn \
	bench/free-only \
	bench/larson \
	bench/latency \
	bench/locality \
	bench/mf1 \
	bench/mf2 \
	bench/paced \
	bench/pairs \
	bench/producer-consumer \
	bench/realloc \
	bench/remote \
	bench/return \
	bench/startup \
	bench/thread-churn

check_PROGRAMS += $(bench_programs)

bench_burst_SOURCES = bench/burst.c $(bench_common)
bench_calloc_SOURCES = bench/calloc.c $(bench_common)
bench_churn_SOURCES = bench/churn.c $(bench_common)
bench_free_only_SOURCES = bench/free-only.c $(bench_common)
bench_larson_SOURCES = bench/larson.c $(bench_common)
bench_latency_SOURCES = bench/latency.c $(bench_common)
bench_locality_SOURCES = bench/locality.c $(bench_common)
bench_mf1_SOURCES = bench/mf1.c $(bench_common)
bench_mf2_SOURCES = bench/mf2.c $(bench_common)
bench_paced_SOURCES = bench/paced.c $(bench_common)
bench_pairs_SOURCES = bench/pairs.c $(bench_common)
bench_producer_consumer_SOURCES = bench/producer-consumer.c $(bench_common)
bench_realloc_SOURCES = bench/realloc.c $(bench_common)
bench_remote_SOURCES = bench/remote.c $(bench_common)
bench_return_SOURCES = bench/return.c $(bench_common)
bench_startup_SOURCES = bench/startup.c $(bench_common)
bench_thread_churn_SOURCES = bench/thread-churn.c $(bench_common)

# What a flip costs is ours alone to measure: no workload to compare libraries by.
if MIGRATION
check_PROGRAMS += bench/flip
bench_flip_SOURCES = bench/flip.c $(bench_common) \
	migrate/hash.c \
	migrate/identity.c \
	migrate/page.c \
	migrate/place.c \
	migrate/tool/client.c

# Fails where the median CPU time of a flip, or the p99 from a rollback's request to the last malloc that next served,
# is above 1 ms. The latter needs a core that is idle.
FLIP_OPTIONS = --cpu-limit-us 1000 --wall-limit-us 1000
flip: bench/flip$(EXEEXT) libhakmem.la
	LD_PRELOAD='$(abs_top_builddir)/.libs/libhakmem.so' bench/flip $(FLIP_OPTIONS)

.PHONY: flip
endif

bench_scripts = bench/compare bench/instructions bench/ladder bench/perf bench/record bench/traces

fast_tests += bench/estimator_test.py
slow_tests += bench/bench_test.py

EXTRA_DIST += \
	$(bench_scripts) \
	bench/bench_test.py \
	bench/estimator_test.py \
	bench/judge/__init__.py \
	bench/judge/document.py \
	bench/judge/estimator.py \
	bench/judge/libraries.py \
	bench/judge/machine.py \
	bench/judge/page.py \
	bench/judge/plots.py \
	bench/judge/programs.py \
	bench/judge/runner.py \
	bench/judge/tables.py \
	bench/judge/verdict.py \
	bench/judge/workloads.py \
	docs/BENCH.md \
	docs/LADDER.md

# Not called BENCH_LIBRARIES, which automake would take for a list of libraries to build. Budgets are
# seconds; together with the counting they stay below an hour. BENCH_ROWS: all when empty. BENCH_OPTIONS: of
# bench/compare, such as '--update $(srcdir)/README.md'.
BENCH_SIDES =
BENCH_ROWS =
BENCH_BUDGET = 2500
BENCH_SELF_BUDGET = 240
BENCH_LADDER_BUDGET = 420
BENCH_OUT = bench-results
BENCH_OPTIONS =
bench_at = --programs '$(abs_builddir)/bench'
bench_needs = $(bench_programs) libhakmem.la

bench-programs: $(bench_programs)

# The self-test, the counts and the ladder come first, for the page shows them too. Each is made
# again only when a program or the library is newer, and goes on where it was interrupted. A
# self-test that does not hold is shown on the page and stops nothing, nor does a missing valgrind.
bench: $(BENCH_OUT)/self-test.json $(BENCH_OUT)/instructions.json $(BENCH_OUT)/ladder.json
	$(srcdir)/bench/compare $(bench_at) --budget '$(BENCH_BUDGET)' --out '$(BENCH_OUT)' \
		--workloads '$(BENCH_ROWS)' \
		--extra '$(BENCH_OUT)/self-test.json' \
		--extra '$(BENCH_OUT)/instructions.json' --extra '$(BENCH_OUT)/ladder.json' \
		$(BENCH_OPTIONS) $(BENCH_SIDES)

$(BENCH_OUT)/self-test.json: $(bench_needs)
	@$(MKDIR_P) '$(BENCH_OUT)'
	-$(srcdir)/bench/compare $(bench_at) --self-test --budget '$(BENCH_SELF_BUDGET)' \
		--out '$(BENCH_OUT)/self-test'
	cp '$(BENCH_OUT)/self-test/self-test.json' '$@'

$(BENCH_OUT)/instructions.json: $(bench_needs)
	@$(MKDIR_P) '$(BENCH_OUT)'
	-$(srcdir)/bench/instructions $(bench_at) --json '$@' $(BENCH_SIDES)

$(BENCH_OUT)/ladder.json: $(bench_needs)
	@$(MKDIR_P) '$(BENCH_OUT)'
	$(srcdir)/bench/ladder $(bench_at) --budget '$(BENCH_LADDER_BUDGET)' --json '$@'

bench-quick: $(bench_needs)
	$(srcdir)/bench/compare $(bench_at) --quick --budget 190 --out '$(BENCH_OUT)-quick' \
		--workloads '$(BENCH_ROWS)' $(BENCH_SIDES)

bench-self: $(bench_needs)
	$(srcdir)/bench/compare $(bench_at) --self-test --fresh --budget '$(BENCH_SELF_BUDGET)' \
		--out '$(BENCH_OUT)-self'

ladder: $(bench_needs)
	$(srcdir)/bench/ladder $(bench_at)

# make traces [TRACES_ROUNDS=9] [TRACES='redis python3 sqlite g++ git']
if MIGRATION
TRACES =
TRACES_ROUNDS = 9
traces: libhakmem.la hakmem$(EXEEXT) hakmem-replay$(EXEEXT)
	$(srcdir)/bench/traces --build '$(abs_builddir)' --out '$(BENCH_OUT)/traces' \
		--rounds '$(TRACES_ROUNDS)' $(TRACES)

.PHONY: traces
endif

instructions: $(bench_needs)
	$(srcdir)/bench/instructions $(bench_at) $(BENCH_SIDES)

.PHONY: bench bench-programs bench-quick bench-self instructions ladder
