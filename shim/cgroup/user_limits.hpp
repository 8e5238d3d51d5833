#pragma once

#include <sys/types.h>

namespace locald::shim {

/// Whoever has a container without a cgroup of its own (`--cgroup-manager disabled`) from a setuid shim has it within
/// his limits: on version 2 it was born in the foothold's cgroup; on version 1 the process is moved into user-<uid>.
void stay_within_user_limits(pid_t pid);

/// Version 1 looks at pids.max when a process forks, not when one joins.
/// @throws Error(unavailable) when more processes are in user-<uid> now than may be
void check_pids_of_user();

}  // namespace locald::shim
