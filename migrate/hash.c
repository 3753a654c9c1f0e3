/* SPDX-License-Identifier: MIT */
/* migrate/hash.c - MurmurHash3_x86_32; see hash.h */
#include "migrate/hash.h"

static uint32_t rotate_left(uint32_t value, unsigned bits)
{
	return (value << bits) | (value >> (32 - bits));
}

/* The constants are the algorithm's. */
static uint32_t scramble(uint32_t block)
{
	return rotate_left(block * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static uint32_t finish(uint32_t h)
{
	h = (h ^ (h >> 16)) * 0x85ebca6bu;
	h = (h ^ (h >> 13)) * 0xc2b2ae35u;
	return h ^ (h >> 16);
}

/* Up to four bytes, the first the lowest, whatever the machine's own order. */
static uint32_t little_endian(const unsigned char *data, size_t count)
{
	uint32_t value = 0;
	for (size_t i = 0; i < count; i++)
		value |= (uint32_t)data[i] << (8 * i);
	return value;
}

uint32_t hash_bytes(const void *data, size_t bytes, uint32_t seed)
{
	const unsigned char *at = data;
	uint32_t h = seed;
	size_t rest = bytes;

	for (; rest >= 4; at += 4, rest -= 4)
		h = rotate_left(h ^ scramble(little_endian(at, 4)), 13) * 5 + 0xe6546b64u;
	h ^= scramble(little_endian(at, rest));
	return finish(h ^ (uint32_t)bytes);
}
