#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "shim/cgroup/dir.hpp"
#include "shim/cgroup/limits.hpp"

namespace locald::shim {

/// What a config wants of the cgroups of this host.
struct CgroupWish {
    std::vector<CgroupLimit> v1, v2;
    std::vector<oci::DeviceRule> devices;  ///< effective_device_rules()
    bool devices_by_program = false;
    std::vector<std::string> warnings;

    const std::vector<CgroupLimit>& of(const CgroupMount& mount) const noexcept { return mount.v2 ? v2 : v1; }
    /// The v1 controllers that must be joined for it.
    std::vector<std::string> v1_controllers() const;
};

/// linux.resources; an empty one when absent.
const oci::Resources& resources_of(const oci::Spec& spec);

/// Each limit in the form of the hierarchy that owns its controller here; without any, in the form of v2.
CgroupWish wish_of(const CgroupHost& host, const oci::Resources& resources);

/// @throws Error(unsupported) for a limit whose hierarchy is in none of the planned paths, because we may not use it or
/// because none owns it
void check_homes(const CgroupHost& host, const oci::Spec& spec, const CgroupWish& wish,
                 const std::vector<std::string>& planned);

/// Writes the limits of one hierarchy: those of the processes' own directory, or the others.
/// @param refused  why a controller could not be handed on, for the error
void write_limits(const CgroupDir& dir, const std::vector<CgroupLimit>& limits, const CgroupMount& mount,
                  bool at_processes, const std::string& refused);

/// Puts the device rules into force in a directory that has none yet.
void apply_devices(const CgroupDir& dir, const CgroupMount& mount, const CgroupWish& wish);

/// cgroup v2 below a threaded parent: a new directory is unusable until it is threaded as well.
void settle_type(const CgroupDir& dir, const std::vector<CgroupLimit>& limits);

/// The limits of a v2 directory that is made: they may come when a process is in it already.
struct PendingLimits {
    CgroupDir dir;
    const CgroupMount* mount = nullptr;
    std::string refused;  ///< why a controller could not be handed on
};
void write_pending(const PendingLimits& pending, const CgroupWish& wish);

/// Makes the directories of one hierarchy, as far as they are not there, and on v1 fills them; what is new goes into
/// `made`, what is still to be written into `pending`.
/// @returns the directory for the processes
CgroupDir make_cgroup(const CgroupMount& mount, const std::string& relative, const CgroupWish& wish,
                      std::vector<std::string>& made, std::vector<PendingLimits>& pending);

/// Full rights over the host: what the kernel refuses to such a process is worth an error.
bool is_host_root();

}  // namespace locald::shim
