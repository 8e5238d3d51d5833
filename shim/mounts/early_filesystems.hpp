#pragma once

#include <vector>

#include "core/posix/unique_fd.hpp"
#include "shim/mounts/mount_thread.h"
#include "shim/mounts/mounts.hpp"

namespace locald::shim {

/// Where a container has many tmpfs, a second thread makes them while this one attaches them in their order: most of a
/// mount's time is the kernel's for a new superblock, and it can make two at a time.
class EarlyFilesystems {
public:
    EarlyFilesystems(const std::vector<PreparedMount>& mounts, const posix::UniqueFd& root);
    ~EarlyFilesystems();
    EarlyFilesystems(const EarlyFilesystems&) = delete;
    EarlyFilesystems& operator=(const EarlyFilesystems&) = delete;

    /// The file system, not yet attached, when the other thread has made it; empty when it is the caller's to make.
    /// Asked for each mount in their order.
    /// @param mode  that it was given because of what is at its target (is_like_covered); -1: none
    posix::UniqueFd take(const PreparedMount& mount, int& mode);

private:
    static bool fits(const PreparedMount& mount);

    const std::vector<PreparedMount>& mounts_;
    std::vector<std::vector<mount_option>> options_;
    std::vector<mount_request> requests_;
    std::vector<unsigned> places_;  ///< of a mount: its request's index, or `none`
    mount_row row_{};
    bool started_ = false;
};

/// The attributes that a new file system of this mount is attached with.
std::uint64_t new_mount_attributes(const PreparedMount& mount);
/// True for a tmpfs without a mode of its own: it gets that of what it covers.
bool is_like_covered(const PreparedMount& mount);

}  // namespace locald::shim
