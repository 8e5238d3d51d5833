#pragma once

#include <string>

namespace locald::backends::admin {

/// What follows goes by descriptors, one at a time: users nest cgroups deeper than a path may be long.

/// True when no cgroup of the tree has a process. @throws Error
bool is_without_processes(const std::string& tree);

/// Removes a tree of cgroups from the leaves up, with no name of the kernel's files touched. @throws Error
void remove_tree_of_cgroups(const std::string& tree);

}  // namespace locald::backends::admin
