# SPDX-License-Identifier: MIT
# m4/hakmem.m4 - the few configure macros that autoconf does not bring along

# HAKMEM_CHECK_CFLAG(FLAG, VARIABLE)
# Appends FLAG to VARIABLE if the C compiler takes it without a word. The flag is tried with
# -Werror, because clang only warns of a flag it does not know.
AC_DEFUN([HAKMEM_CHECK_CFLAG], [
	AC_MSG_CHECKING([whether $CC accepts $1])
	hakmem_saved_cflags=$CFLAGS
	CFLAGS="$CFLAGS -Werror $1"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes])
		 $2="$$2 $1"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$hakmem_saved_cflags
])

# HAKMEM_CHECK_LDFLAG(FLAG, VARIABLE)
# The same for a flag of the linker.
AC_DEFUN([HAKMEM_CHECK_LDFLAG], [
	AC_MSG_CHECKING([whether the linker accepts $1])
	hakmem_saved_ldflags=$LDFLAGS
	LDFLAGS="$LDFLAGS $1"
	AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes])
		 $2="$$2 $1"],
		[AC_MSG_RESULT([no])])
	LDFLAGS=$hakmem_saved_ldflags
])

# HAKMEM_CHECK_SANITIZER(LIST)
# Sets SANITIZER_CFLAGS, and SANITIZER_RUN, the prefix with which tests are run: the shadow memory
# of ThreadSanitizer does not fit every randomised layout of the address space, and whether it fits
# is drawn anew at each start, so those tests run with the randomisation off where that is allowed.
AC_DEFUN([HAKMEM_CHECK_SANITIZER], [
	SANITIZER_CFLAGS="-fsanitize=$1 -fno-omit-frame-pointer"
	SANITIZER_RUN=
	AC_MSG_CHECKING([whether $CC links with -fsanitize=$1])
	hakmem_saved_cflags=$CFLAGS
	CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
	AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes])],
		[AC_MSG_RESULT([no])
		 AC_MSG_ERROR([$CC does not link with -fsanitize=$1: is its sanitizer runtime installed?
gcc brings its own; for clang on Debian it is in libclang-rt-dev.])])
	CFLAGS=$hakmem_saved_cflags
	AS_CASE([$1], [*thread*],
		[AS_IF([setarch -R true 2>/dev/null], [SANITIZER_RUN="setarch -R"])])
])
