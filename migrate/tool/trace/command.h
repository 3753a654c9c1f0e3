/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/command.h - the subcommands of hakmem trace; argv[0] is "hakmem trace NAME" */
#ifndef TRACE_COMMAND_H
#define TRACE_COMMAND_H

#include "shim/base/compiler.h"

int trace_import(int argc, char **argv);
int trace_info(int argc, char **argv);
int trace_export(int argc, char **argv);

#endif
