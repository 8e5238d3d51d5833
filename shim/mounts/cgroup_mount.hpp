#pragma once

#include <string>

#include "core/posix/unique_fd.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

enum class CgroupView {
    own_namespace,
    hosts,     ///< as the options say: of root on the host, who said so
    read_only  ///< whatever they say: in a user namespace (CVE-2023-25809)
};

/// Puts the container's view of the cgroups on `target`: the one hierarchy of v2; on v1 and hybrid hosts a tmpfs with
/// one directory a hierarchy. Without a cgroup namespace of its own the container sees the host's tree of v2 and its
/// own cgroups of v1. On v1 it may write to what is its own alone, in a namespace as far as note_own_hierarchies() was
/// asked.
void mount_cgroups(const posix::UniqueFd& target, const MountOptions& options, CgroupView view,
                   const std::string& what);

/// Before the cgroup namespace is made, after the container's cgroups were joined: a v1 hierarchy that was not joined
/// is the host's, in the namespace too.
void note_own_hierarchies();

}  // namespace locald::shim
