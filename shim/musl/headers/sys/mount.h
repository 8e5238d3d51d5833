// musl 1.2's <sys/mount.h> ends where the mount API of Linux 5.2 begins. glibc's has both, so our sources ask for no
// more.
#pragma once
#pragma GCC system_header
#include_next <sys/mount.h>
// After it, because the kernel's header defines the same MS_ numbers anew.
#include <linux/mount.h>
