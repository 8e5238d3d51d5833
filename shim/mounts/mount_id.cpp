#include "shim/mounts/mount_id.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"

namespace locald::shim {

namespace {

// Newer than the headers here. @see linux/stat.h, linux/mount.h
constexpr unsigned statx_unique = 0x4000;
constexpr long statmount_number = 457;
constexpr std::uint64_t statmount_basic = 2;

struct StatmountRequest {
    std::uint32_t size = sizeof(StatmountRequest);
    std::uint32_t spare = 0;
    std::uint64_t mount = 0;
    std::uint64_t wanted = statmount_basic;
};

struct StatmountAnswer {
    std::uint32_t size, options;
    std::uint64_t mask;
    std::uint32_t device_major, device_minor;
    std::uint64_t magic;
    std::uint32_t flags, type;
    std::uint64_t unique, unique_parent;
    std::uint32_t number, parent;
    std::uint64_t more[64];  // the kernel wants room for all that it may know
};

}  // namespace

MountId mount_id_of(const posix::UniqueFd& at) {
    struct statx st {};
    if (::statx(at.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0) throw_errno(errno, "look at a mount");
    MountId id{st.stx_mnt_id, 0};
    struct statx again {};
    if (::statx(at.get(), "", AT_EMPTY_PATH, statx_unique, &again) == 0 && (again.stx_mask & statx_unique) != 0) {
        id.unique = again.stx_mnt_id;
    }
    return id;
}

std::optional<std::uint64_t> find_unique_mount(std::uint64_t unique) {
    StatmountRequest request;
    request.mount = unique;
    StatmountAnswer answer{};
    if (::syscall(statmount_number, &request, &answer, sizeof answer, 0) == 0) return answer.number;
    if (errno == ENOENT) return std::nullopt;
    throw_errno(errno, "look for a mount by its id");
}

}  // namespace locald::shim
