#pragma once

#include <cstdint>
#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::posix {

/// /proc (O_PATH), after a look that it is the root of a procfs and neither a directory nor another part of one.
/// @throws Error(denied) when it is something else
UniqueFd open_proc_root();

/// Opens `path` below /proc, for a write that must reach the kernel's file of that name and no other: a procfs by
/// open_proc_root(), no magic link, and nothing mounted over any part of the way (CVE-2019-16884, CVE-2025-52881).
UniqueFd open_in_proc(const std::string& path, std::uint64_t flags);

}  // namespace locald::posix
