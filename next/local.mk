# SPDX-License-Identifier: MIT
# next/local.mk - the new allocator

libhakmem_la_SOURCES += \
	next/bin.h \
	next/fast.h \
	next/free.c \
	next/free.h \
	next/heap.c \
	next/heap.h \
	next/huge.c \
	next/huge.h \
	next/misuse.c \
	next/misuse.h \
	next/next.c \
	next/next.h \
	next/page.c \
	next/page.h \
	next/queue.h \
	next/reap.c \
	next/refill.c \
	next/segment.c \
	next/segment.h \
	next/shared.c \
	next/shared.h \
	next/site.c \
	next/site.h \
	next/stack.h \
	next/stats.c \
	next/types.h
