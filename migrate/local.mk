# SPDX-License-Identifier: MIT
# migrate/local.mk - plans and live control; left out by --disable-migration

if MIGRATION
libhakmem_la_SOURCES += \
	migrate/apart.c \
	migrate/apart.h \
	migrate/api.c \
	migrate/arms.c \
	migrate/arms.h \
	migrate/attend.c \
	migrate/attend.h \
	migrate/control.c \
	migrate/control.h \
	migrate/drain.c \
	migrate/drain.h \
	migrate/file.c \
	migrate/file.h \
	migrate/guard.c \
	migrate/guard.h \
	migrate/guard_setting.c \
	migrate/guard_setting.h \
	migrate/hash.c \
	migrate/hash.h \
	migrate/held.c \
	migrate/held.h \
	migrate/identity.c \
	migrate/identity.h \
	migrate/page.c \
	migrate/page.h \
	migrate/place.c \
	migrate/place.h \
	migrate/plan.c \
	migrate/plan.h \
	migrate/plan_error.c \
	migrate/record.c \
	migrate/record.h \
	migrate/record_draw.c \
	migrate/record_draw.h \
	migrate/record_folder.c \
	migrate/record_folder.h \
	migrate/record_format.h \
	migrate/record_metadata.c \
	migrate/record_metadata.h \
	migrate/record_options.c \
	migrate/record_options.h \
	migrate/record_stream.c \
	migrate/record_stream.h \
	migrate/record_write.c \
	migrate/record_write.h \
	migrate/report.c \
	migrate/report.h \
	migrate/rollback.c \
	migrate/rollback.h \
	migrate/rollout.c \
	migrate/rollout.h \
	migrate/rollout_run.c \
	migrate/rollout_run.h \
	migrate/sequence.c \
	migrate/sequence.h \
	migrate/share.c \
	migrate/share.h \
	migrate/start.c \
	migrate/state.c \
	migrate/state.h \
	migrate/status.c \
	migrate/status.h

# In the root of the build tree, so that ./hakmem run finds the library in .libs beside it. Plans
# are parsed by the library's own source; nothing else of the library is in the command.
bin_PROGRAMS += hakmem
hakmem_SOURCES = \
	migrate/guard_setting.c \
	migrate/guard_setting.h \
	migrate/hash.c \
	migrate/hash.h \
	migrate/identity.c \
	migrate/identity.h \
	migrate/page.c \
	migrate/page.h \
	migrate/place.c \
	migrate/place.h \
	migrate/plan.c \
	migrate/plan.h \
	migrate/plan_error.c \
	migrate/record_format.h \
	migrate/record_options.c \
	migrate/record_options.h \
	migrate/rollout.c \
	migrate/rollout.h \
	migrate/sequence.c \
	migrate/sequence.h \
	migrate/share.c \
	migrate/share.h \
	migrate/tool/classes.c \
	migrate/tool/client.c \
	migrate/tool/client.h \
	migrate/tool/common.c \
	migrate/tool/library.c \
	migrate/tool/main.c \
	migrate/tool/output.c \
	migrate/tool/output.h \
	migrate/tool/record.c \
	migrate/tool/ps.c \
	migrate/tool/rollout.c \
	migrate/tool/rollout_report.c \
	migrate/tool/rollout_report.h \
	migrate/tool/replay/advise.c \
	migrate/tool/replay/compare.c \
	migrate/tool/replay/compare.h \
	migrate/tool/replay/compare_html.c \
	migrate/tool/replay/compare_plot.c \
	migrate/tool/replay/compare_show.c \
	migrate/tool/replay/engine.c \
	migrate/tool/replay/engine.h \
	migrate/tool/replay/estimate.c \
	migrate/tool/replay/estimate.h \
	migrate/tool/replay/guard.c \
	migrate/tool/replay/prepare.c \
	migrate/tool/replay/prepare.h \
	migrate/tool/replay/replay.c \
	migrate/tool/replay/report.c \
	migrate/tool/replay/report.h \
	migrate/tool/run.c \
	migrate/tool/show.c \
	migrate/tool/show.h \
	migrate/tool/show_json.c \
	migrate/tool/steer.c \
	migrate/tool/table.c \
	migrate/tool/table.h \
	migrate/tool/target.c \
	migrate/tool/tool.h \
	migrate/tool/trace/command.c \
	migrate/tool/trace/command.h \
	migrate/tool/trace/export.c \
	migrate/tool/trace/import.c \
	migrate/tool/trace/info.c \
	migrate/tool/trace/info.h \
	migrate/tool/trace/info_plot.c \
	migrate/tool/trace/info_show.c \
	migrate/tool/trace/plot.c \
	migrate/tool/trace/plot.h \
	migrate/tool/trace/progress.c \
	migrate/tool/trace/progress.h
