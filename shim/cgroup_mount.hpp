#pragma once

#include <string>

#include "core/posix/unique_fd.hpp"
#include "shim/mount_options.hpp"

namespace locald::shim {

/// Puts the container's view of the cgroups on `target`: the one hierarchy of v2; on v1 and hybrid hosts a tmpfs with
/// one directory a hierarchy. Without a cgroup namespace of its own the container sees the host's tree, read-only
/// (CVE-2023-25809).
void mount_cgroups(const posix::UniqueFd& target, const MountOptions& options, bool own_namespace,
                   const std::string& what);

}  // namespace locald::shim
