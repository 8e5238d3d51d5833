#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/error.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/namespaces/namespaces.hpp"

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

/// In the process that spawn() or spawn_beside() made: it was not born in its cgroup, so it waits until it was moved.
bool must_be_moved() noexcept;

/// A process in the namespaces (`flags`, CLONE_NEW…) of a container's first process, born in `cgroup` where the kernel
/// lets us. From its first moment nothing of the host's is its root or working directory; we must be undumpable before.
/// This process joins them too, all but a user namespace; HostPlace takes it back.
Spawned spawn_beside(const posix::UniqueFd& first, std::uint64_t flags, const posix::UniqueFd& cgroup,
                     const std::function<void()>& body);

/// Why a first process may end without a word.
std::string remedy_for_lost_process(int signal);
/// The error of an execve whose process could not say it, because its seccomp filter forbids the calls for that.
Error silenced_error(const std::string& program, int err);

/// Where this process is among the host's files, to come back to after spawn_beside() with these flags.
class HostPlace {
public:
    explicit HostPlace(std::uint64_t flags);
    void come_back() const;

private:
    posix::UniqueFd mounts_, root_, cwd_;
};

}  // namespace locald::shim
