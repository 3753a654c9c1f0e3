#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/bootstrap_test.sh - ./bootstrap where it cannot install: a clear list, and nothing else is done
#
# A copy runs in an empty folder with a PATH that holds what the script itself needs, and of what it looks
# for git alone. What it installs where it can was tried on fresh systems, not here.
set -u

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=$work/tools
mkdir "$tools" "$work/tree"
cp "$top_srcdir/bootstrap" "$work/tree"
for tool in sh cat dirname env find grep id mkdir nproc sed sort tail tee touch tr uname; do
	ln -s "$(command -v $tool)" "$tools/$tool"
done
ln -s "$tools/cat" "$tools/git"
failures=0

fail() {
	printf 'FAILED: %s: %s\n' "$1" "$(cat "$work/out")"
	failures=$((failures + 1))
}

# bootstraps STATUS WHAT ARGUMENT...
bootstraps() {
	status=$1 what=$2
	shift 2
	(cd / && PATH=$tools "$work/tree/bootstrap" "$@") >"$work/out" 2>&1 </dev/null
	got=$?
	[ "$got" = "$status" ] || fail "$what: exit status $got"
}

says() {
	grep -qE -- "$2" "$work/out" || fail "$1 does not say '$2'"
}

if (PATH=/usr/sbin:/sbin && command -v apt-get || command -v gcc) >/dev/null; then
	echo 'the folders for administration are those for everybody here: nothing can be hidden'
	exit 77
fi

bootstraps 1 'without apt-get'
says 'without apt-get' '^bootstrap: please install these first .*: gcc g\+\+ make .* redis-server .* python3 '
grep -qE ' git | apt-get' "$work/out" && fail 'without apt-get: git is there, and apt-get is not'
bootstraps 1 'the benchmarks, without apt-get' bench
says 'the benchmarks, without apt-get' ' gnuplot-nox '

# Somebody who may not install is told what to ask for.
printf '#!/bin/sh\necho "called: $*" >&2\n' >"$tools/apt-get"
printf '#!/bin/sh\necho 1000\n' >"$work/id"
chmod +x "$tools/apt-get" "$work/id"
rm "$tools/id"
mv "$work/id" "$tools/id"
bootstraps 1 'without sudo'
says 'without sudo' '^bootstrap: please install these first'
says 'without sudo' '^bootstrap: as root: apt-get install gcc '
grep -q called "$work/out" && fail 'without sudo: apt-get was called'

bootstraps 0 'help' --help
says 'help' './bootstrap check'
bootstraps 2 'a wrong word' fly
[ -e "$work/tree/configure" ] && fail 'something was generated'

[ "$failures" = 0 ] || exit 1
echo 'all as expected'
