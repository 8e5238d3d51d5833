#pragma once

#include <string>

#include "core/oci/runtime_spec.hpp"
#include "core/oci/state.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/base/shared_flag.hpp"
#include "shim/process/handed_fds.hpp"

namespace locald::shim {

/// What a process needs to know that joins a container; made by the parent before it exists.
struct JoinPlan {
    const oci::Process& process;
    const oci::Spec& spec;  ///< of the container, as far as its state keeps it
    SharedFlag& executing;  ///< set when nothing is left to do but execve
    oci::State state;       ///< for the seccomp agent
    std::string filter;     ///< packed; empty: none
    posix::UniqueFd seccomp_agent{};
    posix::UniqueFd root{};  ///< the container's, where joining its mount namespace does not lead there
    bool new_keyring = true;
    bool wait_attached = false;  ///< the parent moves us into cgroups first
    /// The process whose cgroup namespace is to be entered, once we are in its cgroup.
    const posix::UniqueFd* cgroup_namespace_of = nullptr;
    bool detached = false;
    int console_fd = -1;
    HandedFds handed{};
};

/// The joining process, from its first instruction to execve. Errors go to the parent over `sync`.
[[noreturn]] void joining_main(JoinPlan& plan, const posix::UniqueFd& sync);

}  // namespace locald::shim
