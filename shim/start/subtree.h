#pragma once

#include "shim/start/root_files.h"

/// Makes the caller's subtree in every cgroup hierarchy that he may have one in; what is there stays. Without any the
/// shim still runs, as it does for every user who owns none, and the runtime warns.
/// @return an O_PATH descriptor of the version 2 cgroup that the foothold stands in; -1 when there is none
int locald_make_subtrees(unsigned uid, unsigned gid, const struct locald_policy* policy);
