/* SPDX-License-Identifier: MIT */
/* tests/shim_misuse_test.c - a bad pointer ends in one line and abort(), never in a fault of ours */
#include "shim/base/map.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static void do_free(void *block)
{
	hakmem_free(block);
}

static void do_free_twice(void *block)
{
	hakmem_free(block);
	hakmem_free(block);
}

/* With others in between, so that the block has moved through lists. */
static void do_free_again_later(void *block)
{
	void *others[100];
	size_t bytes = hakmem_malloc_usable_size(block);
	for (size_t i = 0; i < 100; i++)
		others[i] = hakmem_malloc(bytes);
	hakmem_free(block);
	for (size_t i = 0; i < 100; i++)
		hakmem_free(others[i]);
	hakmem_free(block);
}

static void do_realloc(void *block)
{
	exit(hakmem_realloc(block, 100) != NULL);
}

static void do_realloc_freed(void *block)
{
	hakmem_free(block);
	exit(hakmem_realloc(block, 100000) != NULL);
}

static void do_usable(void *block)
{
	exit(hakmem_malloc_usable_size(block) != 0);
}

static void do_usable_freed(void *block)
{
	hakmem_free(block);
	exit(hakmem_malloc_usable_size(block) != 0);
}

static void dies_in_every_call(void *pointer)
{
	assert_true(dies_with(do_free, pointer, "hakmem: |0x"));
	assert_true(dies_with(do_realloc, pointer, "hakmem: |0x"));
	assert_true(dies_with(do_usable, pointer, "hakmem: |0x"));
}

static const size_t sizes[] = { 1,     16,    100,   1024,  1025,   2048,   5000,    8192,
				12288, 32768, 32769, 65536, 262144, 300000, 1048576, 5000000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Sizes that a pool of ours serves under the routes; the system's checks are the system's. */
static bool is_ours(const void *block)
{
	return hakmem_owner(block) != HAKMEM_OWNER_SYSTEM;
}

static void a_misaligned_pointer_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = hakmem_malloc(sizes[i]);
		if (is_ours(block)) {
			dies_in_every_call(block + 1);
			dies_in_every_call(block + 8);
		}
		hakmem_free(block);
	}
}

static void a_pointer_into_a_block_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = hakmem_malloc(sizes[i]);
		if (is_ours(block) && sizes[i] > 32) {
			dies_in_every_call(block + 16);
			dies_in_every_call(block + sizes[i] / 2 / 16 * 16);
			dies_in_every_call(block + (sizes[i] - 1) / 16 * 16);
		}
		hakmem_free(block);
	}
}

static void a_block_freed_twice_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *block = hakmem_malloc(sizes[i]);
		if (is_ours(block)) {
			assert_true(dies_with(do_free_twice, block, "hakmem: |free"));
			assert_true(dies_with(do_free_again_later, block, "hakmem: |free"));
		}
		hakmem_free(block);
	}
}

static void a_freed_block_is_no_block(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *block = hakmem_malloc(sizes[i]);
		if (is_ours(block)) {
			assert_true(dies_with(do_realloc_freed, block, "hakmem: |free"));
			assert_true(dies_with(do_usable_freed, block, "hakmem: |free"));
		}
		hakmem_free(block);
	}
}

/* Memory of ours in which no block ever lay. */
static void the_rest_of_our_memory_is_told(void **state)
{
	(void)state;
	char *block = hakmem_malloc(5000);
	if (!is_ours(block)) {
		hakmem_free(block);
		skip();
	}
	char *slot = (char *)((uintptr_t)block & ~(4 * MIB - 1));
	for (size_t offset = 0; offset < 4 * MIB; offset += 512 * KIB + 4096)
		if (slot + offset != block)
			dies_in_every_call(slot + offset);
	hakmem_free(block);
}

static void what_is_no_address_is_told(void **state)
{
	(void)state;
	dies_in_every_call((void *)(uintptr_t)0x7fff12345671);
	dies_in_every_call((void *)(uintptr_t)0x1001);
#if defined(__x86_64__) /* elsewhere the upper bits may be a tag */
	dies_in_every_call((void *)(uintptr_t)0x0000800000000000);
	dies_in_every_call((void *)(uintptr_t)0x1234567812345670);
	dies_in_every_call((void *)(uintptr_t)0xfffffffffffffff0);
	dies_in_every_call((void *)(uintptr_t)0xffff800000000010);
#endif
}

