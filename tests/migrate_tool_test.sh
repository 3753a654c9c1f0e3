#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/migrate_tool_test.sh - the hakmem command by itself: options, exit codes, classes, and what
# run does before the program starts. What plans do inside a program is migrate_start_test.sh's.
set -u

hakmem=$top_builddir/hakmem
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset HAKMEM_PLAN LD_PRELOAD NO_COLOR
failures=0

fail() {
	printf 'FAILED: %.400s\n' "$*"
	failures=$((failures + 1))
}

# expect STATUS WORDS COMMAND...: the exit status, and WORDS in what the command printed.
expect() {
	status=$1 words=$2
	shift 2
	"$@" >"$work/out" 2>&1 </dev/null
	got=$?
	[ "$got" = "$status" ] || fail "$*: exit status $got, not $status: $(cat "$work/out")"
	[ -z "$words" ] || grep -qF -- "$words" "$work/out" ||
		fail "$*: no '$words' in: $(cat "$work/out")"
}

# ------------------------------------------------------------------------- options, exit codes

expect 0 'Commands:' "$hakmem" --help
expect 0 'hakmem 0.' "$hakmem" --version
expect 0 '125 if' "$hakmem" run --help
expect 0 '--json' "$hakmem" classes --help
expect 2 'which command?' "$hakmem"
expect 2 'no such command: fly' "$hakmem" fly
expect 2 'fly' "$hakmem" --fly
expect 2 'which program?' "$hakmem" run
expect 2 'which program?' "$hakmem" run --
expect 2 'nothing to do with: 4k' "$hakmem" classes 4k
for shown in --help --version 'run --help' classes 'classes --help' 'classes --json'; do
	expect 1 'hakmem: cannot write the output' sh -c '"$0" $1 >/dev/full' "$hakmem" "$shown"
done
expect 2 'no such command' sh -c '"$0" fly >/dev/full' "$hakmem"
expect 1 'cannot write' sh -c '"$0" classes >&-' "$hakmem"

# A build without ncurses has no top and says so; one that was configured with it has one.
if grep -qF 'S["CURSES_TRUE"]=""' "$top_builddir/config.status"; then
	expect 0 'Usage: hakmem top' "$hakmem" top --help
	expect 2 'which process?' "$hakmem" top
else
	expect 1 "built without ncurses; \`hakmem status' and \`hakmem watch' tell the same" "$hakmem" top 1
	[ "$(wc -l <"$work/out")" = 1 ] || fail "top: more than a line: $(cat "$work/out")"
fi

# ------------------------------------------------------------------------------------- classes

expect 0 'everything is old' "$hakmem" classes
expect 0 'plan: tiny=next' "$hakmem" classes --plan tiny=next
expect 2 '--plan: "tiny=legacy": legacy serves above 1 KiB' "$hakmem" classes --plan tiny=legacy
expect 2 'HAKMEM_PLAN: "x=next"' env HAKMEM_PLAN=x=next "$hakmem" classes
expect 0 'plan: tiny=next' env HAKMEM_PLAN=x=next "$hakmem" classes --plan tiny=next
if command -v script >/dev/null; then
	# A terminal gets colour for what the plan moved, and only then.
	colour=$(printf '\033[32mnext')
	script -qec "'$hakmem' classes --plan tiny=next" /dev/null >"$work/tty" </dev/null
	grep -qF "$colour" "$work/tty" || fail 'no colour on a terminal'
	NO_COLOR=1 script -qec "'$hakmem' classes --plan tiny=next" /dev/null >"$work/tty" \
		</dev/null
	grep -qF "$colour" "$work/tty" && fail 'colour in spite of NO_COLOR'
fi
"$hakmem" classes --plan tiny=next | grep -q "$(printf '\033')" && fail 'colour in a pipe'

