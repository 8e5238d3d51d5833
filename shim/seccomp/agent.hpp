#pragma once

#include <string>

#include "core/oci/runtime_spec.hpp"
#include "core/oci/state.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/seccomp/seccomp.hpp"

namespace locald::shim {

// SCMP_ACT_NOTIFY: a process outside, the agent, answers the container's system calls over a descriptor that the kernel
// gives when the filter is loaded (config-linux.md, "The Container Process State").

/// Where the agent listens: linux.seccomp.listenerPath, else the annotation run.oci.seccomp.receiver; empty: nowhere.
std::string seccomp_agent_path(const oci::Spec& spec);

/// A connection to the agent, made in the runtime's namespaces. Empty when no rule notifies: the path is ignored then.
/// @throws Error that names path and field
posix::UniqueFd connect_seccomp_agent(const oci::Spec& spec);

/// What the agent reads beside the descriptor: the container process state, as one JSON object.
std::string seccomp_agent_message(const oci::Spec& spec, const oci::State& state);

/// Loads the filter and, when it notifies, sends its listener and `message` to the agent. From the moment the filter is
/// loaded until the agent has the listener this thread makes no system call, so that a filter may notify any of them.
/// @throws Error when the kernel refuses the filter or the agent is gone
void load_seccomp_for_agent(const SeccompFilter& filter, const posix::UniqueFd& agent, const std::string& message);

}  // namespace locald::shim
