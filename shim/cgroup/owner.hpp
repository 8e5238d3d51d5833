#pragma once

#include <sys/types.h>

#include <optional>

#include "core/oci/runtime_spec.hpp"
#include "shim/cgroup/dir.hpp"

namespace locald::shim {

/// config-linux.md, "Cgroup ownership": who in the container is to own its cgroup, as a uid of the host. Only with a
/// new cgroup namespace and a mount of cgroups at /sys/fs/cgroup that is not read-only; nothing when the owner would be
/// whoever we are.
std::optional<uid_t> cgroup_owner(const oci::Spec& spec);

/// Gives a directory of cgroup v2 and the files in it that may be handed on (/sys/kernel/cgroup/delegate) to `owner`.
void delegate(const CgroupDir& dir, uid_t owner);

}  // namespace locald::shim
