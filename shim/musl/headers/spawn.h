// glibc's posix_spawn closes from a number on; musl's does not, so shim/musl/spawn_closefrom.cpp does.
#pragma once
#pragma GCC system_header
#include_next <spawn.h>
extern "C" int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t* actions, int first);