/* --- where a huge block was ----------------------------------------------------------------------- */

#define HUGE_BYTES (5 * MIB)

/* Its place is taken by a page that has nothing before it, so that libc's checks would fault there. */
static void lose_to_a_newcomer(void *block)
{
	hakmem_free(block);
	hakmem_malloc_trim(0);
	if (mmap(block, OS_PAGE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != block ||
	    os_is_mapped((char *)block - 1))
		exit(1);
}

static void do_free_when_lost(void *block)
{
	lose_to_a_newcomer(block);
	hakmem_free(block);
}

static void do_realloc_when_lost(void *block)
{
	lose_to_a_newcomer(block);
	exit(hakmem_realloc(block, 100) != NULL);
}

static void do_usable_when_lost(void *block)
{
	lose_to_a_newcomer(block);
	exit(hakmem_malloc_usable_size(block) != 0);
}

static void a_huge_block_freed_twice_is_told_although_its_place_is_taken(void **state)
{
	(void)state;
	void *block = hakmem_malloc(HUGE_BYTES);
	bool next_serves = hakmem_owner(block) == HAKMEM_OWNER_NEXT;
	/* A sanitizer's malloc has checks of its own. */
	if (next_serves && !HAKMEM_SANITIZER) {
		assert_true(dies_with(do_free_when_lost, block, "hakmem: invalid pointer: 0x"));
		assert_true(dies_with(do_realloc_when_lost, block, "hakmem: invalid pointer: 0x"));
		assert_true(dies_with(do_usable_when_lost, block, "hakmem: invalid pointer: 0x"));
	}
	hakmem_free(block);
	if (!next_serves || HAKMEM_SANITIZER)
		skip();
}

static void the_systems_blocks_where_huge_ones_were_are_the_systems(void **state)
{
	(void)state;
	if (!HAKMEM_MIGRATION || HAKMEM_SANITIZER)
		skip(); /* no system; or one that takes its memory elsewhere */
	const size_t bytes =
		33 * MIB; /* glibc maps each such block by itself, whatever came before */
	char *huge[64], *blocks[16];
	size_t newcomers = 0;
	assert_true(route_all("next")); /* and they stay there */
	for (size_t i = 0; i < 64; i++)
		huge[i] = hakmem_malloc(HUGE_BYTES);
	for (size_t i = 0; i < 64; i++)
		hakmem_free(huge[i]);
	hakmem_malloc_trim(0);
	for (size_t i = 0; i < 16; i++) {
		blocks[i] = malloc(bytes);
		blocks[i][bytes - 1] = (char)i;
		newcomers += map_kind_of(blocks[i]) == MAP_NEXT_HUGE_GONE;
	}
	assert_true(newcomers > 0);
	for (size_t i = 0; i < 16; i++) {
		assert_true(hakmem_malloc_usable_size(blocks[i]) >= bytes);
		blocks[i] = hakmem_realloc(blocks[i], 2 * bytes);
		assert_int_equal(blocks[i][bytes - 1], i);
		hakmem_free(blocks[i]);
	}
	assert_true(route_all(route_set));
}

static void strangers_go_to_the_system(void **state)
{
	(void)state;
	if (!HAKMEM_MIGRATION)
		skip();
	void *block = malloc(100);
	assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_SYSTEM);
	assert_true(hakmem_malloc_usable_size(block) >= 100);
	memset(block, 5, 100);
	block = hakmem_realloc(block, 5000);
	assert_int_equal(((char *)block)[99], 5);
	hakmem_free(block);
}

/* --- pointers of every kind ------------------------------------------------------------------------ */

#define WILD_POINTERS 400
#define BLOCKS	      64
enum ending { QUIET = 0, FAULT_OF_OURS = 77, FAULT_OF_THE_SYSTEMS = 78 };

