#pragma once

#include <sys/types.h>

#include <vector>

#include "core/posix/unique_fd.hpp"
#include "shim/mounts/mounts.hpp"
#include "shim/namespaces/namespaces.hpp"

namespace locald::shim {

/// Clones the source of one bind, its ids mapped where that is asked for, and keeps it in `tree`. @param containers the
/// user namespace of idmapped binds without mappings of their own
void open_bind_source(PreparedMount& prepared, const posix::UniqueFd& containers);

/// The sources of the binds of a container with a user namespace. In there nobody has rights on paths of other owners,
/// nor may map the ids of the host's file systems. Where we are root, a process of ours enters the container's mount
/// namespace with its rights kept, clones the sources there, where the kernel has locked the flags that the host's
/// mounts have, and hands the descriptors over. Else the first process opens all itself, before it gives the caller's
/// id up.
class BindSources {
public:
    /// Before the container's first process is made.
    BindSources(const NamespacePlan& namespaces, const std::vector<PreparedMount>& mounts);

    // In the container's first process.

    /// Opens or receives the tree of every bind.
    void open(std::vector<PreparedMount>& mounts);

    // In the parent, once the id maps are written.

    /// Starts what serves the first process.
    void serve();
    /// Waits for its end. @throws Error for a source that cannot be opened
    void finish();

private:
    [[noreturn]] void server_main(const posix::UniqueFd& tell);

    const std::vector<PreparedMount>& mounts_;
    posix::UniqueFd ours_, theirs_;
    posix::UniqueFd words_;
    pid_t server_ = -1;
};

/// More descriptors than the soft limit, up to the hard one, for as long as this lives.
class MoreDescriptors {
public:
    explicit MoreDescriptors(std::size_t wanted);
    ~MoreDescriptors();
    MoreDescriptors(const MoreDescriptors&) = delete;
    MoreDescriptors& operator=(const MoreDescriptors&) = delete;

private:
    unsigned long before_ = 0;  ///< the soft limit to go back to; 0 when it was not touched
};

}  // namespace locald::shim
