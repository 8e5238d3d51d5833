#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Mounts the overlay that `mount` describes on `path`, which `place` (O_PATH) refers to. Any number of layers and any
/// length of their names: where they do not fit into the kernel's option page, they are named by descriptors.
/// @param what  for error texts
/// @return the root of the new mount
posix::UniqueFd mount_overlay(const oci::Mount& mount, const std::string& path, const posix::UniqueFd& place,
                              const std::string& what);

/// The directories of a `lowerdir=` value: cut at colons that no backslash escapes, escapes taken away.
std::vector<std::string> split_lowerdir(const std::string& value);

}  // namespace locald::shim
