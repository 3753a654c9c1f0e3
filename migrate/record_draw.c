/* SPDX-License-Identifier: MIT */
/* migrate/record_draw.c - which allocations are drawn; see record_draw.h */
#include "migrate/record_draw.h"

#define LOG_BITS 40

/* Bit by bit: the square of a number between 1 and 2 has twice its logarithm. The mantissa has 63 bits behind its point. */
uint64_t draw_log(uint64_t value)
{
	size_t highest = highest_bit(value);
	uint64_t mantissa = value << (63 - highest), log = (uint64_t)highest << LOG_BITS;

	for (unsigned bit = LOG_BITS; bit-- > 0;) {
		unsigned __int128 square = (unsigned __int128)mantissa * mantissa;
		bool two_or_more = (uint64_t)(square >> 127) != 0;
		mantissa = (uint64_t)(square >> (two_or_more ? 64 : 63));
		log |= (uint64_t)two_or_more << bit;
	}
	return ((uint64_t)32 << LOG_BITS) - log;
}

uint64_t draw_gap_of(uint64_t number, uint64_t log_of_rest)
{
	return draw_log((uint64_t)draw_hash(number) + 1) / log_of_rest;
}
