# SPDX-License-Identifier: MIT
# tests/local.mk - what `make check` runs
#
# A unit test, tests/<folder>_<file>_test.c, is a cmocka program on the insides of the library. It
# is linked with libhakmem_core.la: every object of the library, without the malloc family. Its
# source needs no line of its own:
#
#	unit_tests += tests/next_bin_test
#	tests_next_bin_test_LDADD = $(unit_ldadd)
#
# A test that only makes sense with two pools stands between `if MIGRATION` and `endif`.
#
# A program test runs against the library as a program meets it. Link it with libhakmem.la:
#
#	program_tests += tests/shim_api_test
#	tests_shim_api_test_LDADD = $(program_ldadd)
#
# or, to preload, write a script, executable and with its own #! line, that finds the library in
# $HAKMEM_LIB (see the environment below) and exits with 0, with 77 if it cannot be run here:
#
#	script_tests += tests/shim_exports_test.sh
#
# A test that needs more than about five seconds goes to slow_tests instead of program_tests or
# script_tests (its program then also to check_PROGRAMS): `make check 'TESTS=$(fast_tests)'`
# leaves it out.
# Helper programs that are no tests themselves go to check_PROGRAMS; headers, data and everything
# else that no list names to EXTRA_DIST, or the tarball lacks them.

unit_ldadd = libhakmem_support.la libhakmem_core.la $(CMOCKA_LIBS)
program_ldadd = libhakmem_support.la libhakmem.la $(CMOCKA_LIBS)

check_LTLIBRARIES += libhakmem_support.la
libhakmem_support_la_SOURCES = tests/support.c tests/support.h
libhakmem_support_la_CFLAGS = $(AM_CFLAGS) -static

unit_tests =
program_tests =
script_tests =

check_PROGRAMS += $(unit_tests) $(program_tests)
fast_tests += $(unit_tests) $(program_tests) $(script_tests)
EXTRA_DIST += $(script_tests)

# Stops `make check` with a message where there is no cmocka, and is empty otherwise.
check_DATA = $(CMOCKA_MISSING)

# A test that hangs is killed and fails. SANITIZER_RUN: see m4/hakmem.m4.
TEST_TIMEOUT = 600
TEST_EXTENSIONS = .sh .py
LOG_COMPILER = timeout
AM_LOG_FLAGS = -k 10 $(TEST_TIMEOUT) $(SANITIZER_RUN)
SH_LOG_COMPILER = timeout
AM_SH_LOG_FLAGS = -k 10 $(TEST_TIMEOUT)
PY_LOG_COMPILER = timeout
AM_PY_LOG_FLAGS = -k 10 $(TEST_TIMEOUT)

# What scripts find: the library as built, the list of its symbols, the trees and the compilers.
# Any report of a sanitizer fails the test, also where the program would have gone on. To
# ThreadSanitizer the threads that a forked child does not have are leaks of the child's.
AM_TESTS_ENVIRONMENT = \
	HAKMEM_LIB='$(abs_top_builddir)/.libs/libhakmem.so'; \
	HAKMEM_SYMBOLS='$(abs_top_srcdir)/$(symbols)'; \
	top_srcdir='$(abs_top_srcdir)'; top_builddir='$(abs_top_builddir)'; \
	CC='$(CC)'; CXX='$(CXX)'; SANITIZER_RUN='$(SANITIZER_RUN)'; \
	UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:$$UBSAN_OPTIONS"; \
	TSAN_OPTIONS="halt_on_error=1:report_thread_leaks=0:$$TSAN_OPTIONS"; \
	export HAKMEM_LIB HAKMEM_SYMBOLS top_srcdir top_builddir CC CXX SANITIZER_RUN UBSAN_OPTIONS TSAN_OPTIONS;

# ---------------------------------------------------------------------------------------- the build

script_tests += tests/bootstrap_test.sh tests/install_test.sh tests/shim_exports_test.sh

# Unit tests that set routes; the list is tests/routes.h's.
shim_ldadd = libhakmem_routes.la $(unit_ldadd)
check_LTLIBRARIES += libhakmem_routes.la
libhakmem_routes_la_SOURCES = tests/routes.c tests/routes.h
libhakmem_routes_la_CFLAGS = $(AM_CFLAGS) -static
if MIGRATION
libhakmem_routes_la_SOURCES += tests/flips.c tests/flips.h
endif

unit_tests += tests/shim_api_test
tests_shim_api_test_LDADD = $(shim_ldadd)

