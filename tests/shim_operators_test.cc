// SPDX-License-Identifier: MIT
// tests/shim_operators_test.cc - operator new and delete, every form, as a C++ program meets them
//
// Linked with or preloaded by the library; "libhakmem" as an argument demands that the operators are its
// own. Run by tests/shim_preload_test.sh under several plans. Ends with 0, or with 1 after the check that
// failed.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <new>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

static int failures;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

// More than there is, and not known to the compiler.
static volatile std::size_t too_much = static_cast<std::size_t>(PTRDIFF_MAX) - 4096;
static const std::size_t sizes[] = {
	0, 1, 16, 100, 1024, 1025, 5000, 32768, 40000, 300000, 2000000
};

static bool is_aligned(const void *p, std::size_t alignment)
{
	return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

static void *used(void *p, std::size_t bytes)
{
	CHECK(p != nullptr);
	std::memset(p, 0x5a, bytes);
	return p;
}

static void every_form_allocates_and_frees()
{
	for (std::size_t n : sizes) {
		::operator delete(used(::operator new(n), n));
		::operator delete(used(::operator new(n), n), n);
		::operator delete(used(::operator new(n, std::nothrow), n), std::nothrow);
		::operator delete[](used(::operator new[](n), n));
		::operator delete[](used(::operator new[](n), n), n);
		::operator delete[](used(::operator new[](n, std::nothrow), n), std::nothrow);
	}
	::operator delete(nullptr);
	::operator delete[](nullptr);
}

static void every_aligned_form_allocates_and_frees()
{
	for (std::size_t alignment = 1; alignment <= 65536; alignment *= 4) {
		auto a = static_cast<std::align_val_t>(alignment);
		for (std::size_t n : sizes) {
			void *p = used(::operator new(n, a), n);
			CHECK(is_aligned(p, alignment));
			::operator delete(p, a);
			p = used(::operator new[](n, a), n);
			CHECK(is_aligned(p, alignment));
			::operator delete[](p, a);
			p = used(::operator new(n, a, std::nothrow), n);
			CHECK(is_aligned(p, alignment));
			::operator delete(p, a, std::nothrow);
			p = used(::operator new[](n, a, std::nothrow), n);
			CHECK(is_aligned(p, alignment));
			::operator delete[](p, a, std::nothrow);
			::operator delete(used(::operator new(n, a), n), n, a);
			::operator delete[](used(::operator new[](n, a), n), n, a);
		}
	}
}

template <typename Act> static bool throws_bad_alloc(Act act)
{
	try {
		act();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static const auto aligned_64 = static_cast<std::align_val_t>(64);

static void out_of_memory_throws_or_is_null()
{
	std::set_new_handler(nullptr);
	CHECK(throws_bad_alloc([] { ::operator delete(::operator new(too_much)); }));
	CHECK(throws_bad_alloc([] { ::operator delete[](::operator new[](too_much)); }));
	CHECK(throws_bad_alloc([] { ::operator delete(::operator new(too_much, aligned_64)); }));
	CHECK(throws_bad_alloc(
		[] { ::operator delete[](::operator new[](too_much, aligned_64)); }));
	CHECK(::operator new(too_much, std::nothrow) == nullptr);
	CHECK(::operator new[](too_much, std::nothrow) == nullptr);
	CHECK(::operator new(too_much, aligned_64, std::nothrow) == nullptr);
	CHECK(::operator new[](too_much, aligned_64, std::nothrow) == nullptr);
}

static int calls;

// Gives up after the third call, as a handler does that has nothing left to free.
static void handler_that_gives_up()
{
	if (++calls == 3)
		std::set_new_handler(nullptr);
}

static void handler_that_throws()
{
	calls++;
	throw std::bad_alloc();
}

template <typename Act> static int calls_of(std::new_handler handler, Act act)
{
	calls = 0;
	std::set_new_handler(handler);
	CHECK(throws_bad_alloc(act));
	return calls;
}

static void the_new_handler_is_called_until_it_gives_up()
{
	CHECK(calls_of(handler_that_gives_up,
		       [] { ::operator delete(::operator new(too_much)); }) == 3);
	CHECK(calls_of(handler_that_gives_up,
		       [] { ::operator delete(::operator new(too_much, aligned_64)); }) == 3);
	CHECK(calls_of(handler_that_throws,
		       [] { ::operator delete[](::operator new[](too_much)); }) == 1);

	calls = 0;
	std::set_new_handler(handler_that_gives_up);
	CHECK(::operator new(too_much, std::nothrow) == nullptr);
	CHECK(calls == 3);
}

// nothrow means it, even if the handler throws.
static void a_handler_may_throw_out_of_a_nothrow_form()
{
	std::set_new_handler(handler_that_throws);
	CHECK(::operator new(too_much, std::nothrow) == nullptr);
	CHECK(::operator new[](too_much, std::nothrow) == nullptr);
	CHECK(::operator new(too_much, aligned_64, std::nothrow) == nullptr);
	CHECK(::operator new[](too_much, aligned_64, std::nothrow) == nullptr);
	std::set_new_handler(nullptr);
}

// Memory that a handler gives back is found by the next try: 3/4 of what an address-space limit allows
// cannot be had twice. Called in a child, for the limit cannot be raised again.
static void *reserve;
static const std::size_t reserve_bytes = static_cast<std::size_t>(768) << 20;

// Where classes flip the next try may go to another pool than the one that keeps the freed memory for half a second
// (docs/RELIABILITY.md, not promised): there the handler has to see to it that it goes back.
static void handler_that_helps()
{
	calls++;
	::operator delete(reserve);
	if (getenv("FLIPS_LOG"))
		malloc_trim(0);
	reserve = nullptr;
	std::set_new_handler(nullptr);
}

static void a_handler_may_help()
{
	struct rlimit limit = { static_cast<rlim_t>(1) << 30, static_cast<rlim_t>(1) << 30 };
	pid_t child = fork();
	if (child == 0) {
		calls = 0;
		setrlimit(RLIMIT_AS, &limit);
		std::set_new_handler(handler_that_helps);
		// Not new-expressions: a compiler may leave those out.
		reserve = ::operator new(reserve_bytes);
		void *again = ::operator new(reserve_bytes);
		CHECK(calls == 1 && again && !reserve);
		_exit(failures != 0);
	}
	int status = 1;
	waitpid(child, &status, 0);
	CHECK(status == 0);
}

struct alignas(256) over_aligned {
	char bytes[300];
};

static void objects_and_containers_live_on_it()
{
	std::vector<std::string> strings;
	for (int i = 0; i < 20000; i++)
		strings.push_back(std::string(static_cast<std::size_t>(i) % 3000, 'x'));
	for (int i = 0; i < 20000; i += 2)
		strings[static_cast<std::size_t>(i)].clear();
	strings.shrink_to_fit();
	over_aligned *one = new over_aligned, *many = new over_aligned[7];
	CHECK(is_aligned(one, 256) && is_aligned(many, 256));
	delete one;
	delete[] many;
}

// Every name is the library's, none the C++ runtime's.
static void the_operators_are_the_librarys()
{
	static const char *const names[] = {
		"_Znwm",
		"_Znam",
		"_ZnwmRKSt9nothrow_t",
		"_ZnamRKSt9nothrow_t",
		"_ZnwmSt11align_val_t",
		"_ZnamSt11align_val_t",
		"_ZnwmSt11align_val_tRKSt9nothrow_t",
		"_ZnamSt11align_val_tRKSt9nothrow_t",
		"_ZdlPv",
		"_ZdaPv",
		"_ZdlPvm",
		"_ZdaPvm",
		"_ZdlPvRKSt9nothrow_t",
		"_ZdaPvRKSt9nothrow_t",
		"_ZdlPvSt11align_val_t",
		"_ZdaPvSt11align_val_t",
		"_ZdlPvmSt11align_val_t",
		"_ZdaPvmSt11align_val_t",
		"_ZdlPvSt11align_val_tRKSt9nothrow_t",
		"_ZdaPvSt11align_val_tRKSt9nothrow_t",
	};
	for (const char *name : names) {
		Dl_info info;
		void *symbol = dlsym(RTLD_DEFAULT, name);
		bool ours = symbol && dladdr(symbol, &info) &&
			    std::strstr(info.dli_fname, "libhakmem");
		if (!ours)
			std::fprintf(stderr, "%s is not the library's\n", name);
		CHECK(ours);
	}
}

int main(int argc, char **argv)
{
	every_form_allocates_and_frees();
	every_aligned_form_allocates_and_frees();
	out_of_memory_throws_or_is_null();
	the_new_handler_is_called_until_it_gives_up();
	a_handler_may_help();
	objects_and_containers_live_on_it();
	a_handler_may_throw_out_of_a_nothrow_form();
	if (argc > 1 && !std::strcmp(argv[1], "libhakmem"))
		the_operators_are_the_librarys();
	return failures != 0;
}
