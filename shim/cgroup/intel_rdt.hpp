#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// linux.intelRdt: groups of the resctrl file system (Documentation/filesystems/resctrl.rst), which hand out cache and
// memory bandwidth and count their use.

/// What can be said against it before anything is made. @throws Error(invalid) that names the field
void check_intel_rdt(const oci::IntelRdt& rdt);

/// Where resctrl is mounted, found in the text of a mountinfo file. @throws Error(unsupported) when it is not
std::string find_resctrl(const std::string& mountinfo);
std::string find_resctrl();

/// The groups that the container will have of its own, inner ones first: what remove_resctrl takes away. Groups with a
/// closID belong to whoever chose it and stay.
std::vector<std::string> plan_resctrl(const oci::IntelRdt& rdt, const std::string& id, const std::string& resctrl);

/// Makes the groups, writes their schemata and puts the process in. @throws Error that names file and kernel's words
void join_resctrl(const oci::IntelRdt& rdt, const std::string& id, pid_t pid, const std::string& resctrl);

/// Removes the groups of a record; those that are gone already are no error.
void remove_resctrl(const std::vector<std::string>& groups);

}  // namespace locald::shim
