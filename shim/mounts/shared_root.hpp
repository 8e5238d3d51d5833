#pragma once

#include <cstdint>
#include <string>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// A container without a mount namespace of its own that has something to mount gets one mount in the namespace that it
// shares: its root filesystem on itself, private, with all else on top of that. So one mount is all that there is to
// remember, before it is attached, and to take away.

/// What is needed to find that mount again, and no other.
struct SharedRoot {
    std::uint64_t mount_namespace = 0;    ///< inode of its nsfs file
    std::string namespace_path;           ///< where the configuration found the namespace; empty: the runtime's own
    std::uint64_t mount = 0;              ///< its number in mountinfo, which is given to another once it is gone
    std::uint64_t unique_mount = 0;       ///< never given again; 0 before Linux 6.8
    std::uint64_t device = 0, inode = 0;  ///< of its root directory
    std::string place;                    ///< where it was attached, as seen in that namespace
};

/// True when the configuration shares a mount namespace and wants anything that takes a mount.
bool wants_shared_root(const oci::Spec& spec);

/// @throws Error for what cannot be right in mounts that others have too
void check_shared_mounts(const oci::Spec& spec);

/// In the namespace that is shared: the mount, attached nowhere yet. @param place  the root filesystem's directory
posix::UniqueFd make_shared_root(const oci::Spec& spec, const posix::UniqueFd& place);
/// One line: what the parent, which is not in the namespace, cannot know of it.
std::string describe_shared_root(const posix::UniqueFd& root, const posix::UniqueFd& place);
/// The inverse, in the parent. @param spec  says which namespace it is
SharedRoot parse_shared_root(const std::string& description, const oci::Spec& spec);
/// Attaches it: from here on `undo_shared_root` is needed.
void attach_shared_root(const posix::UniqueFd& root, const posix::UniqueFd& place);

/// Takes the mount away with all that is on it, if it is still there. Its processes must have ended.
void undo_shared_root(const SharedRoot& shared);

}  // namespace locald::shim
