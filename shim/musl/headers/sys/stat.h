// musl 1.2's struct statx ends before the number of the mount. The kernel's own takes its place.
#pragma once
#pragma GCC system_header
#define statx statx_of_musl
#define statx_timestamp statx_timestamp_of_musl
#include_next <sys/stat.h>
#undef statx
#undef statx_timestamp
#include <linux/stat.h>
extern "C" int statx(int dir, const char* path, int flags, unsigned mask, struct statx* result);
