#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/migrate_live_test.sh - living processes: plan files of all kinds, and the command from outside
#
# Nothing here waits for a time to pass: what should come is asked for until it comes, or for 30 s.
set -u

hakmem=${top_builddir:?}/hakmem
owner=$top_builddir/tests/migrate_owner
work=$(mktemp -d)
chmod 755 "$work"
: "${HAKMEM_LIB:?run by make check}" "${top_srcdir:?}"
unset HAKMEM_PLAN HAKMEM_PLAN_FILE HAKMEM_CONTROL HAKMEM_LEGACY LD_PRELOAD NO_COLOR
XDG_RUNTIME_DIR=$work/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"
failures=0
helper=
through= # a command that starts it
trap 'stop_all; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	echo 'built for a sanitizer: there is no malloc to preload'
	exit 77
fi

fail() {
	printf 'FAILED: %.600s\n' "$*"
	failures=$((failures + 1))
}

# ------------------------------------------------------------------- a process that can be asked

# start VARIABLE=VALUE...: a helper under these settings. Its number is in $helper.
start() {
	stop
	rm -f "$work/in" "$work/out"
	mkfifo "$work/in" "$work/out"
	$through env LD_PRELOAD="$HAKMEM_LIB" "$@" "$owner" - <"$work/in" >"$work/out" 2>"$work/errors" &
	helper=$!
	exec 8>"$work/in" 9<"$work/out"
}

stop() {
	[ -n "$helper" ] || return 0
	exec 8>&- 9<&-
	wait "$helper" || fail "the helper ended with $?: $(cat "$work/errors")"
	helper=
}

stop_all() {
	[ -n "$helper" ] && kill -9 "$helper" 2>/dev/null
	[ -n "${other-}" ] && kill -9 "$other" 2>/dev/null
}

# said LINE: what the helper answers.
said() {
	echo "$1" >&8
	read -r reply <&9 || reply=nothing
	echo "$reply"
}

now() {
	date +%s
}

# serves SIZES ANSWER: now.
serves() {
	got=$(said "$1")
	[ "$got" = "$2" ] || fail "$what: '$got', not '$2'; $(cat "$work/errors")"
}

# comes COMMAND...: until it is true.
comes() {
	limit=$(($(now) + 30))
	while ! "$@"; do
		if [ "$(now)" -gt "$limit" ]; then
			fail "$what: '$*' did not come; $(cat "$work/errors")"
			return 1
		fi
	done
}

attends() {
	"$hakmem" status "$1" >/dev/null 2>&1
}

is_served() {
	[ "$(said "$1")" = "$2" ]
}

becomes() {
	comes is_served "$1" "$2"
}

line_count() {
	grep -c "$1" "$work/errors"
}

has_line() {
	grep -q "$1" "$work/errors"
}

# ------------------------------------------------------------------------------- plan files

plan=$work/plans/plan
mkdir "$work/plans"

# write TEXT [FILE]: as a whole, by another name.
write() {
	printf '%s\n' "$1" >"${2-$plan}.new" && mv "${2-$plan}.new" "${2-$plan}"
}

what='a file at the start'
write '64=next'
start HAKMEM_PLAN_FILE="$plan"
serves '64 4096' '64=next 4096=legacy'

what='renamed over'
write '4k=next'
becomes '64 4096' '64=system 4096=next'

what='edited in place'
printf '64=next,\n4k=next\n' >"$plan"
becomes '64 4096' '64=next 4096=next'

what='appended to'
printf ', 4k=system' >>"$plan"
becomes '64 4096' '64=next 4096=system'

what='a wrong plan keeps the last good one'
write '64=nxt'
comes has_line "$plan: no such target.*(byte 3); the last good plan stays"
serves '64 4096' '64=next 4096=system'
write '64=next, 64=nxt'
comes has_line '(byte 12); the last good plan stays'
serves '64 4096' '64=next 4096=system'
[ "$(grep -c . "$work/errors")" = 2 ] || fail "$what: not one line each: $(cat "$work/errors")"
grep -q nxt "$work/errors" && fail "$what: the text of the file is shown"

