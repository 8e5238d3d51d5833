#pragma once

#include <functional>
#include <string>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/process/handed_fds.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

/// The last steps to a program, the same for a container's first process and for one that joins it.
struct ProgramPlan {
    const oci::Process& process;
    const oci::Linux& config;  ///< personality and memoryPolicy
    HandedFds handed{};
    std::function<void()> ids_changed;             ///< a change of ids clears what hangs on them
    std::function<void(const std::string&)> warn;  ///< about what cannot be had
    std::function<void()> load_filter;             ///< seccomp; empty: none
    bool keep_groups = false;                      ///< the annotation run.oci.keep_original_groups
    const posix::UniqueFd* lsm_procfs = nullptr;   ///< for apparmorProfile and selinuxLabel, see lsm.hpp
};

/// The annotation run.oci.keep_original_groups, which engines write as `1`.
bool keeps_groups(const oci::Annotations& annotations);

/// From root of the container to its user. Nothing after this call has more rights than the program will have.
Execution become_program(const ProgramPlan& plan);

/// Before any code of the caller's or the image's runs: a session keyring with the process's label.
/// @param lsm_procfs  as in ProgramPlan; needed only where there is a label
void new_session_keyring(const std::string& name, const oci::Process& process, const posix::UniqueFd& lsm_procfs);

/// SIGKILL when the parent ends; set again after every change of ids. @throws Error(lost) when it ended already, told
/// by its end of `sync`
void die_with_parent(const posix::UniqueFd& sync);
/// Takes that back: the parent is about to end by plan.
void live_on();

}  // namespace locald::shim
