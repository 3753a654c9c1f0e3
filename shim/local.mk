# SPDX-License-Identifier: MIT
# shim/local.mk - the exported functions, and below them shim/base

libhakmem_la_SOURCES += \
	shim/base/atomic.h \
	shim/base/check.c \
	shim/base/check.h \
	shim/base/compiler.h \
	shim/base/lock.c \
	shim/base/lock.h \
	shim/base/map.c \
	shim/base/map.h \
	shim/base/os.c \
	shim/base/os.h \
	shim/base/probes.h \
	shim/base/reserve.c \
	shim/base/reserve.h

libhakmem_la_SOURCES += \
	shim/aligned.c \
	shim/aligned.h \
	shim/checked.c \
	shim/checked.h \
	shim/export.h \
	shim/guarded.c \
	shim/guarded.h \
	shim/hakmem.h \
	shim/hooks.h \
	shim/info.c \
	shim/init.c \
	shim/init.h \
	shim/linker.c \
	shim/linker.h \
	shim/malloc.c \
	shim/malloc.h \
	shim/marks.h \
	shim/operators.c \
	shim/quarantine.c \
	shim/quarantine.h \
	shim/route.c \
	shim/route.h \
	shim/system.c \
	shim/system.h \
	shim/watch.h

# What it tells of goes to migrate/.
if MIGRATION
libhakmem_la_SOURCES += \
	shim/marks.c \
	shim/watch.c
endif