what='a right one after it'
write '64=old, 4k=next'
becomes '64 4096' '64=system 4096=next'

what='deleted, and there again'
rm "$plan"
comes has_line 'there is no such file; the last good plan stays'
serves '64 4096' '64=system 4096=next'
write '64=next'
becomes '64 4096' '64=next 4096=legacy'

what='its folder is moved away, and there again'
mv "$work/plans" "$work/elsewhere"
mkdir "$work/plans"
write '4k=system'
becomes '64 4096' '64=system 4096=system'
rm -r "$work/elsewhere"

what='others may write it'
cp "$plan" "$work/before"
printf '64=next' >"$work/loose" && chmod 666 "$work/loose" && mv "$work/loose" "$plan"
comes has_line 'others may write it; the last good plan stays'
serves '64 4096' '64=system 4096=system'
chmod 644 "$plan"
becomes '64 4096' '64=next 4096=legacy'
if [ "$(id -u)" = 0 ]; then
	what="another user's"
	printf '4k=next' >"$work/foreign" && chown 65534 "$work/foreign" && mv "$work/foreign" "$plan"
	comes has_line 'neither to root nor to the user'
	serves '64 4096' '64=next 4096=legacy'
fi

what='no regular file'
rm -f "$plan"
mkfifo "$plan"
comes has_line 'it is no regular file'
serves '64 4096' '64=next 4096=legacy'
rm "$plan" && ln -s /dev/zero "$plan"
write '64=old'
becomes '64 4096' '64=system 4096=legacy'

what='too long'
head -c 100000 /dev/zero | tr '\0' ' ' >"$work/long" && mv "$work/long" "$plan"
comes has_line 'longer than 4096 bytes'
serves 4096 4096=legacy

what='a link that turns round'
rm "$plan" && ln -s plan "$work/plans/loop" && ln -s loop "$plan"
comes has_line 'too many symbolic links'
rm "$plan"
write '4k=next'
becomes 4096 4096=next

what='a child'
[ "$(said fork)" != nothing ] || fail "$what: no child"
write '4k=system'
becomes 4096 4096=system
stop

what='a ConfigMap'
map=$work/map
mkdir -p "$map/..1" "$map/..2"
printf '64=next' >"$map/..1/plan"
printf '4k=next' >"$map/..2/plan"
ln -s ..1 "$map/..data"
ln -s ..data/plan "$map/plan"
start HAKMEM_PLAN_FILE="$map/plan"
serves '64 4096' '64=next 4096=legacy'
for version in 2 1 2; do
	ln -s "..$version" "$map/..tmp" && mv -T "$map/..tmp" "$map/..data"
	case $version in
	1) becomes '64 4096' '64=next 4096=legacy' ;;
	2) becomes '64 4096' '64=system 4096=next' ;;
	esac
done
rm -r "$map/..1"

what='a folder that is a link, far above'
mkdir -p "$work/releases/1/etc" "$work/releases/2/etc"
printf '64=next' >"$work/releases/1/etc/plan"
printf '4k=next' >"$work/releases/2/etc/plan"
ln -s releases/1 "$work/current"
start HAKMEM_PLAN_FILE="$work/./releases/../current/etc/plan"
serves '64 4096' '64=next 4096=legacy'
ln -s releases/2 "$work/tmp" && mv -T "$work/tmp" "$work/current"
becomes '64 4096' '64=system 4096=next'
printf '4k=system' >"$work/releases/2/etc/plan"
becomes '64 4096' '64=system 4096=system'

what='a path from where the process was started'
mkdir "$work/home"
printf '64=next' >"$work/home/plan"
cd "$work/home" || exit 1
start HAKMEM_PLAN_FILE=plan
cd / || exit 1
serves 64 64=next
[ "$(said 'chdir /')" = ok ] || fail "$what: no chdir"
write '64=old' "$work/home/plan"
becomes 64 64=system

what='nothing there at the start'
start HAKMEM_PLAN_FILE="$work/later/etc/plan"
serves 64 64=system
has_line 'there is no such file; it has no say' || fail "$what: no line"
mkdir "$work/later"
mkdir "$work/later/etc"
printf '64=next' >"$work/later/etc/plan"
becomes 64 64=next