json_plan=$(printf 'old=system,\tall=next, 2k-8k = legacy, huge=old, 64=old')
"$hakmem" classes --json --plan "$json_plan" >"$work/classes.json" || fail 'classes --json'
if command -v python3 >/dev/null; then
	python3 -m json.tool "$work/classes.json" >/dev/null || fail 'classes --json is no JSON'
	python3 - "$work/classes.json" "$json_plan" <<'END' || fail 'classes --json is wrong'
import json, sys

shown = json.load(open(sys.argv[1]))
assert shown["plan"] == sys.argv[2]
assert shown["old_mid"] == "system"
rows = shown["classes"]
assert len(rows) == 83 and [row["class"] for row in rows] == list(range(83))
assert rows[0]["min_bytes"] == 1 and rows[-1]["max_bytes"] is None
for below, above in zip(rows, rows[1:]):
    assert below["max_bytes"] + 1 == above["min_bytes"]

def wastes(low, high):
    return [100 * (high - size) / size for size in range(low, high + 1)]

for row in rows[:-1]:
    low, high = row["min_bytes"], row["max_bytes"]
    assert row["block_bytes"] == high
    if high <= 65536:
        all_wastes = wastes(low, high)
        assert abs(row["waste_worst_pct"] - max(all_wastes)) < 0.001
        assert abs(row["waste_mean_pct"] - sum(all_wastes) / len(all_wastes)) < 0.001
    band = ("tiny" if high <= 1024 else "mid" if high <= 32768 else "large")
    assert row["band"] == band

def row_of(size):
    return next(r for r in rows if r["max_bytes"] is None or r["max_bytes"] >= size)

for size, target, served_by in (
    (64, "old", "system"), (65, "next", "next"), (1792, "next", "next"),
    (2048, "legacy", "legacy"), (8192, "legacy", "legacy"), (8193, "next", "next"),
    (1 << 21, "old", "system"),
):
    assert row_of(size)["target"] == target, size
    assert row_of(size)["served_by"] == served_by, size
assert not any("share_pct" in row for row in rows)
END
	"$hakmem" classes --json --plan 'salt=a"b\, 4k=next@0.5%:host/control' >"$work/share.json" ||
		fail 'classes --json with a share'
	python3 - "$work/share.json" <<'END' || fail 'classes --json is wrong about a share'
import json, sys

shown = json.load(open(sys.argv[1]))
assert shown["salt"] == 'a"b\\'
rows = [row for row in shown["classes"] if "share_pct" in row]
assert [row["max_bytes"] for row in rows] == [4096]
assert (rows[0]["share_pct"], rows[0]["share_of"], rows[0]["control"]) == (0.5, "host", True)
assert (rows[0]["served_by"], rows[0]["rest_served_by"]) == ("next", "legacy")
END
fi
expect 0 'next@12.5%:thread/control  next, else legacy' \
	"$hakmem" classes --plan 4k=next@12.5%:thread/control

# ---------------------------------------------------------------------------------- completion

