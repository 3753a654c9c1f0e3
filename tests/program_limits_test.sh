#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/program_limits_test.sh - real programs where `ulimit -v` leaves little: 64 MiB to 2 GiB
#
# Each program runs without the library and with it in every configuration, at every limit. From 256 MiB on the output and the
# exit status are the same. Below, where the library's own 40 MiB of address space may be what is missing, a program may
# also say that there is no memory and end by itself: never by a signal, never with a line of the library, never hanging.
set -u

: "${HAKMEM_LIB:?run by make check}" "${top_srcdir:?}" "${top_builddir:?}"
if ! nm -D --defined-only "$HAKMEM_LIB" | grep -q ' malloc$'; then
	echo 'built for a sanitizer: there is no malloc to preload'
	exit 77
fi
unset HAKMEM_PLAN HAKMEM_PLAN_FILE HAKMEM_CONTROL HAKMEM_LEGACY LD_PRELOAD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
limits='64 80 96 128 192 256 512 1024 2048' # MiB
same_from=256
failures=0 runs=0 refusals=0
. "$top_srcdir/tests/configurations.sh"

fail() {
	printf 'FAILED: %.400s\n' "$*"
	failures=$((failures + 1))
}

seq 1 60000 | awk '{ print ($1 * 7919) % 60013, "line", $1 }' >"$work/lines"

# program NAME: runs it, with about 10 to 30 MiB of heap.
program() {
	case $1 in
	python3)
		PYTHONMALLOC=malloc PYTHONHASHSEED=0 python3 -I -c '
import threading
def work(out, n):
    d = {i: str(i) * (i % 50) for i in range(n)}
    b = [bytearray(i % 9000) for i in range(1500)]
    out.append(sum(map(len, d.values())) + sum(map(len, b)))
out = []
for t in [threading.Thread(target=work, args=(out, 20000)) for _ in range(2)]:
    t.start(); t.join()
work(out, 30000)
print(out)'
		;;
	perl)
		# Not `my': where there is no memory in the middle of an assignment, perl ends by way of emptying those, and
		# dies of the variable that it had begun to change (Perl_sv_clear below Perl_croak_no_mem, once in 30 runs).
		PERL_HASH_SEED=0 perl -e 'our %h; for my $i (1 .. 40000) { $h{$i} = "x" x ($i % 300); }
			our @a = map { "y" x ($_ * 97 % 20000) } 1 .. 500; our $n = 0;
			$n += length for values %h, @a; print "$n\n";'
		;;
	sort) sort --parallel=1 -S 8M -k1n "$work/lines" | cksum ;;
	sqlite3)
		sqlite3 -batch -init /dev/null :memory: 'create table t(a, b); with recursive n(i) as
			(select 1 union all select i + 1 from n where i < 30000)
			insert into t select i, hex(i) || i from n; create index x on t(b);
			select count(*), max(b), sum(a) from t;'
		;;
	xz) xz -1 -c "$work/lines" | xz -d -c | cksum ;;
	esac
}

# run PROGRAM MIB [VARIABLE=VALUE...]: its output with that environment, and on the last line how it ended.
run() {
	(
		[ $# = 2 ] || export "${@:3}"
		ulimit -c 0
		ulimit -v $(($2 * 1024))
		program "$1"
		echo "ended with $?"
	) >"$work/out" 2>"$work/err"
	[ -s "$work/out" ] || echo 'ended with 127' >"$work/out" # the shell itself could not go on
	cat "$work/out"
}

# A line of the library's, but for the one that there is no room to record.
says_something() {
	grep '^hakmem:' "$work/err" | grep -qv '^hakmem: nothing is recorded: '
}

# By itself, and said so or not: a signal would be 128 and more to the shell.
is_clean() {
	status=$(sed -n '$s/^ended with //p' "$work/out")
	[ -n "$status" ] && [ "$status" -lt 128 ] && ! says_something
}

for name in python3 perl sort sqlite3 xz; do
	if ! command -v "$name" >/dev/null; then
		echo "not run: $name is not installed"
		continue
	fi
	for mib in $limits; do
		plain=$(run "$name" "$mib")
		for configuration in "${configurations[@]}"; do
			configure_for "$configuration"
			with=$(run "$name" "$mib" "${configured[@]}")
			forget_recordings
			runs=$((runs + 1))
			if [ "$with" = "$plain" ] && ! says_something; then
				continue
			fi
			if [ "$mib" -lt "$same_from" ] && is_clean; then
				refusals=$((refusals + 1))
				continue
			fi
			fail "$name, $mib MiB, $configuration: $with, not $plain: $(head -c 300 "$work/err")"
		done
	done
done
configurations_were_true || failures=$((failures + 1))
echo "$runs runs, $refusals of them told below $same_from MiB that there is no memory, $failures failures"
[ "$failures" = 0 ]