# ------------------------------------------------------------------------- precedence, live

what='live over file over environment'
write '64=next'
start HAKMEM_PLAN='tiny=system, 4k=next' HAKMEM_PLAN_FILE="$plan" HAKMEM_CONTROL=1
serves '64 128 4096' '64=next 128=system 4096=next'
comes attends "$helper"
"$hakmem" route "$helper" '4k=legacy' >/dev/null || fail "$what: route: $?"
serves '64 128 4096' '64=next 128=system 4096=legacy'
write '4k=system, 128=next'
becomes '64 128 4096' '64=system 128=next 4096=legacy'
"$hakmem" route "$helper" --clear >/dev/null || fail "$what: route --clear: $?"
serves '64 128 4096' '64=system 128=next 4096=system'
"$hakmem" rollback "$helper" 128 >/dev/null || fail "$what: rollback: $?"
serves '64 128 4096' '64=system 128=system 4096=system'
write '128=next, 64=next'
becomes '64 128' '64=next 128=system'
"$hakmem" unlatch "$helper" 128 >/dev/null || fail "$what: unlatch: $?"
serves '64 128' '64=next 128=next'
"$hakmem" kill-switch "$helper" >/dev/null || fail "$what: kill-switch: $?"
serves '64 128 4096' '64=system 128=system 4096=legacy'
"$hakmem" kill-switch --off "$helper" >/dev/null || fail "$what: kill-switch --off: $?"
serves '64 128 4096' '64=next 128=next 4096=next'

# expect STATUS WORDS COMMAND...: the exit status, and WORDS in what the command printed.
expect() {
	status=$1 words=$2
	shift 2
	"$@" >"$work/shown" 2>&1 </dev/null
	got=$?
	[ "$got" = "$status" ] || fail "$*: exit status $got, not $status: $(cat "$work/shown")"
	[ -z "$words" ] || grep -qF -- "$words" "$work/shown" ||
		fail "$*: no '$words' in: $(cat "$work/shown")"
}

what='commands'
expect 4 'no such target' "$hakmem" route "$helper" 4k=nxt
expect 4 'a share of what?' "$hakmem" route --dry-run "$helper" 4k=next@5%
expect 4 'no such selector' "$hakmem" rollback "$helper" everything
expect 0 '0 classes flipped' "$hakmem" route "$helper" ''
expect 0 '1 class would move' "$hakmem" route --dry-run "$helper" 4k=old
expect 0 'next -> legacy; stays behind in next: ' "$hakmem" route --dry-run "$helper" 4k=old
serves 4096 4096=next
expect 4 'no such guard' "$hakmem" guard "$helper" luck
expect 0 'guarded' "$hakmem" guard "$helper" 'misuse, rss=64g'
expect 0 'misuse, rss=64g' "$hakmem" status "$helper" -i 0
expect 0 'no guards any more' "$hakmem" guard "$helper" --off
expect 2 'which guards?' "$hakmem" guard "$helper"
expect 2 '--off goes with no guards' "$hakmem" guard "$helper" all --off
grep -qF 'S["CURSES_TRUE"]=""' "$top_builddir/config.status" && top=top || top=
for command in run classes ps status route rollback unlatch kill-switch guard $top rollout watch; do
	expect 0 'Usage: hakmem '"$command" "$hakmem" "$command" --help
	"$hakmem" "$command" --help | tr '\n' ' ' | grep -qi 'exit status' || fail "$command --help: no exit status"
