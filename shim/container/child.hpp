#pragma once

#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/oci/state.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/base/shared_flag.hpp"
#include "shim/container/hooks.hpp"
#include "shim/mounts/mounts.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/options/options.hpp"
#include "shim/process/handed_fds.hpp"

namespace locald::shim {

class BindSources;

/// All that the container's first process needs to know; made by the parent before it exists.
struct ChildPlan {
    const oci::Spec& spec;
    std::string bundle;  ///< absolute
    NamespacePlan& namespaces;
    SharedFlag& executing;  ///< set when nothing is left to do but execve
    oci::State state;       ///< for hooks that run in here
    std::vector<PreparedMount> mounts{};
    Fate fate = Fate::foreground;
    bool wait_attached = false;  ///< cgroups are entered by the parent: wait before the cgroup namespace
    /// The parent has prestart or createRuntime hooks, or a cgroup to hand over: tell `mounted`, wait for `hooked`.
    bool tell_mounted = false;
    int console_fd = -1;  ///< where the pty master goes when process.terminal is true
    int start_fd = -1;    ///< of a created container: the socket on which it waits for `start`
    HandedFds handed{};
    bool new_keyring = true;
    bool no_pivot = false;            ///< the new root is moved over the old one
    posix::UniqueFd seccomp_agent{};  ///< connected, when a rule of linux.seccomp notifies it
    BindSources* bind_sources = nullptr;
    const HookOutputs* hook_outputs = nullptr;
};

/// The container's first process, from its first instruction to execve. Errors go to the parent over `sync`.
[[noreturn]] void container_main(ChildPlan& plan, posix::UniqueFd& sync);

}  // namespace locald::shim
