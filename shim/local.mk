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
	shim/base/reserve.c \
	shim/base/reserve.h

libhakmem_la_SOURCES += \
	shim/aligned.c \
	shim/aligned.h \
	shim/export.h \
	shim/hakmem.h \
	shim/hooks.h \
	shim/info.c \
	shim/init.c \
	shim/init.h \
	shim/linker.c \
	shim/linker.h \
	shim/malloc.c \
	shim/malloc.h \
	shim/operators.c \
	shim/route.c \
	shim/route.h \
	shim/system.c \
	shim/system.h \
	shim/watch.c \
	shim/watch.h
