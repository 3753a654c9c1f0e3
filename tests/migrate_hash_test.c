/* SPDX-License-Identifier: MIT */
/* tests/migrate_hash_test.c - the hash is MurmurHash3_x86_32, byte for byte */
#include "migrate/hash.h"
#include "tests/support.h"

#include <string.h>

/* Known answers, as they are published for every implementation to be compared with. */
static void published_vectors_come_out(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t length;
		uint32_t seed, hash;
	} vectors[] = {
		{ "", 0, 0, 0 },
		{ "", 0, 1, 0x514e28b7 },
		{ "", 0, 0xffffffff, 0x81f16f39 },
		{ "\xff\xff\xff\xff", 4, 0, 0x76293b50 },
		{ "\x21\x43\x65\x87", 4, 0, 0xf55b516b },
		{ "\x21\x43\x65\x87", 4, 0x5082edee, 0x2362f9de },
		{ "\x21\x43\x65", 3, 0, 0x7e4a8634 },
		{ "\x21\x43", 2, 0, 0xa0f7b07a },
		{ "\x21", 1, 0, 0x72661cf4 },
		{ "\0\0\0\0", 4, 0, 0x2362f9de },
		{ "\0\0\0", 3, 0, 0x85f0b427 },
		{ "\0\0", 2, 0, 0x30f4c306 },
		{ "\0", 1, 0, 0x514e28b7 },
		{ "aaaa", 4, 0x9747b28c, 0x5a97808a },
		{ "aaa", 3, 0x9747b28c, 0x283e0130 },
		{ "aa", 2, 0x9747b28c, 0x5d211726 },
		{ "a", 1, 0x9747b28c, 0x7fa09ea6 },
		{ "Hello, world!", 13, 0x9747b28c, 0x24884cba },
		{ "The quick brown fox jumps over the lazy dog", 43, 0x9747b28c, 0x2fa826cd },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_int_equal(hash_bytes(vectors[i].bytes, vectors[i].length, vectors[i].seed),
				 vectors[i].hash);
}

/* SMHasher's check of a whole implementation: the hashes of 0, 0 1, 0 1 2 ... under the seeds 256, 255
 * ... hashed once more give the number that it prints for this algorithm. */
static void the_verification_value_comes_out(void **state)
{
	(void)state;
	unsigned char key[256], hashes[4 * 256];

	for (unsigned length = 0; length < 256; length++) {
		key[length] = (unsigned char)length;
		uint32_t hash = hash_bytes(key, length, 256 - length);
		memcpy(hashes + 4 * (size_t)length, &hash, 4);
	}
	assert_int_equal(hash_bytes(hashes, sizeof(hashes), 0), 0xb0f57ee3);
}

static void no_address_matters(void **state)
{
	(void)state;
	char buffer[64];

	for (size_t offset = 0; offset < 16; offset++) {
		memcpy(buffer + offset, "Hello, world!", 13);
		assert_int_equal(hash_bytes(buffer + offset, 13, 0x9747b28c), 0x24884cba);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_come_out),
		cmocka_unit_test(the_verification_value_comes_out),
		cmocka_unit_test(no_address_matters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