unit_tests += tests/shim_threads_test
tests_shim_threads_test_LDADD = $(shim_ldadd)

unit_tests += tests/shim_misuse_test
tests_shim_misuse_test_LDADD = $(shim_ldadd)

check_PROGRAMS += tests/shim_fork_test
slow_tests += tests/shim_fork_test
tests_shim_fork_test_LDADD = $(shim_ldadd)

# make fork-storm [FORK_CHILDREN=10000]: that test's long run, so many children for every set of routes.
FORK_CHILDREN = 10000
fork-storm: tests/shim_fork_test$(EXEEXT)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) HAKMEM_TEST_CHILDREN='$(FORK_CHILDREN)' \
		$(SANITIZER_RUN) tests/shim_fork_test$(EXEEXT)

.PHONY: fork-storm

# Whole programs that know nothing of the library, and a script that runs them with it. A sanitizer's
# build exports no malloc to run them on.
if !SANITIZER
script_tests += tests/shim_preload_test.sh
check_PROGRAMS += \
	tests/preload_edges \
	tests/preload_ends \
	tests/preload_fork \
	tests/preload_late \
	tests/preload_own_malloc \
	tests/preload_short \
	tests/preload_stuck_fork \
	tests/misuse_act \
	tests/preload_wrapper \
	tests/shim_operators_test \
	tests/steps
tests_misuse_act_SOURCES = tests/misuse_act.cc
tests_misuse_act_CXXFLAGS = -std=gnu++17 -fsized-deallocation $(AM_CXXFLAGS)
tests_misuse_act_LDFLAGS = -pthread
slow_tests += tests/shim_checked_test.sh tests/shim_edges_test.sh tests/shim_secure_test.sh
# What makes the classes of any program flip: tests/configurations.sh. After the library, whose part of hakmem.h it calls.
if MIGRATION
check_LTLIBRARIES += tests/preload_flips.la
tests_preload_flips_la_SOURCES = tests/preload_flips.c tests/flips.c tests/flips.h
tests_preload_flips_la_LIBADD = libhakmem.la
tests_preload_flips_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
endif
tests_shim_operators_test_SOURCES = tests/shim_operators_test.cc
tests_shim_operators_test_CXXFLAGS = -std=gnu++17 -fsized-deallocation $(AM_CXXFLAGS)
endif
EXTRA_DIST += tests/configurations.sh \
	tests/shim_checked_test.sh tests/shim_edges_test.sh tests/shim_secure_test.sh tests/shim_preload_test.sh \
	tests/preload_privileged.c tests/preload_static.c

# make stress [STRESS_SECONDS=60] [STRESS_THREADS=16]: so long for every set of routes, under every
# sanitizer, in builds of their own.
check_PROGRAMS += tests/stress
tests_stress_LDADD = $(shim_ldadd)
slow_tests += tests/shim_stress_test.sh
EXTRA_DIST += tests/shim_stress_test.sh tests/stress-sanitized

STRESS_SECONDS = 60
STRESS_THREADS = 16
stress:
	$(AM_V_at)$(srcdir)/tests/stress-sanitized '$(srcdir)' . tests/stress \
		-s $(STRESS_SECONDS) -t $(STRESS_THREADS)

.PHONY: stress

# Every call to the kernel refused, one process each: too many for a quick test.
if MIGRATION
anew_sources = tests/configurations.c tests/configurations.h tests/workload.c tests/workload.h
check_PROGRAMS += tests/shim_fault_test
slow_tests += tests/shim_fault_test
tests_shim_fault_test_SOURCES = tests/shim_fault_test.c tests/moody.c tests/moody.h $(anew_sources)
tests_shim_fault_test_LDADD = $(unit_ldadd)
tests_shim_fault_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=open,--wrap=openat,--wrap=write,--wrap=pwrite \
	-Wl,--wrap=ftruncate,--wrap=pthread_create
check_PROGRAMS += tests/shim_limits_test
slow_tests += tests/shim_limits_test
tests_shim_limits_test_SOURCES = tests/shim_limits_test.c $(anew_sources)
tests_shim_limits_test_LDADD = $(unit_ldadd)
endif

if MIGRATION
unit_tests += tests/shim_info_test tests/shim_pools_test
tests_shim_info_test_LDADD = $(shim_ldadd)
tests_shim_pools_test_LDADD = $(shim_ldadd)
endif

# --------------------------------------------------------------------------------------- base, next

