/* SPDX-License-Identifier: MIT */
/* tests/verify/hooks.c - the functions that code compiled with -fsanitize=thread calls
 *
 * gcc and clang call one before each plain access and instead of each atomic one; their names and
 * arguments are what the sanitizer's runtime would define. Some are one compiler's only.
 */
#include "tests/verify/memory.h"
#include "tests/verify/shadow.h"

#define HERE __builtin_return_address(0)

/* Declared here, since no header does. */
#define HOOK(type, name, ...) type name(__VA_ARGS__); type name(__VA_ARGS__)

HOOK(void, __tsan_init, void)
{
}

HOOK(void, __tsan_func_entry, void *caller)
{
	(void)caller;
}

HOOK(void, __tsan_func_exit, void)
{
}

/* --- plain accesses ---------------------------------------------------------------------------- */

HOOK(void, __tsan_read_range, void *address, unsigned long bytes)
{
	shadow_read(address, bytes);
}

HOOK(void, __tsan_write_range, void *address, unsigned long bytes)
{
	shadow_write(address, bytes);
}

/* The same functions for each size: here only a macro saves the reader from sixty of them. */
#define PLAIN(prefix, bytes)                                                                       \
	HOOK(void, __tsan_##prefix##read##bytes, void *address)                                    \
	{                                                                                          \
		shadow_read(address, bytes);                                                       \
	}                                                                                          \
	HOOK(void, __tsan_##prefix##write##bytes, void *address)                                   \
	{                                                                                          \
		shadow_write(address, bytes);                                                      \
	}

PLAIN(, 1)
PLAIN(, 2)
PLAIN(, 4)
PLAIN(, 8)
PLAIN(, 16)
PLAIN(unaligned_, 2)
PLAIN(unaligned_, 4)
PLAIN(unaligned_, 8)
PLAIN(unaligned_, 16)

/* --- atomic accesses --------------------------------------------------------------------------- */

static uint64_t perform(enum operation operation, const volatile void *address, unsigned bytes,
			uint64_t operand, int order, const void *pc)
{
	struct access access = {
		.operation = operation,
		.bytes = bytes,
		.address = (void *)(uintptr_t)address,
		.operand = operand,
		.order = order & 0xffff, /* gcc adds hints above */
		.pc = pc,
	};
	return memory_access(&access);
}

/* Gives the value before, which is `expected` exactly if the exchange was made. */
static uint64_t perform_cas(const volatile void *address, unsigned bytes, uint64_t expected,
			    uint64_t desired, int order, int failure_order, const void *pc)
{
	struct access access = {
		.operation = CAS,
		.bytes = bytes,
		.address = (void *)(uintptr_t)address,
		.operand = desired,
		.expected = &expected,
		.order = order & 0xffff,
		.failure_order = failure_order & 0xffff,
		.pc = pc,
	};
	return memory_access(&access);
}

#define READ_MODIFY_WRITE(name, operation, bits, type)                                             \
	HOOK(type, __tsan_atomic##bits##_##name, volatile type *address, type operand, int order)  \
	{                                                                                          \
		return (type)perform(operation, address, bits / 8, operand, order, HERE);          \
	}

#define ATOMIC(bits, type)                                                                         \
	HOOK(type, __tsan_atomic##bits##_load, const volatile type *address, int order)            \
	{                                                                                          \
		return (type)perform(LOAD, address, bits / 8, 0, order, HERE);                     \
	}                                                                                          \
	HOOK(void, __tsan_atomic##bits##_store, volatile type *address, type value, int order)     \
	{                                                                                          \
		perform(STORE, address, bits / 8, value, order, HERE);                             \
	}                                                                                          \
	HOOK(int, __tsan_atomic##bits##_compare_exchange_strong, volatile type *address,           \
	     type *expected, type desired, int order, int failure_order)                           \
	{                                                                                          \
		type before = (type)perform_cas(address, bits / 8, *expected, desired, order,      \
						failure_order, HERE);                              \
		int made = before == *expected;                                                    \
		*expected = before;                                                                \
		return made;                                                                       \
	}                                                                                          \
	HOOK(type, __tsan_atomic##bits##_compare_exchange_val, volatile type *address,             \
	     type expected, type desired, int order, int failure_order)                            \
	{                                                                                          \
		return (type)perform_cas(address, bits / 8, expected, desired, order,              \
					 failure_order, HERE);                                     \
	}                                                                                          \
	READ_MODIFY_WRITE(exchange, EXCHANGE, bits, type)                                          \
	READ_MODIFY_WRITE(fetch_add, FETCH_ADD, bits, type)                                        \
	READ_MODIFY_WRITE(fetch_sub, FETCH_SUB, bits, type)                                        \
	READ_MODIFY_WRITE(fetch_or, FETCH_OR, bits, type)                                          \
	READ_MODIFY_WRITE(fetch_and, FETCH_AND, bits, type)                                        \
	READ_MODIFY_WRITE(fetch_xor, FETCH_XOR, bits, type)

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
