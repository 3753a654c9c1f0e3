// SPDX-License-Identifier: MIT
/* tests/programs.d/templates.cc - the g++ row: makes the compiler allocate, is never run
 *
 * DEPTH sets how many types are instantiated; FULL adds the standard library's heavier headers.
 */
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>
#ifdef FULL
#include <regex>
#include <unordered_map>
#endif

template <int N> struct Leaf {
	std::string name = std::string(N % 17 + 1, static_cast<char>('a' + N % 26));

	bool operator<(const Leaf &other) const
	{
		return name.size() * N < other.name.size() + N;
	}
};

/* Every N brings its own map, variant, function and sort. */
template <int N> int grow(const std::string &seed)
{
	std::map<Leaf<N>, std::vector<std::pair<int, Leaf<N>>>> tree;
	std::variant<int, Leaf<N>, std::tuple<Leaf<N>, int>> any = N;
	std::function<int(const Leaf<N> &)> measure = [&](const Leaf<N> &leaf) {
		return static_cast<int>(leaf.name.size() + seed.size());
	};

	for (int i = 0; i < N; i++) {
		tree[Leaf<N>{ seed + std::to_string(i) }].emplace_back(i, Leaf<N>{});
		if (i % 2)
			any = std::make_tuple(Leaf<N>{}, measure(Leaf<N>{}));
	}
	int sum = static_cast<int>(any.index());
	for (auto &[leaf, list] : tree) {
		std::sort(list.begin(), list.end(),
			  [](auto &a, auto &b) { return b.second < a.second; });
		sum += measure(leaf) + (list.empty() ? 0 : list.front().first);
	}
	return sum;
}

template <int... N> int forest(const std::string &seed, std::integer_sequence<int, N...>)
{
	return (grow<N>(seed) + ...);
}

#ifdef FULL
std::unordered_map<std::string, std::smatch> matches(const std::string &text)
{
	std::unordered_map<std::string, std::smatch> found;
	std::smatch match;
	if (std::regex_search(text, match, std::regex("(\\w+)-(\\d+)")))
		found[match[1]] = match;
	return found;
}
#endif

int plant(const std::string &seed)
{
	return forest(seed, std::make_integer_sequence<int, DEPTH>{});
}