unit_tests += \
	tests/base_check_test \
	tests/base_lock_test \
	tests/base_map_test \
	tests/base_os_test \
	tests/next_bin_test \
	tests/next_fault_test \
	tests/next_heap_test \
	tests/next_huge_test \
	tests/next_misuse_test \
	tests/next_next_test \
	tests/next_page_test \
	tests/next_segment_test \
	tests/next_site_test \
	tests/next_stack_test
tests_base_check_test_LDADD = $(unit_ldadd)
tests_base_lock_test_LDADD = $(unit_ldadd)
tests_base_map_test_LDADD = $(unit_ldadd)
tests_base_os_test_LDADD = $(unit_ldadd)
tests_next_bin_test_LDADD = $(unit_ldadd)
tests_next_fault_test_SOURCES = tests/next_fault_test.c tests/moody.c tests/moody.h
tests_next_fault_test_LDADD = $(unit_ldadd)
tests_next_heap_test_LDADD = $(unit_ldadd)
tests_next_huge_test_LDADD = $(unit_ldadd)
tests_next_misuse_test_LDADD = $(unit_ldadd)
tests_next_next_test_LDADD = $(unit_ldadd)
tests_next_page_test_LDADD = $(unit_ldadd)
tests_next_segment_test_LDADD = $(unit_ldadd)
tests_next_site_test_LDADD = $(unit_ldadd)
tests_next_stack_test_LDADD = $(unit_ldadd)

# Without its tag the stack hands a block out twice, and the test has to see it.
unit_tests += tests/next_stack_untagged_test
XFAIL_TESTS = tests/next_stack_untagged_test
tests_next_stack_untagged_test_SOURCES = tests/next_stack_test.c
tests_next_stack_untagged_test_CPPFLAGS = $(AM_CPPFLAGS) -DSTACK_TAG_STEP=0
tests_next_stack_untagged_test_LDADD = $(unit_ldadd)

# ------------------------------------------------------------------------------------- verification
#
# make verify: the concurrent parts of next, searched by an explorer of interleavings over the library's own
# sources, and their protocols by spin; see docs/VERIFY.md. Some minutes. It fails without spin, unless
# VERIFY_WITHOUT_SPIN=1 says that half of it is enough. The short forms are tests.
slow_tests += tests/verify_explorer_test.sh tests/verify_models_test.sh

VERIFY_WITHOUT_SPIN = 0
verify: config.h
	$(AM_V_at)CC='$(CC)' WARN_CFLAGS='$(WARN_CFLAGS)' \
		$(srcdir)/tests/verify/explorer full '$(srcdir)' .
	$(AM_V_at)CC='$(CC)' $(srcdir)/tests/verify/models full '$(srcdir)' . || \
		test "$$? $(VERIFY_WITHOUT_SPIN)" = '77 1'

clean-local:
	rm -rf verify

.PHONY: verify

EXTRA_DIST += tests/next_take.h
EXTRA_DIST += \
	docs/VERIFY.md \
	tests/verify/explore.c \
	tests/verify/explore.h \
	tests/verify/explorer \
	tests/verify/fibers.c \
	tests/verify/fibers.h \
	tests/verify/flip.c \
	tests/verify/flip.pml \
	tests/verify/heaps.c \
	tests/verify/hooks.c \
	tests/verify/litmus.c \
	tests/verify/memory.c \
	tests/verify/memory.h \
	tests/verify/models \
	tests/verify/ready.pml \
	tests/verify/remote.c \
	tests/verify/search.c \
	tests/verify/search.h \
	tests/verify/shadow.c \
	tests/verify/shadow.h \
	tests/verify/slices.c \
	tests/verify/stack.c \
	tests/verify/world.c \
	tests/verify/world.h \
	tests/verify_explorer_test.sh \
	tests/verify_models_test.sh

# ------------------------------------------------------------------------------------------- legacy

if MIGRATION
unit_tests += \
	tests/legacy_fork_test \
	tests/legacy_legacy_test \
	tests/legacy_misuse_test \
	tests/legacy_oom_test \
	tests/legacy_threads_test \
	tests/legacy_transfer_test \
	tests/legacy_tunables_test
tests_legacy_fork_test_LDADD = $(unit_ldadd)
tests_legacy_legacy_test_LDADD = $(unit_ldadd)
tests_legacy_misuse_test_LDADD = $(unit_ldadd)
tests_legacy_oom_test_LDADD = $(unit_ldadd)
tests_legacy_threads_test_LDADD = $(unit_ldadd)
tests_legacy_transfer_test_LDADD = $(unit_ldadd)
tests_legacy_tunables_test_LDADD = $(unit_ldadd)
endif