done
expect 0 'HAKMEM_PLAN' "$hakmem" status "$helper"
expect 0 'malloc/s' "$hakmem" status "$helper" -i 0.01
expect 0 'segments   remote      purged    waits  why' "$hakmem" status "$helper"
expect 2 'interval' "$hakmem" status "$helper" -i -1
expect 0 '3841 to 4k' "$hakmem" status --each "$helper"
expect 0 'migrate_owner' "$hakmem" ps
expect 2 'which process?' "$hakmem" status
expect 2 'no process id: x' "$hakmem" status x
expect 2 'no process id: 0' "$hakmem" status 0
expect 2 'nothing to do with: 5' "$hakmem" status 4 5
expect 2 'which plan?' "$hakmem" route "$helper"
expect 2 'which classes?' "$hakmem" rollback "$helper"
expect 2 'goes with no classes' "$hakmem" rollback "$helper" --all 4k
expect 2 'json-lines' "$hakmem" watch "$helper"
expect 2 'interval' "$hakmem" watch "$helper" --json-lines -i nan
expect 3 'no such process' "$hakmem" status 999999999
expect 3 'no control page' "$hakmem" status $$
expect 1 'cannot write' sh -c '"$0" status "$1" >/dev/full' "$hakmem" "$helper"
"$hakmem" status "$helper" | grep -q "$(printf '\033')" && fail 'colour in a pipe'
if command -v script >/dev/null; then
	script -qec "'$hakmem' status $helper" /dev/null </dev/null | grep -q "$(printf '\033\[32m')" ||
		fail 'no colour on a terminal'
	NO_COLOR=1 script -qec "'$hakmem' status $helper" /dev/null </dev/null |
		grep -q "$(printf '\033')" && fail 'colour in spite of NO_COLOR'
fi
if command -v bash >/dev/null; then
	pids=$(bash -c '. "$0"; COMP_WORDS=("$1" status ""); COMP_CWORD=2; _hakmem; echo " ${COMPREPLY[*]} "' \
		"$top_srcdir/migrate/tool/hakmem.bash" "$hakmem")
	case $pids in *" $helper "*) ;; *) fail "completion of a process id: $pids" ;; esac
	case $pids in *" $$ "*) fail 'completion of a process without control' ;; esac
fi
if command -v python3 >/dev/null; then
	"$hakmem" route --json "$helper" '' >"$work/route.json"
	"$hakmem" unlatch --json "$helper" 1k >"$work/unlatch.json"
	"$hakmem" rollback "$helper" 128 >/dev/null
	write '64=nxt'
	comes has_line 'the last good plan stays'
	"$hakmem" status --json "$helper" >"$work/status.json"
	"$hakmem" ps --json >"$work/ps.json"
	"$hakmem" route --dry-run --json "$helper" '64=next@5%:thread/control' >"$work/trial.json"
	"$hakmem" watch --json-lines --count 3 -i 0.01 "$helper" >"$work/watch.json"
	python3 - "$work" "$helper" <<'END' || fail 'JSON is not as it should be'
import json, sys

work, pid = sys.argv[1], int(sys.argv[2])
def load(name):
    with open(f"{work}/{name}", encoding="utf-8") as file:
        return json.load(file)

status = load("status.json")
assert status["pid"] == pid and status["program"] == "migrate_owner"
assert status["plans"]["environment"]["plan"] == "tiny=system, 4k=next"
assert status["plans"]["file"]["plan"] == "128=next, 64=next "
assert status["plans"]["file"]["error"].startswith("no such target")
assert status["plans"]["live"] == {"plan": "", "error": None}
assert not status["kill_switch"]
rows = status["classes"]
assert [row["class"] for row in rows] == list(range(83))
def row_of(size):
    return next(r for r in rows if r["max_bytes"] is None or r["max_bytes"] >= size)
assert (row_of(64)["state"], row_of(64)["source"], row_of(64)["reason"]) == ("next", "file", "plan")
assert (row_of(128)["state"], row_of(128)["reason"]) == ("old", "latched")
assert row_of(128)["latched"] and row_of(128)["cause"] == "asked for by the command"
assert row_of(64)["old_live_blocks"] is None and row_of(4096)["old_live_blocks"] is not None
(me,) = [row for row in load("ps.json") if row["pid"] == pid]
assert me["controlled"] and me["latched"] == 1 and me["next"] + me["canary"] + me["old"] == 83
assert row_of(64)["next_mallocs"] > 0 and row_of(64)["next_mallocs_per_s"] is not None
assert row_of(64)["old_mallocs"] is None and row_of(4096)["old_mallocs"] is not None
assert status["guard"] == "" and row_of(64)["guard_latency"] == "off" and row_of(64)["flipped_ns"] > 0
# What a class holds and what it cost is told by class, of both sides; the sums are the pools'.
for name in ("next_pinned_pages", "next_pinned_segments", "next_remote_frees", "next_purged_bytes"):
    assert all(isinstance(row[name], int) for row in rows), name
