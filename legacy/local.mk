# SPDX-License-Identifier: MIT
# legacy/local.mk - the incumbent allocator; left out by --disable-migration

if MIGRATION
libhakmem_la_SOURCES += \
	legacy/block.h \
	legacy/cache.c \
	legacy/cache.h \
	legacy/counters.c \
	legacy/counters.h \
	legacy/legacy.c \
	legacy/legacy.h \
	legacy/pages.c \
	legacy/pages.h \
	legacy/remote.c \
	legacy/remote.h \
	legacy/shards.c \
	legacy/shards.h \
	legacy/table.c \
	legacy/table.h \
	legacy/thread.c \
	legacy/thread.h \
	legacy/transfer.c \
	legacy/transfer.h \
	legacy/tunables.c \
	legacy/tunables.h \
	legacy/types.h
endif
