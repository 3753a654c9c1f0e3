#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/shim_preload_test.sh - the library in whole programs: preloaded, opened late, linked statically
set -u

HAKMEM_LIB=${HAKMEM_LIB:?}
archive=${HAKMEM_LIB%.so}.a
here=$top_builddir/tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
unset HAKMEM_PLAN HAKMEM_LEGACY LD_PRELOAD

# has_symbol NAME: a sanitizer's build exports no malloc, and a build of next alone has no old side.
has_symbol() { nm -D --defined-only "$HAKMEM_LIB" | grep -q " $1\$"; }
has_symbol malloc || exit 77
grep -q 'HAKMEM_MIGRATION 1' "$top_builddir/config.h" && migration=1 || migration=0
if [ $migration = 1 ]; then
	plans=('' all=next all=system tiny=next 2k-8k=next,large=next)
else
	plans=('')
fi

# want WHAT WANTED COMMAND...: the command's output (both streams) is exactly WANTED and it ends with 0.
# want WHAT WANTED with PLAN PROGRAM...: the same for a program that is preloaded.
want() {
	local what=$1 wanted=$2 got status
	shift 2
	if [ "$1" = with ]; then
		set -- env HAKMEM_PLAN="$2" LD_PRELOAD="$HAKMEM_LIB" "${@:3}"
	fi
	got=$(timeout -k 5 120 "$@" 2>&1)
	status=$?
	if [ $status = 0 ] && [ "$got" = "$wanted" ]; then
		echo "ok   $what"
	else
		printf 'FAIL %s: status %s\nwanted: %s\ngot:    %s\n' "$what" $status "$wanted" "$got"
		failures=$((failures + 1))
	fi
}

# skip WHY
skip() { echo "skip $1"; }

for plan in "${plans[@]}"; do
	want "ends and beginnings, plan '$plan'" ok with "$plan" "$here/preload_ends"
	want "children of a threaded program, plan '$plan'" ok with "$plan" "$here/preload_fork" 100
	want "C++ operators, plan '$plan'" '' with "$plan" "$here/shim_operators_test" libhakmem
done

. "$top_srcdir/tests/configurations.sh"
for name in "${configurations[@]}"; do
	configure_for "$name"
	want "ends and beginnings, $name" ok env "${configured[@]}" "$here/preload_ends"
	want "children of a threaded program, $name" ok env "${configured[@]}" "$here/preload_fork" 20
	want "C++ operators, $name" '' env "${configured[@]}" "$here/shim_operators_test" libhakmem
	forget_recordings
done
configurations_were_true || failures=$((failures + 1))

# ------------------------------------------------------------ every name that libc and libstdc++ have

# What libc has and we leave to it, each with its reason.
reviewed='
__libc_malloc __libc_calloc __libc_realloc __libc_reallocarray __libc_free __libc_memalign __libc_valloc __libc_pvalloc
	libc by its own name: whoever says so wants libc, and a block of it finds home by its address.
	With these names ours, a malloc behind us that is a wrapper around them would come back to us.
__libc_mallinfo __libc_mallopt
	as above
__malloc_hook __realloc_hook __memalign_hook __free_hook __malloc_initialize_hook
	variables of old programs; libc itself calls nothing through them any more (2.34)
__after_morecore_hook __morecore __default_morecore
	as above
malloc_get_state malloc_set_state
	a heap that an old Emacs dumped: its blocks are strangers to us, and libc knows them
'
libraries=$(LD_PRELOAD='' ldd "$here/shim_operators_test" | awk '/libc\.so|libstdc\+\+/ { print $3 }')
names='.*(malloc|calloc|realloc|memalign|valloc|aligned_alloc|mallinfo|mallopt|morecore).*|(__libc_)?c?free|free_.*|.*_free_hook'
# Old versions of a name as well: programs ask for those.
nm -D --defined-only $libraries | sed -nE 's/.* [A-Za-z] ([A-Za-z0-9_]+)(@.*)?$/\1/p' |
	grep -xE "$names|_Zn[wa].*|_Zd[la].*" | sort -u >"$work/theirs"
{
	nm -D --defined-only "$HAKMEM_LIB" | awk '{ print $3 }'
	printf '%s' "$reviewed" | grep -v '^	' | tr ' ' '\n'
} | sort -u >"$work/known"
want "all $(wc -l <"$work/theirs") names of the family in libc and libstdc++ are exported or left out for a reason" '' \
	comm -23 "$work/theirs" "$work/known"
[ "$(wc -l <"$work/theirs")" -ge 35 ] || { echo 'FAIL the list of names is too short'; exit 1; }

# A program as old as cfree, which libc has under its old version only.
version=$(nm -D --defined-only $libraries | sed -nE 's/.* cfree@+(.*)/\1/p')
if [ -n "$version" ]; then
	echo '#include <stdlib.h>
	void old_cfree(void *block);
	__asm__(".symver old_cfree, cfree@'"$version"'");
	int main(void)
	{
		for (size_t bytes = 1; bytes < 10 << 20; bytes *= 3)
			old_cfree(malloc(bytes));
		return 0;
	}' | $CC -O0 -fno-builtin -x c - -o "$work/old" || failures=$((failures + 1))
	for plan in "${plans[@]}"; do
		want "cfree in an old program, plan '$plan'" '' with "$plan" "$work/old"
	done
else
	skip "cfree: this machine's libc has forgotten it"
fi

# ------------------------------------------------------------------- what needs the old side as well

