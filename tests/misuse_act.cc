// SPDX-License-Identifier: MIT
// tests/misuse_act.cc - helper: misuses memory in one named way, with blocks of so many bytes
//
//	misuse_act ACT BYTES [VALUE]
//
// Knows nothing of the library: preload one, or none. VALUE is what the overflows write, 0 if not given. Says
// "not found" and ends with 0 if nothing stopped it. `misuse_act list` lists the acts, with "sampled" behind those
// that only a guard page finds: these repeat the act with many blocks.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

extern "C" void free_sized(void *block, size_t bytes) __attribute__((weak));

namespace {

size_t bytes;
char value;

// The compiler may not know what becomes of a pointer.
template <typename T> T *hidden(T *pointer)
{
	T *volatile copy = pointer;
	return copy;
}

char *take()
{
	char *block = hidden(static_cast<char *>(malloc(bytes)));
	if (!block)
		abort();
	memset(block, 1, bytes);
	return block;
}

void give(char *block)
{
	free(hidden(block));
}

void give_in_other_thread(char *block)
{
	std::thread([block] { give(block); }).join();
}

void double_free()
{
	char *block = take();
	give(block);
	give(block);
}

void double_free_later()
{
	char *block = take(), *others[20];
	for (char *&other : others)
		other = take();
	give(block);
	for (char *other : others)
		give(other);
	give(block);
}

void double_free_by_other_thread()
{
	char *block = take();
	// There before the first free, or its stack may take the place of a block that is gone.
	char *volatile later = nullptr;
	std::thread other([&later] {
		char *seen;
		while (!(seen = __atomic_load_n(const_cast<char **>(&later), __ATOMIC_ACQUIRE)))
			std::this_thread::yield();
		give(seen);
	});
	give(block);
	__atomic_store_n(const_cast<char **>(&later), block, __ATOMIC_RELEASE);
	other.join();
}

void free_by_other_thread_then_own()
{
	char *block = take();
	give_in_other_thread(block);
	give(block);
}

void interior()
{
	give(take() + (bytes > 32 ? bytes / 2 & ~static_cast<size_t>(15) : 16));
}

void misaligned()
{
	give(take() + 1);
}

void non_canonical()
{
	give(reinterpret_cast<char *>(uintptr_t(0x123456789abcdef0)));
}

void overflow_by_one()
{
	char *block = take();
	hidden(block)[bytes] = value;
	give(block);
}

void overflow_by_many()
{
	char *block = take();
	memset(hidden(block) + bytes, value, 40);
	give(block);
}

void write_after_free()
{
	char *block = take();
	give(block);
	hidden(block)[bytes / 2] = value;
	// Allocators that look when a block is used again get their chance.
	for (int i = 0; i < 20000 && bytes < 100000; i++)
		give(take());
}

void sized_delete()
{
	void *block = hidden(static_cast<char *>(::operator new(bytes)));
	::operator delete(block, bytes + 1);
}

void sized_free()
{
	if (free_sized)
		free_sized(take(), bytes + 1);
}

void aligned_delete_of_plain_new()
{
	void *block = hidden(static_cast<char *>(::operator new(bytes)));
	::operator delete(block, std::align_val_t(64));
}

void plain_delete_of_aligned_new()
{
	void *block = hidden(static_cast<char *>(::operator new(bytes, std::align_val_t(64))));
	::operator delete(block);
}

void read_past_the_end()
{
	for (int i = 0; i < 100000; i++) {
		char *block = take();
		static_cast<void>(*static_cast<volatile char *>(block + bytes + 15));
		give(block);
	}
}

void read_before_the_start()
{
	for (int i = 0; i < 100000; i++) {
		char *block = take();
		static_cast<void>(*static_cast<volatile char *>(block - 1));
		give(block);
	}
}

void read_after_free()
{
	for (int i = 0; i < 100000; i++) {
		char *block = take();
		give(block);
		static_cast<void>(*static_cast<volatile char *>(hidden(block)));
	}
}

const struct {
	const char *name;
	void (*act)();
	const char *kind;
} acts[] = {
	{ "double-free", double_free, "" },
	{ "double-free-later", double_free_later, "" },
	{ "double-free-by-other-thread", double_free_by_other_thread, "" },
	{ "free-by-other-thread-then-own", free_by_other_thread_then_own, "" },
	{ "interior", interior, "" },
	{ "misaligned", misaligned, "" },
	{ "non-canonical", non_canonical, "" },
	{ "overflow-by-one", overflow_by_one, "" },
	{ "overflow-by-many", overflow_by_many, "" },
	{ "write-after-free", write_after_free, "" },
	{ "sized-delete", sized_delete, "" },
	{ "sized-free", sized_free, "" },
	{ "aligned-delete-of-plain-new", aligned_delete_of_plain_new, "" },
	{ "plain-delete-of-aligned-new", plain_delete_of_aligned_new, "" },
	{ "read-past-the-end", read_past_the_end, " sampled" },
	{ "read-before-the-start", read_before_the_start, " sampled" },
	{ "read-after-free", read_after_free, " sampled" },
};

} // namespace

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (const auto &act : acts)
			printf("%s%s\n", act.name, act.kind);
		return 0;
	}
	if (argc < 3)
		return 2;
	bytes = strtoul(argv[2], nullptr, 10);
	value = static_cast<char>(argc > 3 ? atoi(argv[3]) : 0);
	for (const auto &act : acts) {
		if (strcmp(argv[1], act.name) != 0)
			continue;
		act.act();
		puts("not found");
		return 0;
	}
	return 2;
}
