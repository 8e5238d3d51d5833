#pragma once

#include <cstdint>
#include <optional>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

struct MountId {
    std::uint64_t number = 0;  ///< as in mountinfo
    std::uint64_t unique = 0;  ///< 0 before Linux 6.8
};

/// Of the mount that the descriptor lies in, which may be attached nowhere. @see statx(2)
MountId mount_id_of(const posix::UniqueFd& at);

/// The number in mountinfo of the mount with that unique id; nothing when this process's mount namespace does not have
/// it. @see statmount(2)
std::optional<std::uint64_t> find_unique_mount(std::uint64_t unique);

}  // namespace locald::shim
