# SPDX-License-Identifier: MIT
# tests/configurations.sh - the four configurations in which everything holds, for bash scripts that preload the library
#
# To be read with `.` where $HAKMEM_LIB, $top_builddir and $work, a folder of the script's own, are set. Then
#
#	for name in "${configurations[@]}"; do
#		configure_for "$name"
#		env "${configured[@]}" PROGRAM
#	done
#	configurations_were_true || failures=$((failures + 1))
#
# all-old, all-next; flips: every class takes another side each 10 ms (tests/preload_flips.c); flips-recorded: and all of
# it is recorded. In a build without migration there is all-next alone. Within one process it is tests/routes.h, for
# programs that run themselves anew tests/configurations.h.
# shellcheck shell=bash disable=SC2034 # what the script reads

configurations=(all-next)
grep -q 'HAKMEM_MIGRATION 1' "$top_builddir/config.h" && configurations=(all-old all-next flips flips-recorded)

# configure_for NAME: `configured` is the environment of a program in that configuration.
configure_for() {
	local flips=$top_builddir/tests/.libs/preload_flips.so
	configured=(LD_PRELOAD="$HAKMEM_LIB")
	case $1 in
	all-old) configured+=(HAKMEM_PLAN=all=old) ;;
	all-next) configured+=(HAKMEM_PLAN=all=next) ;;
	flips*)
		[ -e "$flips" ] || { echo "FAIL no $flips: the classes would not flip" && exit 1; }
		configured=(LD_PRELOAD="$HAKMEM_LIB:$flips" FLIPS_LOG="$work/flips-log")
		;;&
	flips-recorded)
		configured+=(HAKMEM_RECORD="$work/recorded" HAKMEM_RECORD_OPTIONS='buffer=64k memory=16m disk=1g')
		;;
	esac
}

# forget_recordings: they take room, and nobody is going to read them. Whether there was one is remembered.
forget_recordings() {
	[ -z "$(find "$work/recorded" -name 'stream-*' -size +0 -print -quit 2>/dev/null)" ] || touch "$work/was-recorded"
	rm -rf "$work/recorded"
}

# configurations_were_true: says how many processes flipped; false if none did, or nothing was recorded.
configurations_were_true() {
	[ ${#configurations[@]} -gt 1 ] || return 0
	forget_recordings
	[ -s "$work/flips-log" ] || { echo 'FAIL nothing flipped' && return 1; }
	echo "$(wc -l <"$work/flips-log") processes flipped"
	[ -e "$work/was-recorded" ] || { echo 'FAIL nothing was recorded' && return 1; }
}