static uint64_t draw(void)
{
	/* xorshift64 (Marsaglia, 2003) */
	static uint64_t state = 88172645463325252u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* The library is part of this program. */
static void tell_whose_fault(int number, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;
	Dl_info here, there;
	(void)number;
	(void)info;
#if defined(__x86_64__)
	void *place = (void *)at->uc_mcontext.gregs[REG_RIP];
#else
	void *place = (void *)at->uc_mcontext.pc;
#endif
	bool known = dladdr((void *)tell_whose_fault, &here) && dladdr(place, &there);
	_exit(!known || here.dli_fbase == there.dli_fbase ? FAULT_OF_OURS : FAULT_OF_THE_SYSTEMS);
}

static void misuse_in_some_way(uintptr_t address)
{
	const struct sigaction action = { .sa_sigaction = tell_whose_fault,
					  .sa_flags = SA_SIGINFO };
	void *volatile block = (void *)address;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGABRT, SIG_DFL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	alarm(60);
	if (address % 3 == 0)
		block = hakmem_realloc(block, 5000);
	else if (address % 3 == 1)
		hakmem_free(block);
	else if (hakmem_malloc_usable_size(block) == 4711)
		_exit(QUIET);
	_exit(QUIET);
}

/* Anywhere at all, around live blocks, in their 4 MiB, and where a huge block is and was. */
static uintptr_t draw_address(void *const *blocks, uintptr_t huge, uintptr_t gone)
{
	uintptr_t block = (uintptr_t)blocks[draw() % BLOCKS], address = draw();
	switch (draw() % 6) {
	case 0:
		address >>= 17;
		break;
	case 1:
		address = block + draw() % 70000;
		break;
	case 2:
		address = (block & ~(4 * MIB - 1)) + draw() % (4 * MIB);
		break;
	case 3:
		address = huge + draw() % (8 * MIB);
		break;
	case 4:
		address = gone - 4096 + draw() % (8 * MIB);
		break;
	}
	const uintptr_t masks[] = { 0, 0, 15, 4095 };
	return address & ~masks[draw() % 4];
}

static bool is_one_of(uintptr_t address, void *const *blocks, uintptr_t huge)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (address == (uintptr_t)blocks[i])
			return true;
	return address == huge || address == 0;
}

static void no_pointer_makes_our_code_fault(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* its runtime has the signals */
	void *blocks[BLOCKS];
	unsigned aborted = 0;
	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = hakmem_malloc((size_t)1 << i % 22);
	void *huge = hakmem_malloc(HUGE_BYTES), *gone = hakmem_malloc(HUGE_BYTES);
	hakmem_free(gone);
	hakmem_malloc_trim(0);
	for (size_t i = 0; i < WILD_POINTERS; i++) {
		uintptr_t address = draw_address(blocks, (uintptr_t)huge, (uintptr_t)gone);
		int status = 0;
		if (is_one_of(address, blocks, (uintptr_t)huge))
			continue;
		fflush(NULL);
		pid_t child = fork();
		if (child == 0) {
			close(STDERR_FILENO);
			misuse_in_some_way(address);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGABRT
					: WEXITSTATUS(status) == FAULT_OF_OURS)
			fail_msg("%#lx: status %#x", (unsigned long)address, (unsigned)status);
		aborted += WIFSIGNALED(status);
	}
	print_message("%u of %u pointers ended in abort(), none in a fault of ours\n", aborted,
		      WILD_POINTERS);
	assert_true(aborted > WILD_POINTERS / 10);
	for (size_t i = 0; i < BLOCKS; i++)
		hakmem_free(blocks[i]);
	hakmem_free(huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_misaligned_pointer_is_told),
		cmocka_unit_test(a_pointer_into_a_block_is_told),
		cmocka_unit_test(a_block_freed_twice_is_told),
		cmocka_unit_test(a_freed_block_is_no_block),
		cmocka_unit_test(the_rest_of_our_memory_is_told),
		cmocka_unit_test(what_is_no_address_is_told),
		cmocka_unit_test(a_huge_block_freed_twice_is_told_although_its_place_is_taken),
		cmocka_unit_test(the_systems_blocks_where_huge_ones_were_are_the_systems),
		cmocka_unit_test(strangers_go_to_the_system),
		cmocka_unit_test(no_pointer_makes_our_code_fault),
	};
	return run_under_all_routes(tests, route_all);
}
