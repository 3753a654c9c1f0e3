/* SPDX-License-Identifier: MIT */
/* shim/base/atomic.h - C11 atomics with the memory order in the name
 *
 * A caller says which order it needs by the function it calls, and says in a comment what the
 * operation pairs with. Nothing else in the library names a memory_order_ constant.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define load_relaxed(p)		   atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p)		   atomic_load_explicit((p), memory_order_acquire)
#define load_seq_cst(p)		   atomic_load_explicit((p), memory_order_seq_cst)
#define store_relaxed(p, v)	   atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v)	   atomic_store_explicit((p), (v), memory_order_release)
#define store_seq_cst(p, v)	   atomic_store_explicit((p), (v), memory_order_seq_cst)
#define exchange_acquire(p, v)	   atomic_exchange_explicit((p), (v), memory_order_acquire)
#define exchange_release(p, v)	   atomic_exchange_explicit((p), (v), memory_order_release)
#define exchange_acq_rel(p, v)	   atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define exchange_seq_cst(p, v)	   atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define fetch_add_relaxed(p, v)	   atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define fetch_sub_relaxed(p, v)	   atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define fetch_add_acq_rel(p, v)	   atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define fetch_sub_acq_rel(p, v)	   atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define fetch_or_relaxed(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define fetch_or_release(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_release)
#define fetch_or_acq_rel(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define fetch_or_seq_cst(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define fetch_and_relaxed(p, v)	   atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define fetch_and_acq_rel(p, v)	   atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)

/* Failure is an acquire wherever success reads something published: the retry uses what it saw. */
#define cas_relaxed(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed,        \
						memory_order_relaxed)
#define cas_acquire(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire,        \
						memory_order_acquire)
#define cas_release(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release,        \
						memory_order_relaxed)
#define cas_acq_rel(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel,        \
						memory_order_acquire)
#define cas_seq_cst(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst,        \
						memory_order_seq_cst)

/* *count -= 1, of a count with one writer that other threads may read; true when that makes 0. In one instruction, where a
 * load and a store are compiled to three. A sanitizer is to see them. */
static inline bool count_down(_Atomic uint32_t *count)
{
#if defined(__x86_64__) && !HAKMEM_SANITIZER
	bool is_zero;
	__asm__("subl $1, %0" : "+m"(*(uint32_t *)(void *)count), "=@ccz"(is_zero));
	return is_zero;
#else
	uint32_t left = load_relaxed(count) - 1;
	store_relaxed(count, left);
	return left == 0;
#endif
}

/* A counter with one writer: a plain add that other threads may read without tearing. */
#define counter_add(p, v) store_relaxed((p), load_relaxed(p) + (v))

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
