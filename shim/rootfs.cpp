#include "shim/rootfs.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mount_api.hpp"
#include "shim/mount_options.hpp"
#include "shim/overlay.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

bool wants_host_mounts(const std::string& propagation) {
    return propagation.ends_with("slave") || propagation.ends_with("shared");
}

unsigned long propagation_flag(const std::string& name) {
    const unsigned long recursive = name.starts_with("r") ? static_cast<unsigned long>(MS_REC) : 0UL;
    if (name.ends_with("shared")) return MS_SHARED | recursive;
    if (name.ends_with("slave")) return MS_SLAVE | recursive;
    if (name.ends_with("unbindable")) return MS_UNBINDABLE | recursive;
    return MS_PRIVATE | recursive;
}

}  // namespace

bool has_root_mount(const oci::Spec& spec) noexcept {
    return !spec.mounts.empty() && spec.mounts.front().destination == "/";
}

std::string root_path(const oci::Spec& spec, const std::string& bundle) {
    const std::string& path = spec.root->path;
    return path.starts_with("/") ? path : bundle + "/" + path;
}

void isolate_mounts(const oci::Spec& spec) {
    bool slave = wants_host_mounts(spec.linux_->rootfs_propagation);
    for (const auto& mount : spec.mounts) {
        for (const auto& option : mount.options) slave = slave || wants_host_mounts(option);
    }
    if (::mount(nullptr, "/", nullptr, slave ? MS_REC | MS_SLAVE : MS_REC | MS_PRIVATE, nullptr) != 0) {
        throw_errno(errno, "cut the mounts off from the host's");
    }
}

UniqueFd mount_root(const oci::Spec& spec, const std::string& bundle) {
    const std::string path = root_path(spec, bundle);
    UniqueFd place;
    try {
        place = posix::open(path, O_PATH | O_DIRECTORY);
    } catch (Error& e) {
        e.add_context("root filesystem");
        throw;
    }
    const std::string what = "mount the root filesystem on " + path;
    if (has_root_mount(spec) && spec.mounts.front().type == "overlay") {
        return mount_overlay(spec.mounts.front(), path, place, "mount the overlay root filesystem on " + path);
    }
    UniqueFd root;
    if (has_root_mount(spec)) {
        const auto options = parse_mount_options(spec.mounts.front().options);
        if (!options.is_bind()) {
            throw Error(ErrorKind::unsupported, "mounts[0]: only an overlay or a bind can be the root filesystem");
        }
        root = clone_mount(UniqueFd(), spec.mounts.front().source, options.recursive_bind);
    } else {
        root = clone_mount_of(place, true, what);
    }
    attach_mount(root, place, what);
    return root;
}

void pivot_into(const UniqueFd& root) {
    if (::fchdir(root.get()) != 0) throw_errno(errno, "enter the root filesystem");
    // Both names are ".": the old root lands on top of the new one and is taken away from there, so no directory for it
    // is needed inside. @see pivot_root(2)
    if (::syscall(SYS_pivot_root, ".", ".") != 0) throw_errno(errno, "pivot_root");
    if (::umount2(".", MNT_DETACH) != 0) throw_errno(errno, "detach the old root");
    if (::chdir("/") != 0) throw_errno(errno, "enter the new root");
}

void set_root_propagation(const std::string& name) {
    if (name.empty()) return;
    if (::mount(nullptr, "/", nullptr, propagation_flag(name), nullptr) != 0) {
        throw_errno(errno, "linux.rootfsPropagation: set ", name);
    }
}

void enter_working_directory(const std::string& cwd) {
    // Magic links are not walked at all; the look afterwards catches whatever else leads outside.
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_NO_MAGICLINKS;
    UniqueFd dir(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, cwd.c_str(), &how, sizeof how)));
    if (!dir || ::fchdir(dir.get()) != 0) throw_errno(errno, "process.cwd: enter ", cwd);
    std::array<char, 4096> seen{};
    const long size = ::syscall(SYS_getcwd, seen.data(), seen.size());
    if (size < 0 || seen[0] != '/') {
        throw Error(ErrorKind::denied, "process.cwd: " + cwd + " is not inside the container's root filesystem");
    }
}

}  // namespace locald::shim