EXTRA_DIST += tests/legacy_support.h

# ------------------------------------------------------------------------------------------ migrate

if MIGRATION
unit_tests += \
	tests/migrate_checked_test \
	tests/migrate_control_test \
	tests/migrate_drain_test \
	tests/migrate_draw_test \
	tests/migrate_file_test \
	tests/migrate_guard_test \
	tests/migrate_hash_test \
	tests/migrate_page_test \
	tests/migrate_plan_test \
	tests/migrate_rollout_test \
	tests/migrate_sequence_test \
	tests/migrate_share_test \
	tests/migrate_state_test
tests_migrate_control_test_SOURCES = tests/migrate_control_test.c migrate/tool/client.c
tests_migrate_control_test_LDADD = $(shim_ldadd)
tests_migrate_checked_test_LDADD = $(shim_ldadd)
tests_migrate_drain_test_LDADD = $(shim_ldadd)
tests_migrate_draw_test_LDADD = $(unit_ldadd) -lm
tests_migrate_file_test_LDADD = $(shim_ldadd)
tests_migrate_guard_test_LDADD = $(shim_ldadd)
tests_migrate_hash_test_LDADD = $(unit_ldadd)
tests_migrate_page_test_LDADD = $(unit_ldadd)
tests_migrate_plan_test_LDADD = $(unit_ldadd)
tests_migrate_rollout_test_LDADD = $(unit_ldadd)
tests_migrate_sequence_test_LDADD = $(unit_ldadd)
tests_migrate_share_test_LDADD = $(unit_ldadd)
tests_migrate_state_test_LDADD = $(shim_ldadd)

script_tests += tests/migrate_probes_test.sh tests/migrate_start_test.sh tests/migrate_tool_test.sh tests/tool_manual_test.py
check_PROGRAMS += tests/tool_estimate
tests_tool_estimate_SOURCES = tests/tool_estimate.c migrate/tool/replay/estimate.c migrate/tool/replay/estimate.h
tests_tool_estimate_LDADD = -lm
slow_tests += tests/tool_trace_test.py tests/tool_estimate_test.py tests/tool_hostile_test.py
slow_tests += tests/migrate_live_test.sh tests/migrate_top_test.py tests/migrate_walk_test.py
slow_tests += tests/migrate_checked_test.sh tests/migrate_flip_test.sh tests/migrate_syslog_test.py
check_PROGRAMS += tests/migrate_guarded tests/migrate_load tests/migrate_owner
slow_tests += tests/migrate_record_test.py
check_PROGRAMS += tests/record_operations
tests_record_operations_LDADD = $(shim_ldadd)
endif

# The library with a fault in next, made of its own objects: the linker leads some calls through tests/faulty.c.
if MIGRATION
if !SANITIZER
check_LTLIBRARIES += tests/faulty.la
tests_faulty_la_SOURCES = tests/faulty.c
tests_faulty_la_CFLAGS = $(libhakmem_la_CFLAGS)
tests_faulty_la_LIBADD = $(libhakmem_la_OBJECTS)
tests_faulty_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere \
	-Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro -Wl,--version-script=$(top_srcdir)/$(symbols) \
	-Wl,--wrap=heap_refill -Wl,--wrap=segment_claim -Wl,--wrap=segment_claim_existing \
	-Wl,--wrap=segment_release
slow_tests += tests/migrate_programs_test.py
endif
endif
EXTRA_DIST += tests/migrate_programs_test.py

# make guarded [GUARDED_SECONDS=20]: the same for longer
GUARDED_SECONDS = 20
guarded: libhakmem.la hakmem$(EXEEXT) tests/faulty.la
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) $(srcdir)/tests/migrate_programs_test.py -s $(GUARDED_SECONDS)

.PHONY: guarded

# make screenshots [SCREENSHOTS=FOLDER]: hakmem status and top in xterm, as pictures
SCREENSHOTS = .
screenshots: libhakmem.la hakmem$(EXEEXT)
	$(AM_V_at)$(srcdir)/tests/screenshots . '$(SCREENSHOTS)'

.PHONY: screenshots
EXTRA_DIST += tests/screenshots

# make torture [TORTURE_SECONDS=60] [TORTURE_THREADS=8]: in the build at hand, then under every sanitizer.
if MIGRATION
check_PROGRAMS += tests/torture
tests_torture_LDADD = $(shim_ldadd)
slow_tests += tests/migrate_torture_test.sh

