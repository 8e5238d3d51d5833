#pragma once

#include <string>
#include <vector>

#include "backends/linux/shim_policy.hpp"

namespace locald::backends::admin {

/// The cgroups user-<uid> in `tree` get the policy's limits in the files that controllers bring which come later.
/// They are no tighter than that until their user's next start, which looks at his own way too (shim/start/subtree.c).
/// @param controllers  those that have just been enabled
/// @return what could not be written, in words; empty: nothing
std::string limit_subtrees(const std::string& tree, const std::vector<std::string>& controllers,
                           const SharedLimits& limits);

}  // namespace locald::backends::admin