for name in ("old_pinned_pages", "old_pinned_segments", "old_remote_frees", "old_lock_waits", "old_purged_bytes"):
    assert row_of(64)[name] is None and isinstance(row_of(4096)[name], int), name
assert sum(row["next_remote_frees"] for row in rows) == status["next"]["remote_frees"]
assert sum(row["next_purged_bytes"] for row in rows) == status["next"]["purged_bytes"]
assert all((row["next_live_blocks"] > 0) == (row["next_pinned_pages"] > 0) for row in rows)
legacys = {row["old_class_bytes"]: row for row in rows if row["old_class_bytes"]}.values()
assert sum(row["old_remote_frees"] for row in legacys) == status["legacy"]["remote_frees"]
assert sum(row["old_lock_waits"] for row in legacys) == status["legacy"]["lock_waits"]
assert sum(row["old_purged_bytes"] for row in legacys) == status["legacy"]["purged_bytes"]
assert status["legacy"]["segments"] >= max(row["old_pinned_segments"] for row in legacys)
assert status["age_s"] >= 0 and status["resident_bytes"] > 0 and status["threads"] == 2
for name in ("route.json", "unlatch.json"):
    done = load(name)
    assert done["pid"] == pid and done["flipped"] == 0 and done["unavailable"] == 0, done
