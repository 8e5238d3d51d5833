#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// Which hierarchies this host has, read from /proc/self/mountinfo and /proc/self/cgroup.
enum class CgroupLayout { none, v1, hybrid, v2 };

/// One mounted hierarchy.
struct CgroupMount {
    bool v2 = false;
    std::vector<std::string> controllers;  ///< v1: memory, cpu, …, or name=systemd; v2: empty
    std::string mount_point;
    std::string own;  ///< the cgroup of this process below the mount point, without slashes at its ends; "" = the root
    bool has(std::string_view controller) const noexcept;
};

/// The cgroup hierarchies that this process can see.
struct CgroupHost {
    std::vector<CgroupMount> mounts;

    CgroupLayout layout() const noexcept;
    const CgroupMount* v2() const noexcept;
    /// The v1 hierarchy that owns `controller`; nullptr when v2 does, or nobody.
    const CgroupMount* v1(std::string_view controller) const noexcept;
    /// The hierarchy that the absolute `path` is in; nullptr when in none.
    const CgroupMount* of(std::string_view path) const noexcept;
};

/// From the texts of /proc/self/mountinfo and /proc/self/cgroup. Lines of another form are passed over, mounts hidden
/// under later ones as well. @see proc(5), cgroups(7)
CgroupHost parse_cgroup_host(std::string_view mountinfo, std::string_view own_cgroups);
/// The same from the files, read once a process.
const CgroupHost& cgroup_host();

/// linux.cgroupsPath without doubled and trailing slashes; a leading slash stays.
/// @throws Error(invalid) for `..`, `.`, the root itself, line ends, NUL and names longer than 255 bytes
std::string clean_cgroups_path(const std::string& path);

/// Where in `mount` a container with this clean path lives, relative to the mount point. Absolute: below the
/// hierarchy's root as mounted. Relative or empty (then the id): below our own cgroup on v1, below its parent on v2,
/// because our own has processes there and cannot hand on controllers.
std::string place_in(const CgroupMount& mount, const std::string& clean_path, const std::string& id);

/// The directory that holds the limits of the one that holds the processes.
/// Rule: a last component that is exactly `c`, in a tree of our own caller (`user-<uid>/<id>/c`, or `locald-<id>/c` in
/// a delegated subtree), is the inside of the container, and its parent holds the limits; every other directory holds
/// both. `c` is the cgroup namespace's root, so that container root cannot reach the limits. An engine's `/docker/c` is
/// a container whose id is c: its parent is everybody's.
std::string limits_place(const std::string& processes_place);

/// The hierarchies a container joins, v2 first.
/// * v2, alone or hybrid: always. It costs no migration (CLONE_INTO_CGROUP), has cgroup.kill, and takes the device
///   program whatever controllers it owns.
/// * v1: only what `asked` names, since the first migration of a process costs 5 to 8 ms (a grace period of RCU); on
///   hosts without v2 also freezer, the only way to kill safely there. When one v1 hierarchy is joined anyway, memory,
///   pids and cpuacct follow for 0.1 ms each, so that statistics exist.
/// * name=systemd: never; it counts nothing.
std::vector<const CgroupMount*> hierarchies_for(const CgroupHost& host, const std::vector<std::string>& asked);

}  // namespace locald::shim
