/* SPDX-License-Identifier: MIT */
/* migrate/tool/no_top.c - hakmem top in a build without ncurses: it says so */
#include "migrate/tool/tool.h"

int tool_top(int argc, char **argv)
{
	(void)argc;
	tool_error(argv[0],
		   "built without ncurses; `hakmem status' and `hakmem watch' tell the same");
	return EXIT_FAILED;
}