# completes EXPECTED WORD...: the last word is being written. bash cuts at '=' as it does on a terminal.
completes() {
	expected=$1
	shift
	got=$(bash -c '
		. "$0"
		words=()
		for word; do
			while [[ $word == *=?* ]]; do
				words+=("${word%%=*}" =)
				word=${word#*=}
			done
			words+=("$word")
		done
		COMP_WORDS=("${words[@]}")
		COMP_CWORD=$((${#words[@]} - 1))
		_hakmem
		echo "${COMPREPLY[*]}"' "$top_srcdir/migrate/tool/hakmem.bash" "$@" 2>"$work/errors")
	[ "$got" = "$expected" ] || fail "completion of $*: '$got', not '$expected' $(cat "$work/errors")"
}

if command -v bash >/dev/null; then
	completes 'run route rollback rollout record replay' "$hakmem" r
	completes 'kill-switch' "$hakmem" k
	completes '--plan= --plan-file=' "$hakmem" run --pl
	completes 'tiny=' "$hakmem" run --plan t
	completes 'next' "$hakmem" run --plan tiny=n
	completes '--control' "$hakmem" run -p tiny=next --c
	completes '--json' "$hakmem" classes --j
	completes 'next' "$hakmem" classes --plan tiny=n
	completes '--json-lines' "$hakmem" watch 1 --j
	completes '--dry-run' "$hakmem" route 1 --d
	completes 'mid=' "$hakmem" route 1 m
	completes 'old' "$hakmem" route 1 mid=o
	completes 'tiny,mid' "$hakmem" rollback 1 tiny,m
	completes '--all' "$hakmem" unlatch 1 --a
	completes '--off' "$hakmem" kill-switch 1 --o
	completes '--json' "$hakmem" route 1 --j
	completes 'top' "$hakmem" to
	completes 'route rollback rollout' "$hakmem" ro
	completes '--interval=' "$hakmem" top 1 --in
	completes '--on-patience= --on-interrupt=' "$hakmem" rollout 1 --on
	completes 'rollback' "$hakmem" rollout 1 --on-interrupt r
	completes 'leave' "$hakmem" rollout 1 --on-interrupt=l
	completes 'tiny,mid' "$hakmem" rollout --classes tiny,m
	completes '1%,5%,25%,100%' "$hakmem" rollout 1 --classes mid --steps ''
	completes '' "$hakmem" rollout 1 --alpha ''
	completes 'all,misuse' "$hakmem" guard 1 all,m
	completes 'latency=' "$hakmem" run --guard l
	completes '' "$hakmem" run -g all -- true --p
	completes '' "$hakmem" top 1 2
	completes 'start stop status' "$hakmem" record st
	completes '--by= --buffer=' "$hakmem" record start 1 --b
	completes 'thread' "$hakmem" record start 1 --by t
	completes '--record= --record-options=' "$hakmem" run --rec
	completes 'import info' "$hakmem" trace i
	completes '--picture' "$hakmem" trace info --pi
	completes '--preload' "$hakmem" replay --pre
	completes 'tiny=' "$hakmem" compare --new t
	completes 'next' "$hakmem" compare --old tiny=n
	completes '--peer' "$hakmem" compare --pee
fi

# ------------------------------------------------------------- run: before the program starts

expect 2 '--plan: "4k=nxt": no such target' "$hakmem" run --plan 4k=nxt -- touch "$work/started"
expect 2 'HAKMEM_PLAN: "": an empty item' env HAKMEM_PLAN=, "$hakmem" run touch "$work/started"
[ -e "$work/started" ] && fail 'a wrong plan started the program'
expect 125 'No such file' "$hakmem" run --lib "$work/none.so" true
expect 125 'No such file' env HAKMEM_LIB="$work/none.so" "$hakmem" run true
for wrong in "$work" "$work/classes.json"; do
	expect 125 "$wrong: " "$hakmem" run --lib "$wrong" touch "$work/started"
	[ -e "$work/started" ] && fail "$wrong was taken for a library"
done
if echo 'int other;' | $CC -shared -fPIC -x c - -o "$work/other.so" 2>/dev/null; then
	expect 125 'is not the hakmem library' env HAKMEM_LIB="$work/other.so" "$hakmem" run true
fi
mkdir "$work/a blank"
cp "$HAKMEM_LIB" "$work/a blank/lib.so"
expect 125 'cannot be preloaded' "$hakmem" run --lib "$work/a blank/lib.so" true

# A library for a sanitizer cannot be preloaded into a program that lacks its runtime.
if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	[ "$failures" = 0 ] || exit 1
	echo 'as expected; what comes after starting a program was left out: no malloc to preload'
	exit 0
fi

expect 127 'no-such-program: No such file' "$hakmem" run no-such-program
expect 126 'Permission denied' "$hakmem" run "$work/classes.json"
expect 7 '' "$hakmem" run sh -c 'exit 7'
expect 7 '' "$hakmem" run --plan tiny=next -- sh -c 'exit 7'
expect 0 '--plan x' "$hakmem" run echo --plan x
expect 0 'plan is tiny=next' "$hakmem" run --plan tiny=next sh -c 'echo "plan is $HAKMEM_PLAN"'

# --------------------------------------------------------------------- run: which library

# preloads TOOL EXPECTED [VARIABLE=VALUE...]: what a program started by TOOL finds in LD_PRELOAD.
preloads() {
	tool=$1 expected=$2
	shift 2
	got=$(env -u HAKMEM_LIB "$@" "$tool" run sh -c 'echo "$LD_PRELOAD"' 2>&1)
	[ "$got" = "$expected" ] || fail "$tool $* preloads '$got', not '$expected'"
}

library=$(realpath "$HAKMEM_LIB")
preloads "$hakmem" "$library"
preloads "$hakmem" "$library" HAKMEM_LIB=
other=$work/other.so
if echo 'int other;' | $CC -shared -fPIC -x c - -o "$other" 2>/dev/null; then
	preloads "$hakmem" "$library:$other" LD_PRELOAD="$other"
fi
real_tool=$(realpath "$hakmem")
[ -e "$top_builddir/.libs/hakmem" ] && real_tool=$(realpath "$top_builddir/.libs/hakmem")
# As installed; as installed, but moved; in a build tree; where libtool hides the program.
for layout in bin/hakmem:lib/libhakmem.so.0 bin/hakmem:lib64/libhakmem.so \
	hakmem:.libs/libhakmem.so.0 .libs/hakmem:.libs/libhakmem.so.0 \
	migrate/tool/hakmem:.libs/libhakmem.so.0 migrate/tool/.libs/hakmem:.libs/libhakmem.so; do
	tree=$(mktemp -d "$work/tree.XXXXXX")
	mkdir -p "$tree/$(dirname "${layout%:*}")" "$tree/$(dirname "${layout#*:}")"
	cp "$real_tool" "$tree/${layout%:*}"
	cp "$library" "$tree/${layout#*:}"
	preloads "$tree/${layout%:*}" "$(realpath "$tree")/${layout#*:}"
done

# -------------------------------------------------- run: programs that do not load the library

if echo 'int main(void) { return 0; }' | $CC -static -x c - -o "$work/static" 2>/dev/null; then
	expect 0 'is a static program' "$hakmem" run "$work/static"
fi
if echo 'int main(void) { return 0; }' | $CC -static-pie -x c - -o "$work/pie" 2>/dev/null; then
	expect 0 'is a static program' "$hakmem" run "$work/pie"
fi
if [ -e "$work/static" ]; then
	printf '#! %s\n' "$work/static" >"$work/script"
	chmod +x "$work/script"
	expect 0 'is a static program' "$hakmem" run "$work/script"
	expect 0 'is a static program' env PATH="$work:$PATH" "$hakmem" run static
fi
sleep_path=$(command -v sleep) # true is built in
if [ "$(id -u)" = 0 ]; then
	cp "$sleep_path" "$work/other-user"
	chown 65534 "$work/other-user" && chmod 4755 "$work/other-user"
	"$hakmem" run "$work/other-user" 0 2>&1 | grep -q 'other rights' ||
		fail 'no word of set-uid'
fi
# Another machine's program: one of ours with e_machine (byte 18) overwritten.
cp "$sleep_path" "$work/foreign"
printf '\362\001' | dd of="$work/foreign" bs=1 seek=18 conv=notrunc 2>/dev/null
"$hakmem" run "$work/foreign" 2>&1 | grep -q 'another kind of machine' || fail 'no word of machine'
[ -z "$("$hakmem" run "$sleep_path" 0 2>&1)" ] || fail "a warning about $sleep_path"

[ "$failures" = 0 ] || exit 1
echo 'all as expected'