(move,) = load("trial.json")
assert move["stays_behind_in"] == "next" and move["stays_behind_blocks"] == move["next_live_blocks"]
assert (move["state"], move["would_be_state"]) == ("next", "canary")
with open(f"{work}/watch.json", encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
assert len(lines) == 3 and all(line["pid"] == pid for line in lines)
assert lines[0]["classes"][0]["next_mallocs_per_s"] is None
assert lines[1]["classes"][0]["next_mallocs_per_s"] is not None
assert lines[0]["time_ns"] < lines[1]["time_ns"] < lines[2]["time_ns"]
END
fi

what='watching until the end'
"$hakmem" watch --json-lines -i 0.01 "$helper" >"$work/watched" 2>"$work/complaints" 8>&- 9<&- &
other=$!
comes test -s "$work/watched"
stop
wait "$other" || fail "$what: $(cat "$work/complaints")"
other=

what='where nothing can be watched'
cat >"$work/unwatched" <<'END'
#!/bin/sh
echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"
END
chmod +x "$work/unwatched"
if unshare -U -r "$work/unwatched" true 2>/dev/null; then
	through="unshare -U -r $work/unwatched"
	write '64=next'
	start HAKMEM_CONTROL=1 HAKMEM_PLAN_FILE="$plan"
	through=
	serves 64 64=next
	comes attends "$helper"
	expect 0 '1 class flipped' "$hakmem" route "$helper" 4k=next
	serves '64 4096' '64=next 4096=next'
	write '64=old'
	becomes '64 4096' '64=system 4096=next'
	stop
else
	echo "$what: left out, no user namespaces here"
fi

# --------------------------------------------------------------------------- pages of the dead

pages() {
	find "$XDG_RUNTIME_DIR/hakmem" -type f | wc -l
}

what='removed at the end'
[ "$(pages)" = 0 ] || fail "$what: $(ls "$XDG_RUNTIME_DIR/hakmem")"

what='kill -9'
start HAKMEM_CONTROL=1
comes attends "$helper"
kill -9 "$helper"
exec 8>&- 9<&-
wait "$helper" 2>/dev/null
expect 3 'no such process' "$hakmem" status "$helper"
helper=
[ "$(pages)" = 1 ] || fail "$what: no page was left behind, so nothing is shown by this"
expect 0 '' "$hakmem" ps
[ "$(pages)" = 0 ] || fail "$what: ps leaves the page of a dead process"

what='exec of a program without the library'
start HAKMEM_CONTROL=1
comes attends "$helper"
[ "$(said 'exec unset LD_PRELOAD; exec cat')" = ok ] || fail "$what: no exec"
is_cat() {
	[ "$(cat "/proc/$helper/comm")" = cat ]
}
comes is_cat
expect 3 'control page' "$hakmem" status "$helper"
expect 0 '' "$hakmem" ps
grep -q " cat " "$work/shown" && fail "$what: cat is listed"
stop
expect 0 '' "$hakmem" ps
[ "$(pages)" = 0 ] || fail "$what: its page is left for ever"

what='exec of the same program'
start HAKMEM_CONTROL=1 HAKMEM_PLAN=64=next
comes attends "$helper"
[ "$(said "exec exec '$owner' -")" = ok ] || fail "$what: no exec"
becomes 64 64=next
comes attends "$helper"
expect 0 '1 class flipped' "$hakmem" route "$helper" 64=old
serves 64 64=system
stop
[ "$(pages)" = 0 ] || fail "$what: a page is left"

what='a child'
start HAKMEM_CONTROL=1 HAKMEM_PLAN=64=next
comes attends "$helper"
child=$(said fork)
child=${child#child }
# It lives and allocates.
found() {
	said 64 >"$work/reply"
	attends "$child"
}
comes found
expect 0 '' "$hakmem" route "$child" 64=old
serves 64 64=system
expect 0 'next' "$hakmem" status "$helper"
stop
[ "$(pages)" = 0 ] || fail "$what: a page is left"

what='a process that does not run'
start HAKMEM_CONTROL=1
comes attends "$helper"
kill -STOP "$helper"
expect 5 'no answer' "$hakmem" status "$helper"
expect 0 'no answer: is it stopped?' "$hakmem" ps
kill -CONT "$helper"
expect 0 '' "$hakmem" status "$helper"
stop

what='hakmem run --control --plan-file'
write '64=next'
"$hakmem" run --control --plan-file "$plan" -- sleep 1000 &
other=$!
comes attends "$other"
expect 0 "$plan" "$hakmem" status "$other"
kill "$other"
wait "$other" 2>/dev/null
other=
expect 0 '' "$hakmem" ps

# --------------------------------------------------------------------------------- other users

what='settings that are none'
start HAKMEM_CONTROL=yes
serves 64 64=system
has_line 'HAKMEM_CONTROL: 1 or 0' || fail "$what: no line"
stop

as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

if [ "$(id -u)" = 0 ] && as_nobody true 2>/dev/null && [ ! -e /tmp/hakmem-65534 ] &&
	[ ! -e /run/user/65534 ]; then
	# Where nobody can read it: a build tree need not be.
	mkdir "$work/public" && cp "$HAKMEM_LIB" "$work/public/libhakmem.so"
	cp "$top_builddir/hakmem" "$work/public/hakmem" && cp "$owner" "$work/public/owner"
	chmod -R a+rX "$work/public"
	nobodys() {
		as_nobody env -u XDG_RUNTIME_DIR LD_PRELOAD="$work/public/libhakmem.so" \
			HAKMEM_CONTROL=1 "$work/public/owner" "$@"
	}
	what='a folder that somebody else made'
	mkdir -m 700 /tmp/hakmem-65534
	mkfifo "$work/wait0"
	setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR \
		LD_PRELOAD="$work/public/libhakmem.so" HAKMEM_CONTROL=1 "$work/public/owner" - \
		<"$work/wait0" >/dev/null 2>"$work/errors" &
	other=$!
	exec 7>"$work/wait0"
	comes has_line "no control of this process: the folder of control pages"
	exec 7>&-
	wait "$other" || fail "$what: the program ended with $?"
	other=
	rmdir /tmp/hakmem-65534 || fail "$what: a page in it"
	what='a link in its place'
	mkdir -m 777 "$work/trap"
	ln -s "$work/trap" /tmp/hakmem-65534
	nobodys 64 >"$work/shown" 2>&1
	[ -z "$(ls "$work/trap")" ] || fail "$what: it was followed"
	rm /tmp/hakmem-65534

	what="another user's process"
	start HAKMEM_CONTROL=1
	comes attends "$helper"
	expect 3 '' as_nobody "$work/public/hakmem" status "$helper"
	expect 3 '' as_nobody "$work/public/hakmem" rollback "$helper" --all
	stop

	what='root and the process of a user'
	mkfifo "$work/wait"
	setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR \
		LD_PRELOAD="$work/public/libhakmem.so" HAKMEM_CONTROL=1 "$work/public/owner" - \
		<"$work/wait" >/dev/null 2>"$work/errors" &
	other=$!
	exec 7>"$work/wait"
	comes attends "$other"
	expect 0 'classes flipped' "$hakmem" route "$other" tiny=next
	expect 0 'nobody' "$hakmem" ps
	exec 7>&-
	wait "$other"
	other=
	rmdir /tmp/hakmem-65534 || fail "$what: its page is left"
else
	echo 'other users left out: not root, or no way to be nobody'
fi

what='namespaces of its own'
if [ "$(id -u)" = 0 ] && unshare -m -p -f --mount-proc true 2>/dev/null; then
	mkfifo "$work/wait2"
	mkdir -m 700 "$work/private"
	XDG_RUNTIME_DIR=$work/private LD_PRELOAD='' unshare -m -p -f --mount-proc sh -c '
		mount -t tmpfs -o mode=700 none "$XDG_RUNTIME_DIR" &&
			exec env HAKMEM_CONTROL=1 LD_PRELOAD="$1" "$0" -' \
		"$owner" "$HAKMEM_LIB" <"$work/wait2" >/dev/null 2>"$work/errors" &
	other=$!
	exec 7>"$work/wait2"
	inner_attends() {
		inner=$(cat "/proc/$other/task/$other/children")
		inner=${inner% }
		[ -n "$inner" ] && attends "$inner"
	}
	comes inner_attends
	grep -q '^NSpid:.*[[:space:]]1$' "/proc/$inner/status" || fail "$what: it has no number of its own"
	[ -e "$work/private/hakmem" ] && fail "$what: the page can be seen outside"
	expect 0 '32 classes flipped' "$hakmem" route "$inner" tiny=next
	expect 0 "$inner " "$hakmem" ps
	exec 7>&-
	wait "$other" || fail "$what: $(cat "$work/errors")"
	other=
else
	echo 'namespaces left out: not root, or not allowed here'
fi

# ------------------------------------------------------------------------------------ set-uid

what='set-user-ID'
archive=${HAKMEM_LIB%.so}.a
cat >"$work/secure.c" <<'END'
#include <sys/auxv.h>
int main(void) { return !getauxval(AT_SECURE); }
END
if [ "$(id -u)" = 0 ] && [ -e "$archive" ] && $CC -o "$work/secure" "$work/secure.c" &&
	$CC -static -I"$top_srcdir" -o "$work/static" "$top_srcdir/tests/migrate_owner.c" \
		-Wl,--whole-archive "$archive" -Wl,--no-whole-archive -pthread 2>/dev/null &&
	chown 65534 "$work/secure" "$work/static" && chmod 4755 "$work/secure" "$work/static" &&
	"$work/secure"; then
	write 'mid=next'
	# Somebody else's process of that user may have left its folder there.
	[ -e /tmp/hakmem-65534 ] && before=there || before=none
	got=$(HAKMEM_PLAN_FILE=$plan HAKMEM_CONTROL=1 HAKMEM_PLAN=mid=next "$work/static" 2048 2>&1)
	[ "$got" = 2048=legacy ] || fail "$what: $got"
	[ $before = none ] && [ -e /tmp/hakmem-65534 ] && fail "$what: there is a page"
	[ "$(pages)" = 0 ] || fail "$what: there is a page"
	if command -v strace >/dev/null; then
		HAKMEM_PLAN_FILE=$plan HAKMEM_CONTROL=1 strace -f -e trace=file,clone,clone3 \
			"$work/static" 2048 2>&1 | grep -E 'plan|clone|hakmem-' && fail "$what: it opens"
	fi
else
	echo 'set-user-ID programs left out: not root, or the bit has no effect here'
fi

[ "$failures" = 0 ] || exit 1
echo 'all as expected'