TORTURE_SECONDS = 60
TORTURE_THREADS = 8
torture: tests/torture$(EXEEXT)
	$(AM_V_at)tests/torture -s $(TORTURE_SECONDS) -t $(TORTURE_THREADS)
	$(AM_V_at)$(srcdir)/tests/stress-sanitized '$(srcdir)' . tests/torture \
		-s $(TORTURE_SECONDS) -t $(TORTURE_THREADS)

.PHONY: torture

# make flips [FLIPS=1000000]: so many under load, each decided and checked, and as many while all of it is recorded.
FLIPS = 1000000
flips: tests/torture$(EXEEXT)
	$(AM_V_at)tests/torture -n $(FLIPS) -f 20000 -t 4
	$(AM_V_at)rm -rf flips.tmp
	$(AM_V_at)HAKMEM_RECORD=flips.tmp HAKMEM_RECORD_OPTIONS='disk=64m' tests/torture -n $(FLIPS) -f 20000 -t 4
	$(AM_V_at)rm -rf flips.tmp

.PHONY: flips
endif

# The fuzz target of the API with random input: without libFuzzer, under any compiler and sanitizer.
if MIGRATION
check_PROGRAMS += tests/random_api
tests_random_api_SOURCES = tests/fuzz_api.c tests/random_input.c
tests_random_api_LDADD = libhakmem_core.la
slow_tests += tests/random_api
endif

EXTRA_DIST += \
	tests/fuzz \
	tests/fuzz.d/api \
	tests/fuzz.d/trace_android/all.txt \
	tests/fuzz.d/trace_babeltrace/events \
	tests/fuzz.d/trace_babeltrace/lttng \
	tests/fuzz.d/trace_ctf/stream \
	tests/fuzz.d/trace_logalloc/munged.txt \
	tests/fuzz.d/trace_logalloc/plain.txt \
	tests/fuzz.d/trace_mtrace/all.txt \
	tests/fuzz_api.c \
	tests/fuzz_control.c \
	tests/fuzz_plan.c \
	tests/fuzz_trace.h \
	tests/fuzz_trace_android.c \
	tests/fuzz_trace_babeltrace.c \
	tests/fuzz_trace_ctf.c \
	tests/fuzz_trace_logalloc.c \
	tests/fuzz_trace_mtrace.c \
	tests/migrate_checked_test.sh \
	tests/migrate_flip_test.sh \
	tests/migrate_live_test.sh \
	tests/migrate_record_test.py \
	tests/record_trace.py \
	tests/migrate_syslog_test.py \
	tests/migrate_top_test.py \
	tests/migrate_walk_test.py \
	tests/terminal.py \
	tests/migrate_torture_test.sh \
	tests/tool_estimate_test.py \
	tests/tool_hostile_test.py \
	tests/tool_trace_test.py

# make fuzz [FUZZ_SECONDS=60] [FUZZ_TARGETS='api plan control']
FUZZ_SECONDS = 60
FUZZ_TARGETS =
fuzz:
	$(AM_V_at)$(srcdir)/tests/fuzz '$(srcdir)' . $(FUZZ_SECONDS) $(FUZZ_TARGETS)

.PHONY: fuzz

# make aarch64: cross-compiled, and the unit tests under qemu-user, with a word on each that cannot run there.
aarch64:
	$(AM_V_at)$(srcdir)/tests/cross-aarch64 '$(srcdir)' aarch64.tmp

.PHONY: aarch64

EXTRA_DIST += tests/cross-aarch64

# --------------------------------------------------------------------------- the tests' own strength