hakmem_CPPFLAGS = $(AM_CPPFLAGS) -DHAKMEM_LIBDIR='"$(libdir)"' \
	-DHAKMEM_LIBEXECDIR='"$(pkglibexecdir)"'
hakmem_CFLAGS = $(AM_CFLAGS) $(JSON_C_CFLAGS) $(CURSES_CFLAGS)
hakmem_LDFLAGS = $(AM_LDFLAGS) -Wl,--export-dynamic-symbol=hakmem_command
hakmem_LDADD = libhakmem_trace.la $(JSON_C_LIBS) $(CURSES_LIBS) -lm
if CURSES
hakmem_SOURCES += \
	migrate/tool/screen.c \
	migrate/tool/screen.h \
	migrate/tool/terminal.c \
	migrate/tool/terminal.h \
	migrate/tool/top.c
else
hakmem_SOURCES += migrate/tool/no_top.c
endif

# What reads traces, which the tests and the fuzz targets read by, too.
noinst_LTLIBRARIES += libhakmem_trace.la
libhakmem_trace_la_SOURCES = \
	migrate/record_format.h \
	migrate/record_metadata.c \
	migrate/record_metadata.h \
	migrate/tool/replay/compile.c \
	migrate/tool/replay/compile.h \
	migrate/tool/trace/android.c \
	migrate/tool/trace/ctf.c \
	migrate/tool/trace/ctf.h \
	migrate/tool/trace/ctf_write.c \
	migrate/tool/trace/event.h \
	migrate/tool/trace/format.h \
	migrate/tool/trace/logalloc.c \
	migrate/tool/trace/map.c \
	migrate/tool/trace/map.h \
	migrate/tool/trace/mtrace.c \
	migrate/tool/trace/reader.c \
	migrate/tool/trace/reader.h \
	migrate/tool/trace/source.c \
	migrate/tool/trace/source.h \
	migrate/tool/trace/text.h \
	migrate/tool/trace/track.c \
	migrate/tool/trace/track.h
if BABELTRACE
libhakmem_trace_la_SOURCES += \
	migrate/tool/trace/babeltrace.c \
	migrate/tool/trace/babeltrace_apart.c
endif
libhakmem_trace_la_CFLAGS = $(AM_CFLAGS) $(BABELTRACE_CFLAGS) -static
libhakmem_trace_la_LIBADD = $(BABELTRACE_LIBS)

# The process in which a trace is replayed. No sanitizer: its malloc is what the replay is about.
pkglibexec_PROGRAMS = hakmem-replay
hakmem_replay_SOURCES = \
	migrate/tool/replay/child.c \
	migrate/tool/replay/child.h \
	migrate/tool/replay/program.h \
	migrate/tool/replay/watch.c \
	migrate/tool/replay/worker.c
hakmem_replay_CFLAGS = -std=gnu17 $(WARN_CFLAGS) $(NOBUILTIN_CFLAGS)
hakmem_replay_LDFLAGS =

dist_man_MANS += migrate/tool/hakmem.1 migrate/tool/hakmem-trace.1

# Found there by name, hakmem.bash as well as hakmem.
completionsdir = $(datadir)/bash-completion/completions
dist_completions_DATA = migrate/tool/hakmem.bash
endif
