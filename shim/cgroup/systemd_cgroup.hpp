#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/cgroup/systemd/scope.hpp"
#include "shim/cgroup/wish.hpp"

namespace locald::shim {

/// The unit of a container whose cgroups systemd makes, until it is started.
struct PendingScope {
    SystemdScope scope;
    UnitProperties properties;
    CgroupWish wish;
    std::string subgroup;        ///< systemd_subgroup()
    std::optional<uid_t> owner;  ///< who gets the v2 directory: cgroup_owner()
};

/// True when the system's manager is ours to ask, else the user's.
bool uses_system_manager();

/// The manager's own cgroup, below which its slices are: "" for the system's, user.slice/…/user@1000.service for a
/// user's. `own` is where the manager is (/proc/1/cgroup) or we are.
std::string manager_place(bool system, const std::string& own, uid_t uid);

}  // namespace locald::shim
