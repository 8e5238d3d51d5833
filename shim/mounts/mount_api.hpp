#pragma once

#include <cstdint>
#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// The mount API of Linux 5.2 and later, by descriptors. A mount that is not yet attached vanishes with its descriptor.

/// One file system being configured: fsopen(2), fsconfig(2), fsmount(2). Errors carry the kernel's log of the context.
class FsContext {
public:
    /// @param what  for error texts: `mount proc on /proc`
    FsContext(const std::string& type, std::string what);
    /// The file system that is mounted on `target`, to be configured anew: fspick(2).
    FsContext(const posix::UniqueFd& target, std::string what);

    /// fsconfig FSCONFIG_SET_STRING. Values are at most 255 bytes long.
    void set(const std::string& key, const std::string& value) const;
    /// fsconfig FSCONFIG_SET_FLAG.
    void set_flag(const std::string& key) const;
    /// Makes the superblock and a detached mount of it with MOUNT_ATTR_ `attributes`.
    posix::UniqueFd mount(std::uint64_t attributes) const;
    /// Puts what was set on the superblock that was picked.
    void reconfigure() const;

private:
    [[noreturn]] void fail(const std::string& step, int err) const;

    std::string what_;
    posix::UniqueFd fd_;
};

/// A detached copy of the mount at `path`, which is relative to `dir` (the working directory when `dir` is empty).
/// @param nofollow  a link at the end is cloned itself
posix::UniqueFd clone_mount(const posix::UniqueFd& dir, const std::string& path, bool recursive, bool nofollow = false);
/// A detached copy of what the O_PATH descriptor `at` refers to.
posix::UniqueFd clone_mount_of(const posix::UniqueFd& at, bool recursive, const std::string& what);
/// The same of a single file, cut off from the mount that it comes from: a mount on the copy would else reach the
/// original when the host's mounts are shared with the container.
/// @param attributes  MOUNT_ATTR_ bits to set on it
posix::UniqueFd clone_file(const posix::UniqueFd& at, const std::string& what, std::uint64_t attributes = 0);

/// Attaches `mount` on the very object that `target` refers to.
void attach_mount(const posix::UniqueFd& mount, const posix::UniqueFd& target, const std::string& what);

/// mount_setattr(2) on the root of `mount`, or on all below it too.
/// @param propagation  MS_SHARED, …; 0 leaves it
/// @param user_namespace  with MOUNT_ATTR_IDMAP in `set`; -1 else
void change_mount(const posix::UniqueFd& mount, bool recursive, std::uint64_t set, std::uint64_t clear,
                  std::uint64_t propagation, const std::string& what, int user_namespace = -1);

struct MountOptions;
/// The attributes of `options` on a mount, those of its own first and then those for all below it too.
void apply_mount_options(const MountOptions& options, const posix::UniqueFd& mount, const std::string& what);

}  // namespace locald::shim
