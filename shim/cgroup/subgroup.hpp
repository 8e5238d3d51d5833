#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/oci/runtime_spec.hpp"
#include "shim/cgroup/dir.hpp"

namespace locald::shim {

// Two annotations of crun that put a container's first process further down than its cgroup would be.

/// run.oci.systemd.subgroup: below the unit, the cgroup that is the container's own and has its limits as well.
/// Relative and clean; empty when there is none, which is the default. @throws Error(invalid) that names the annotation
std::string systemd_subgroup(const oci::Spec& spec);

/// run.oci.delegate-cgroup: below the container's own cgroup, where its cgroup namespace begins, one without limits of
/// ours for its first process. Relative and clean, or empty.
/// @throws Error(invalid) that names the annotation, Error(unsupported) where there is more than cgroup v2
std::string delegated_subgroup(const oci::Spec& spec, CgroupLayout layout);

/// v2: makes the cgroup `below` the one at `top`, a path relative to the mount, moves the process there and hands every
/// controller of `top` on to it, which the kernel allows when nobody is in `top` any more.
/// @param owner  who gets what is made, as delegate() does
void step_down(const CgroupMount& mount, const std::string& top, const std::string& below, pid_t pid,
               std::optional<uid_t> owner = std::nullopt);

}  // namespace locald::shim