if [ $migration = 1 ]; then
	want 'a program with a malloc of its own' \
		$'hakmem: the program brings its own malloc: HAKMEM_PLAN ignored\nok' \
		with all=next "$here/preload_own_malloc"
	want 'a program whose malloc is a wrapper' ok with all=next "$here/preload_wrapper"
	want 'opened late, no plan' ok "$here/preload_late" "$HAKMEM_LIB" 0
	want 'opened late, on next' ok env HAKMEM_PLAN=all=next "$here/preload_late" "$HAKMEM_LIB" 1

	want 'a fork that hangs in libc, without the library' ok "$here/preload_stuck_fork"
	want 'a fork that hangs in libc can be ended' ok with all=system "$here/preload_stuck_fork"

	# Where next gets no address space the process lives on the system. The shell that sets the
	# limit execs the program itself.
	export HAKMEM_LIB
	limited='ulimit -v 24000 && HAKMEM_PLAN=$1 LD_PRELOAD=$HAKMEM_LIB exec "$2"'
	limited_want='hakmem: HAKMEM_PLAN: what serves some classes has no memory; they stay old'
	want 'an address-space limit, no plan' ok bash -c "$limited" sh '' "$here/preload_short"
	want 'an address-space limit, on next' "$limited_want"$'\n'ok \
		bash -c "$limited" sh all=next "$here/preload_short"

	# Room for the address map, but hardly for a segment: that does not make it another malloc's process.
	limited='ulimit -v $1 && HAKMEM_PLAN=all=next LD_PRELOAD=$HAKMEM_LIB exec true 2>&1'
	for limit in $(seq 34000 1000 46000); do
		want "an address-space limit of $limit" '' bash -c \
			"($limited) | grep -v 'what serves some classes has no memory'; true" sh "$limit"
	done

	jemalloc=$(ldconfig -p | awk '/libjemalloc\.so\.2/ { print $NF; exit }')
	if [ -n "$jemalloc" ]; then
		for plan in "${plans[@]}"; do
			want "jemalloc as the system, plan '$plan'" ok env HAKMEM_PLAN="$plan" \
				LD_PRELOAD="$HAKMEM_LIB:$jemalloc" "$here/preload_ends"
		done
		want 'jemalloc before us: we stand aside' ok env \
			LD_PRELOAD="$jemalloc:$HAKMEM_LIB" "$here/preload_ends"
		want 'opened late beside jemalloc' ok env LD_PRELOAD="$jemalloc" HAKMEM_PLAN=all=next \
			"$here/preload_late" "$HAKMEM_LIB" 1
	else
		skip 'jemalloc is not installed'
	fi
fi

# --------------------------------------------------------------------------------- set-uid programs

libdir=$(dirname "$HAKMEM_LIB")
if [ $migration = 1 ] && [ "$(id -u)" = 0 ] &&
	$CC -O1 -I"$top_srcdir" -o "$work/privileged" "$top_srcdir/tests/preload_privileged.c" \
		"$HAKMEM_LIB" -Wl,-rpath,"$libdir" 2>"$work/log" &&
	chmod 755 "$work" && chown 65534 "$work/privileged" && chmod 4755 "$work/privileged"; then
	HAKMEM_PLAN=all=next "$work/privileged" >"$work/out" 2>&1
	if grep -q AT_SECURE=1 "$work/out"; then
		want 'a set-uid program ignores the plan' 'AT_SECURE=1 owner=0' cat "$work/out"
	else
		skip "set-uid: $(cat "$work/out")"
	fi
else
	skip 'set-uid programs can be made by root only'
fi

# ---------------------------------------------------------------------------------- static programs

# link_static COMPILER SOURCE OPTION...: makes $work/program of it and the archive.
link_static() {
	local compiler=$1 source=$top_srcdir/tests/$2
	shift 2
	$compiler -O1 -static "$@" -I"$top_srcdir" -o "$work/program" "$source" "$archive" -lpthread \
		>"$work/log" 2>&1
}

# want_linked COMPILER SOURCE OPTION...: the same, and the linker has nothing to say.
want_linked() {
	if link_static "$@" -Wl,--fatal-warnings && ! [ -s "$work/log" ]; then
		echo "ok   static: $2 is linked without a warning"
	else
		echo "FAIL static: $2 is linked: $(cat "$work/log")"
		failures=$((failures + 1))
	fi
}

if ! [ -e "$archive" ]; then
	skip 'static programs: configured without an archive'
elif ! echo 'int main(void) { return 0; }' | $CC -static -x c - -o "$work/empty" 2>"$work/log"; then
	skip "static programs: $(tail -n 1 "$work/log")"
else
	want_linked "$CC" preload_static.c
	if [ $migration = 1 ]; then
		refused='hakmem: HAKMEM_PLAN: "all=system": '
		want 'static, no plan: legacy has its band, next the rest' '1 2 1' "$work/program"
		want 'static, on next' '1 1 1' env HAKMEM_PLAN=all=next "$work/program"
		want 'static: a plan that names system is refused' "$refused" \
			bash -c 'HAKMEM_PLAN=all=system "$1" 2>&1 >/dev/null | grep -o "^hakmem: HAKMEM_PLAN: .all=system.: "' sh "$work/program"
	else
		want 'static' '1 1 1' "$work/program"
	fi
	want_linked "$CXX" shim_operators_test.cc -std=c++17 -fsized-deallocation
	want 'static, C++ operators' '' "$work/program"
	if link_static "$CC" preload_own_malloc.c; then
		echo 'FAIL a static program with a malloc of its own was linked with ours'
		failures=$((failures + 1))
	else
		want 'static: two mallocs are refused by the linker' 'multiple definition' \
			grep -om1 'multiple definition' "$work/log"
	fi
fi

exit $((failures > 0))
