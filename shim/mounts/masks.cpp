#include "shim/mounts/masks.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/mounts/mount_api.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// The host's /dev/null, looked at and not only named: a container that shares it could have put another file there
/// (CVE-2025-31133).
UniqueFd open_null() {
    UniqueFd null = posix::open("/dev/null", O_PATH | O_NOFOLLOW);
    const struct stat st = posix::fstat(null, "/dev/null");
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
        throw Error(ErrorKind::denied, "/dev/null of this host is not the null device");
    }
    return null;
}

UniqueFd make_empty_directory() {
    const FsContext context("tmpfs", "make the empty directory for masked paths");
    context.set("nr_inodes", "2");
    context.set("mode", "555");
    return context.mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

}  // namespace

void mask_paths(const UniqueFd& root, const std::vector<std::string>& paths) {
    UniqueFd null;
    UniqueFd empty;
    for (const auto& path : paths) {
        const UniqueFd target = find_in_root(root, path);
        if (!target) continue;
        const std::string what = "mask " + path;
        if (!S_ISDIR(posix::fstat(target, path).st_mode)) {
            if (!null) null = open_null();
            // It is the host's file: root in the container must not change its mode or owner. A device can be written
            // to all the same.
            constexpr std::uint64_t untouchable = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
            attach_mount(clone_file(null, what, untouchable), target, what);
        } else if (!empty) {
            empty = make_empty_directory();
            attach_mount(empty, target, what);
        } else {
            // The first is attached by now, so it can be cloned on kernels that clone no detached mounts.
            attach_mount(clone_mount_of(empty, false, what), target, what);
        }
    }
}

void make_paths_readonly(const UniqueFd& root, const std::vector<std::string>& paths) {
    for (const auto& path : paths) {
        const UniqueFd target = find_in_root(root, path);
        if (!target) continue;
        const std::string what = "make " + path + " read-only";
        const UniqueFd copy = clone_mount_of(target, true, what);
        change_mount(copy, true, MOUNT_ATTR_RDONLY, 0, 0, what);
        attach_mount(copy, target, what);
    }
}

}  // namespace locald::shim
