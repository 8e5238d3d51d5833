#pragma once

#include <string>
#include <vector>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// linux.maskedPaths: a file gets /dev/null on top, a directory an empty read-only tmpfs (one for all). Missing paths
/// are passed over.
void mask_paths(const posix::UniqueFd& root, const std::vector<std::string>& paths);

/// linux.readonlyPaths: each becomes a read-only copy of itself, with all that is mounted below.
void make_paths_readonly(const posix::UniqueFd& root, const std::vector<std::string>& paths);

}  // namespace locald::shim
