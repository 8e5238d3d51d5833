#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// The cgroups that a process joins beside a container's first one.
class ExecCgroup {
public:
    /// @param recorded  of the container's state
    /// @param argument  of --cgroup, `[controller[,…]:]path`: an existing cgroup below the container's; empty: its own
    /// @throws Error `invalid --cgroup argument: …`, `bad sub cgroup path: …`
    ExecCgroup(const std::vector<std::string>& recorded, const std::string& argument);

    /// The v2 directory to be born in; empty when there is none.
    const posix::UniqueFd& birth_place() const noexcept { return v2_; }
    /// True when attach() has something to do for a process that was born in v2.
    bool has_v1() const noexcept { return !v1_.empty(); }
    /// Moves the process into the rest. Where the container's own cgroup may hold no process any more, because its
    /// first one has moved on into a child of it, there.
    void attach(pid_t pid, bool born_in_v2, pid_t first) const;

private:
    struct Place {
        posix::UniqueFd dir;
        std::string path;
    };
    posix::UniqueFd v2_;
    std::string v2_path_;
    std::vector<Place> v1_;
};

}  // namespace locald::shim
