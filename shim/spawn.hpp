#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "core/posix/unique_fd.hpp"
#include "shim/cgroup.hpp"
#include "shim/namespaces.hpp"

namespace locald::shim {

/// The container's first process, a child of ours.
struct Spawned {
    pid_t pid = -1;  ///< as this process's pid namespace numbers it
    posix::UniqueFd process;
    bool born_in_cgroup = false;
};

/// Makes the process with one clone3: all new namespaces at once, born in the v2 cgroup where the kernel lets us. It
/// runs `body`, which does not come back. Namespaces that are joined on the way there are marked in `body`'s copy of
/// `namespaces`.
Spawned spawn(NamespacePlan& namespaces, const Cgroup& cgroup, const std::function<void()>& body);

/// A process for the namespaces (`flags`, CLONE_NEW…) of a container's first process, born in `cgroup` where the kernel
/// lets us. `body` gets the flags of those that it must still enter by enter_beside(). Our children from now on are in
/// the container's pid namespace; we must be undumpable before.
Spawned spawn_beside(const posix::UniqueFd& first, std::uint64_t flags, const posix::UniqueFd& cgroup,
                     const std::function<void(std::uint64_t)>& body);
/// One setns(2) for all of them.
void enter_beside(const posix::UniqueFd& first, std::uint64_t flags);

}  // namespace locald::shim
