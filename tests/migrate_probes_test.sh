#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/migrate_probes_test.sh - the static probes are in the library, and perf sees a live flip by them
set -u

library=$(realpath "${HAKMEM_LIB:?run by make check}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail() {
	printf 'FAILED: %.600s\n' "$*"
	failures=$((failures + 1))
}

if ! grep -q '^#define HAVE_SYS_SDT_H 1' "${top_builddir:?}/config.h"; then
	echo 'skipped: built without <sys/sdt.h>'
	exit 77
fi
if ! nm -D --defined-only "$library" | grep -q ' malloc$'; then
	echo 'skipped: built for a sanitizer: there is no malloc to preload'
	exit 77
fi

readelf -n "$library" >"$work/notes"
for probe in route_changed flip_done rollback guard_trip segment_mapped segment_unmapped page_purged \
	legacy_lock_waited; do
	grep -A1 'Provider: hakmem' "$work/notes" | grep -q "Name: $probe\$" || fail "no probe $probe"
done

# The session of docs/CONTROL.md, on a program that flips once and rolls back.
cat >"$work/flip.c" <<'END'
#include "shim/hakmem.h"
int main(void)
{
	void *large, *volatile block;
	if (hakmem_plan_set("4k=next", 0, 0) || hakmem_rollback("4k"))
		return 1;
	if (hakmem_plan_set("huge=next, 8k=next", 0, 0) || hakmem_guard_set("misuse", 0, 0))
		return 1;
	large = hakmem_malloc(10 << 20);
	hakmem_free(large);
	block = hakmem_malloc(8192);
	hakmem_free(block);
	hakmem_malloc_trim(0);
	hakmem_free(block); /* twice */
	return 0;
}
END
# What perf adds is the kernel's, not this process's, and its names are everybody's: another run of this is waited for.
# It is removed again in any case.
cat >"$work/session" <<'END'
events=/sys/kernel/tracing/uprobe_events
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
[ -w "$events" ] || exit 77
limit=$(($(date +%s) + 60))
while grep -q sdt_hakmem "$events" && [ "$(date +%s)" -lt "$limit" ]; do
	sleep 0.1
done
cache="--buildid-dir $work/cache"
trap 'perf $cache probe -q --del "sdt_hakmem:*" >/dev/null 2>&1' EXIT
trap 'exit 1' HUP INT TERM
perf $cache buildid-cache --add "$library" || exit 77
perf $cache probe -q --add 'sdt_hakmem:*' || exit 1
perf $cache record -q -o "$work/data" -e 'sdt_hakmem:*' -- "$work/flip" 2>"$work/record" || exit 1
perf $cache script -i "$work/data" >"$work/seen" 2>/dev/null

# A process that runs already, flipped by the command. perf says when it has begun to listen.
mkfifo "$work/lines" "$work/control" "$work/told"
exec 3<>"$work/lines" 4<>"$work/control" 5<>"$work/told"
LD_PRELOAD=$library HAKMEM_CONTROL=1 XDG_RUNTIME_DIR=$work "$owner" - <"$work/lines" >/dev/null 2>&1 &
process=$!
limit=$(($(date +%s) + 30))
until XDG_RUNTIME_DIR=$work "$hakmem" status -i 0 "$process" >/dev/null 2>&1; do
	[ "$(date +%s)" -lt "$limit" ] || exit 1
done
perf $cache record -q -o "$work/data" -e 'sdt_hakmem:*' -p "$process" -D -1 \
	--control "fifo:$work/control,$work/told" 2>>"$work/record" &
listener=$!
echo enable >&4
read -r answer <&5
XDG_RUNTIME_DIR=$work "$hakmem" route "$process" 4k=next
XDG_RUNTIME_DIR=$work "$hakmem" rollback "$process" 4k
kill -INT "$listener"
wait "$listener"
kill "$process"
perf $cache script -i "$work/data" >"$work/live" 2>/dev/null
exit 0
END
if [ "$(id -u)" != 0 ] || ! command -v perf >/dev/null || ! unshare -m true 2>/dev/null ||
	! $CC -I"${top_srcdir:?}" -o "$work/flip" "$work/flip.c" "$library" 2>"$work/link"; then
	echo 'perf left out: not root, no perf, or not allowed here'
else
	LD_LIBRARY_PATH=$(dirname "$library") HOME=$work work=$work library=$library \
		hakmem=$top_builddir/hakmem owner=$top_builddir/tests/migrate_owner \
		unshare -m sh "$work/session" >"$work/said" 2>&1
	case $? in
	0)
		grep -q 'sdt_hakmem:route_changed: .*arg1=47 arg2=2 arg3=3 ' "$work/seen" ||
			fail "no flip to next: $(cat "$work/seen")"
		grep -q 'sdt_hakmem:flip_done: .*arg1=1 arg2=[1-9]' "$work/seen" || fail 'no duration'
		grep -q 'sdt_hakmem:rollback: .*arg1=47 ' "$work/seen" || fail 'no rollback'
		grep -q 'sdt_hakmem:segment_mapped: .*arg2=10485760' "$work/seen" || fail 'no mapping'
		grep -q 'sdt_hakmem:segment_unmapped: .*arg2=10485760' "$work/seen" || fail 'no unmapping'
		grep -q 'sdt_hakmem:page_purged: .*arg2=[1-9]' "$work/seen" || fail 'no purge'
		grep -q 'sdt_hakmem:guard_trip: .*arg1=' "$work/seen" || fail 'no guard'
		for seen in 'route_changed: .*arg1=47 arg2=2 arg3=3 ' 'flip_done: .*arg1=1 arg2=[1-9]' \
			'route_changed: .*arg1=47 arg2=3 arg3=2 ' 'rollback: .*arg1=47 '; do
			grep -q "sdt_hakmem:$seen" "$work/live" ||
				fail "no $seen of a living process: $(cat "$work/live" "$work/said")"
		done
		;;
	77) echo "perf left out: $(cat "$work/said")" ;;
	*) fail "perf: $(cat "$work/said" "$work/record")" ;;
	esac
fi

[ "$failures" = 0 ] || exit 1
echo 'all as expected'
