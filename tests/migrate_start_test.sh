#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/migrate_start_test.sh - what HAKMEM_PLAN does to a process: who serves which sizes, and the
# one line about a plan that is wrong
set -u

hakmem=$top_builddir/hakmem
owner=$top_builddir/tests/migrate_owner
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset HAKMEM_PLAN HAKMEM_LEGACY LD_PRELOAD
failures=0

if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	echo 'built for a sanitizer: there is no malloc to preload'
	exit 77
fi

fail() {
	printf 'FAILED: %.400s\n' "$*"
	failures=$((failures + 1))
}

# serves EXPECTED MESSAGE COMMAND...: what the command prints, and its stderr ("" for none).
serves() {
	expected=$1 message=$2
	shift 2
	got=$("$@" 2>"$work/errors" </dev/null) || fail "$*: exit status $?"
	[ "$got" = "$expected" ] || fail "$*: '$got', not '$expected'"
	[ "$(cat "$work/errors")" = "$message" ] ||
		fail "$*: says '$(cat "$work/errors")', not '$message'"
}

# plan PLAN EXPECTED [MESSAGE]: of a size at either side of every border.
plan() {
	serves "$2" "${3-}" env LD_PRELOAD="$HAKMEM_LIB" HAKMEM_PLAN="$1" "$owner" \
		1024 1025 4096 32768 32769 1048576 1048577
}

# who TINY MID MID MID LARGE LARGE HUGE
who() {
	echo "1024=$1 1025=$2 4096=$3 32768=$4 32769=$5 1048576=$6 1048577=$7"
}

old=$(who system legacy legacy legacy system system system)
serves "$old" '' env LD_PRELOAD="$HAKMEM_LIB" "$owner" 1024 1025 4096 32768 32769 1048576 1048577
plan '' "$old"
plan 'all=old' "$old"
plan 'old=legacy' "$old"
plan 'old=system' "$(who system system system system system system system)"
plan 'old=system, 4k=legacy' "$(who system system legacy system system system system)"
plan 'all=next' "$(who next next next next next next next)"
plan 'tiny=next' "$(who next legacy legacy legacy system system system)"
plan 'mid=next' "$(who system next next next system system system)"
plan 'large=next' "$(who system legacy legacy legacy next next system)"
plan 'huge=next' "$(who system legacy legacy legacy system system next)"
plan 'all=next, mid=old' "$(who next legacy legacy legacy next next next)"
plan 'all=next, 2k-8k=system, 32k=legacy' "$(who next next system legacy next next next)"

# The command's plan goes before the environment's.
serves '64=next' '' env HAKMEM_PLAN=all=system "$hakmem" run --plan tiny=next "$owner" 64
serves '64=next' '' env HAKMEM_PLAN=tiny=next "$hakmem" run "$owner" 64
# What a program starts is under the plan as well.
serves '64=next' '' "$hakmem" run --plan tiny=next sh -c "'$owner' 64"

# A wrong plan is applied in no part.
tail='; everything stays old'
plan 'all=next, tiny=legacy' "$old" \
	"hakmem: HAKMEM_PLAN: \"tiny=legacy\": legacy serves above 1 KiB to 32 KiB only (byte 10)\
$tail"
plan 'all=next,' "$old" \
	"hakmem: HAKMEM_PLAN: \"\": an empty item: a comma too many (byte 9)$tail"
plan "$(printf 'all=next,\033[2J\n=x')" "$old" \
	"hakmem: HAKMEM_PLAN: \"\\x1b[2J\\x0a=x\": a byte that no plan has (byte 9)$tail"
long=$(printf '%5000s' x)
plan "$long" "$old" "hakmem: HAKMEM_PLAN: \"$(printf '%60s' '')...\": the plan is longer than 4096\
 bytes (byte 0)$tail"

# Where there is no room for the address map there is neither pool, and the program runs. 30,000 KiB
# of address space are too few for the map alone and enough for the program.
if (ulimit -v 30000 && "$owner" 64 >/dev/null 2>&1; [ $? = 1 ]); then
	limited='ulimit -v 30000; exec "$0" 64 2048'
	serves '64=system 2048=system' \
		'hakmem: HAKMEM_PLAN: what serves some classes has no memory; they stay old' \
		env LD_PRELOAD="$HAKMEM_LIB" HAKMEM_PLAN=all=next sh -c "$limited" "$owner"
	serves '64=system 2048=system' '' env LD_PRELOAD="$HAKMEM_LIB" sh -c "$limited" "$owner"
fi

# A static program has no system behind it.
archive=${HAKMEM_LIB%.so}.a
if [ -e "$archive" ] && $CC -static -I"$top_srcdir" -o "$work/static" \
	"$top_srcdir/tests/migrate_owner.c" -Wl,--whole-archive "$archive" -Wl,--no-whole-archive \
	-pthread 2>"$work/link"; then
	serves '64=next 2048=legacy 40000=next' '' "$work/static" 64 2048 40000
	serves '64=next 2048=next 40000=next' '' \
		env HAKMEM_PLAN=all=next "$work/static" 64 2048 40000
	no_system=': a static program has no system allocator to go to'
	serves '64=next 2048=legacy' "hakmem: HAKMEM_PLAN: \"old=system\"$no_system (byte 4)$tail" \
		env HAKMEM_PLAN=old=system "$work/static" 64 2048
	serves '64=next 2048=legacy' "hakmem: HAKMEM_PLAN: \"4k=system\"$no_system (byte 12)$tail" \
		env HAKMEM_PLAN='mid=next,4k=system' "$work/static" 64 2048
	# Other rights than the caller's: the plan is ignored, also a wrong one, without a word. Not
	# every place honours the set-user-ID bit, so a program that asks for it goes first.
	cat >"$work/secure.c" <<'END'
#include <sys/auxv.h>
int main(void) { return !getauxval(AT_SECURE); }
END
	if [ "$(id -u)" = 0 ] && $CC -o "$work/secure" "$work/secure.c" &&
		chown 65534 "$work/secure" "$work/static" &&
		chmod 4755 "$work/secure" "$work/static" && "$work/secure"; then
		serves '64=next 2048=legacy' '' env HAKMEM_PLAN=mid=next "$work/static" 64 2048
		serves '64=next 2048=legacy' '' env HAKMEM_PLAN=nonsense "$work/static" 64 2048
	else
		echo 'set-user-ID programs left out: not root, or the bit has no effect here'
	fi
else
	echo "static programs left out: $(cat "$work/link" 2>/dev/null || echo "no $archive")"
fi

[ "$failures" = 0 ] || exit 1
echo 'all as expected'
