#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/shim_secure_test.sh - a set-uid program with every variable of the library set opens, creates and starts
# nothing that it would not without them; and how the same program, unprivileged, does
#
# The variables are those that the built library holds the names of, so that none is forgotten.
set -u

HAKMEM_LIB=${HAKMEM_LIB:?}
libdir=$(dirname "$HAKMEM_LIB")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
for name in $(compgen -e HAKMEM_); do
	[ $name = HAKMEM_LIB ] || unset "$name"
done
unset LD_PRELOAD
ulimit -c 0

grep -q 'HAKMEM_MIGRATION 1' "$top_builddir/config.h" || { echo 'next alone has no settings'; exit 77; }
[ "$(id -u)" = 0 ] || { echo 'set-uid programs can be made by root only'; exit 77; }
for tool in strace strings; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done

user=65534
$CC -O1 -I"$top_srcdir" -o "$work/plain" "$top_srcdir/tests/preload_privileged.c" "$HAKMEM_LIB" \
	-lpthread -Wl,-rpath,"$libdir" || exit 1
cp "$work/plain" "$work/privileged"
mkdir -m 700 "$work/runtime" "$work/traces"
echo 'all=next' >"$work/plan"
chown $user "$work/privileged" "$work/runtime" "$work/traces" "$work/plan"
chmod 755 "$work" && chmod 4755 "$work/privileged" && chmod 644 "$work/plan"
# The copy with the bit must be allowed to read all it needs, and to be privileged at all.
if ! "$work/privileged" 2>&1 | grep -q '^AT_SECURE=1 '; then
	echo "no set-uid program can be run from here: $("$work/privileged" 2>&1 | head -n 1)"
	exit 77
fi

names=$(strings -a "$HAKMEM_LIB" | grep -oE '\bHAKMEM_[A-Z_]+\b' | sort -u)
for needed in HAKMEM_PLAN HAKMEM_PLAN_FILE HAKMEM_CONTROL HAKMEM_CHECK HAKMEM_LEGACY HAKMEM_SITE; do
	grep -qx $needed <<<"$names" || { echo "FAIL the library does not hold $needed"; exit 1; }
done
echo "variables: $(tr '\n' ' ' <<<"$names")"

# settings VALUE: every variable, with VALUE where nothing better is known.
settings() {
	local name
	for name in $names; do
		case $name in
		HAKMEM_PLAN) echo "$name=all=next" ;;
		HAKMEM_PLAN_FILE) echo "$name=$work/plan" ;;
		HAKMEM_SITE) echo "$name=return-address" ;;
		HAKMEM_CHECK) echo "$name=full" ;;
		HAKMEM_LEGACY) echo "$name=unified" ;;
		*) echo "$name=$1" ;;
		esac
	done
	echo "XDG_RUNTIME_DIR=$work/runtime"
}

# calls FILE COMMAND...: the system calls by which a process gets at something, without what differs by chance.
calls() {
	local file=$1
	shift
	strace -f -qq -o "$work/strace" \
		-e trace=open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat,rename,renameat,renameat2,unlink,unlinkat,truncate,ftruncate,socket,connect,bind,memfd_create,inotify_init,inotify_init1,inotify_add_watch,rt_sigaction,clone,clone3,execve,chmod,fchmod,fchmodat \
		"$@" >"$file.out" 2>&1
	sed -E 's/^[0-9]+ +//; s/0x[0-9a-f]+/ADDRESS/g; s/(parent_tid|child_tid|stack_size|= )[=[]*[0-9]+.*$/\1/' \
		"$work/strace" | grep -v '^execve\|^+++\|^---' >"$file"
}

left() { find "$work/runtime" "$work/traces" /tmp/hakmem-$user /run/user/$user/hakmem -mindepth 1 2>/dev/null | wc -l; }

before=$(left)
calls "$work/without" env -i "$work/privileged"
for value in 1 "$work/traces" "$work/traces/file" all=next full; do
	mapfile -t variables < <(settings "$value")
	calls "$work/with" env -i "${variables[@]}" "$work/privileged"
	if cmp -s "$work/without" "$work/with" && cmp -s "$work/without.out" "$work/with.out" &&
		[ "$(left)" = "$before" ]; then
		echo "ok   set-uid, all variables, the others '${value#"$work"}': $(wc -l <"$work/with") system calls, the same"
	else
		echo "FAIL set-uid with all variables, the others '$value':"
		diff "$work/without" "$work/with"
		diff "$work/without.out" "$work/with.out"
		failures=$((failures + 1))
	fi
done

# The same without the bit obeys them: this test can fail.
mapfile -t variables < <(settings 1)
calls "$work/obeys" setpriv --reuid=$user --regid=$user --clear-groups env -i "${variables[@]}" "$work/plain"
if grep -q '^AT_SECURE=0 owner=1' "$work/obeys.out" && grep -q "\"$work/plan\"" "$work/obeys" &&
	grep -q "$work/runtime" "$work/obeys"; then
	echo 'ok   the same program without privileges obeys them'
else
	echo 'FAIL the same program without privileges does not obey them:'
	cat "$work/obeys.out" "$work/obeys"
	failures=$((failures + 1))
fi

# What it makes is its user's alone, and made for nobody else to have put something there.
grep -oE '(openat|mkdir)\([^)]*(runtime|hakmem)[^)]*\)' "$work/obeys"
if grep -E 'openat\(.*O_CREAT' "$work/obeys" | grep -vE 'O_EXCL.*0600|O_TMPFILE.*0600' | grep -q .; then
	echo 'FAIL a file is made without O_EXCL, or for others to read'
	failures=$((failures + 1))
fi
while read -r line; do
	for flag in O_EXCL O_NOFOLLOW O_CLOEXEC; do
		grep -q $flag <<<"$line" && continue
		echo "FAIL made without $flag: $line"
		failures=$((failures + 1))
	done
done < <(grep 'openat(.*O_CREAT' "$work/obeys")
grep -q 'openat(.*O_CREAT' "$work/obeys" || { echo 'FAIL no control page was made'; failures=$((failures + 1)); }

exit $((failures > 0))
