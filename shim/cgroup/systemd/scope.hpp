#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/cgroup/systemd/dbus_wire.hpp"

namespace locald::shim {

/// A container's unit, from linux.cgroupsPath in its systemd form `slice:prefix:name`.
struct SystemdScope {
    std::string slice;      ///< system.slice
    std::string unit;       ///< <prefix>-<name>.scope, or a name that ends in .slice
    std::string directory;  ///< of the unit below the manager's cgroup: system.slice/<unit>
    bool is_slice() const noexcept { return unit.ends_with(".slice"); }
};

/// @param system  the system's manager, else the user's
/// @throws Error(invalid) `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, …`
SystemdScope parse_systemd_scope(const std::string& cgroups_path, const std::string& id, bool system);

/// `a-b.slice` as the directory `a.slice/a-b.slice`; `-.slice` is the root, "".
/// @throws Error(invalid) for what is no slice's name
std::string slice_directory(const std::string& slice);

using UnitProperties = std::vector<std::pair<std::string, DbusValue>>;

/// The limits that a unit can express; what it cannot is written to the cgroup's files afterwards.
UnitProperties unit_properties(const oci::Resources& resources, CgroupLayout layout);
/// DevicePolicy and DeviceAllow, so that a daemon-reload keeps the container's devices. Rules that a list of what is
/// allowed cannot say give the policy auto: then our own program alone decides.
/// @param proc_devices  the text of /proc/devices: major numbers' names
UnitProperties device_properties(const std::vector<oci::DeviceRule>& effective, std::string_view proc_devices);
/// The annotations org.systemd.property.NAME. @throws Error(invalid) that names the annotation
UnitProperties annotation_properties(const oci::Annotations& annotations);

}  // namespace locald::shim