slow_tests += tests/mutants_test.sh
EXTRA_DIST += \
	tests/misuse-table \
	tests/mutants_test.sh \
	tests/mutate \
	tests/mutants/alignment-by-luck.patch \
	tests/mutants/attention-left-on.patch \
	tests/mutants/block-handed-out-twice.patch \
	tests/mutants/calloc-dirty-slices.patch \
	tests/mutants/calloc-dirty.patch \
	tests/mutants/calloc-overflows.patch \
	tests/mutants/child-keeps-its-parents-draw.patch \
	tests/mutants/class-too-small.patch \
	tests/mutants/double-free-let-pass.patch \
	tests/mutants/errno-lost-on-failure.patch \
	tests/mutants/flip-without-fence.patch \
	tests/mutants/flip-without-second-look.patch \
	tests/mutants/free-clobbers-errno.patch \
	tests/mutants/full-page-forgotten.patch \
	tests/mutants/guard-rolls-nothing-back.patch \
	tests/mutants/heap-lost-at-exit.patch \
	tests/mutants/huge-blocks-leak.patch \
	tests/mutants/interior-pointer-let-pass.patch \
	tests/mutants/interval-of-one-look.patch \
	tests/mutants/large-blocks-leak.patch \
	tests/mutants/latch-forgotten.patch \
	tests/mutants/legacy-cache-unsynchronised.patch \
	tests/mutants/legacy-header-unchecked.patch \
	tests/mutants/legacy-lock-held-over-fork.patch \
	tests/mutants/lock-held-over-fork.patch \
	tests/mutants/merge-loses-frees.patch \
	tests/mutants/misused-page-serves-on.patch \
	tests/mutants/overrun-block-handed-out-again.patch \
	tests/mutants/plan-file-of-anybody.patch \
	tests/mutants/quarantine-forgotten.patch \
	tests/mutants/ready-stack-left-open.patch \
	tests/mutants/realloc-by-old-class.patch \
	tests/mutants/realloc-frees-on-failure.patch \
	tests/mutants/realloc-loses-a-byte.patch \
	tests/mutants/recorder-drops-a-free.patch \
	tests/mutants/rollback-misses-a-thread.patch \
	tests/mutants/rollout-promotes-blind.patch \
	tests/mutants/setuid-obeys.patch \
	tests/mutants/stack-without-tag.patch

# make misuse-table [MISUSE_COLUMNS='NAME=PATH ...'] [MISUSE_OPTIONS='--update docs/MISUSE.md']: what the levels of
# HAKMEM_CHECK and other libraries find, and what that costs. Ten minutes.
MISUSE_COLUMNS =
MISUSE_OPTIONS =
misuse-table: libhakmem.la tests/misuse_act$(EXEEXT) tests/steps$(EXEEXT) bench/pairs$(EXEEXT)
	$(AM_V_at)$(srcdir)/tests/misuse-table --build . $(MISUSE_OPTIONS) $(MISUSE_COLUMNS)

.PHONY: misuse-table

# make mutants [MUTANTS_OPTIONS='--only realloc-loses-a-byte']: the library broken on purpose, in every way
# that tests/mutants/ knows, and which test notices. Half an hour.
MUTANTS_OPTIONS =
mutants:
	$(AM_V_at)$(srcdir)/tests/mutate --build . --work mutants.tmp $(MUTANTS_OPTIONS)

.PHONY: mutants

# ------------------------------------------------------------------------------------ real programs
#
# make soak [SOAK_SECONDS=3600] [SOAK_OPTIONS='--only redis']: servers under load while classes flip, processes are
# killed and forked.
if MIGRATION
SOAK_SECONDS = 3600
SOAK_OPTIONS =
soak: libhakmem.la hakmem$(EXEEXT) tests/torture$(EXEEXT)
	$(AM_V_at)$(srcdir)/tests/soak --build '$(abs_top_builddir)' --seconds $(SOAK_SECONDS) \
		$(SOAK_OPTIONS)
endif

.PHONY: soak

EXTRA_DIST += tests/soak

slow_tests += tests/flag_cost_test.sh tests/misuse_cost_test.sh tests/program_limits_test.sh tests/programs_test.sh tests/yardstick_test.sh

# make flag-cost [FLAG_COST_OPTIONS=--update-readme]: the same programs, and what the library costs them
# while all is old. Twenty minutes, on a machine that does nothing else.
FLAG_COST_OPTIONS = --strict
flag-cost: libhakmem.la bench/pairs$(EXEEXT)
	$(AM_V_at)$(srcdir)/tests/flag-cost --lib '$(abs_top_builddir)/.libs/libhakmem.so' \
		$(FLAG_COST_OPTIONS)

.PHONY: flag-cost

EXTRA_DIST += \
	tests/flag-cost \
	tests/flag_cost_test.sh \
	tests/programs \
	tests/programs.d/burden.c \
	tests/programs.d/corrupt.c \
	tests/programs.d/harness.py \
	tests/programs.d/launch.c \
	tests/programs.d/rows.py \
	tests/programs.d/templates.cc \
	tests/programs.d/witness.c \
	tests/programs.d/workload.pl \
	tests/programs.d/workload.py \
	tests/misuse_cost_test.sh \
	tests/program_limits_test.sh \
	tests/programs_test.sh \
	tests/yardstick_test.sh
