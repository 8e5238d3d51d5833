#include "shim/mounts/rootfs.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/mount_options.hpp"
#include "shim/mounts/mount_table.hpp"
#include "shim/mounts/overlay.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// How the new mount namespace begins.
enum class Isolation {
    cut,    ///< private: the host's mounts and ours are two worlds
    slave,  ///< what the host mounts later is seen
    peers   ///< nothing is cut off yet: binds that are to be shared stay peers of their sources
};

Isolation isolation_of(const oci::Spec& spec) {
    const std::string& root = spec.get_linux().rootfs_propagation;
    if (root.ends_with("shared")) return Isolation::peers;
    bool asks_shared = false, asks_slave = false;
    for (const oci::Mount& mount : spec.mounts) {
        for (const std::string& option : mount.options) {
            asks_shared = asks_shared || option == "shared" || option == "rshared";
            asks_slave = asks_slave || option == "slave" || option == "rslave";
        }
    }
    // A value that is not recursive says nothing about the binds.
    const bool root_alone = root == "private" || root == "slave" || root == "unbindable";
    if (root_alone && asks_shared) return Isolation::peers;
    return root.ends_with("slave") || asks_slave || asks_shared ? Isolation::slave : Isolation::cut;
}

unsigned long propagation_flag(const std::string& name) {
    const unsigned long recursive = name.starts_with("r") ? static_cast<unsigned long>(MS_REC) : 0UL;
    if (name.ends_with("shared")) return MS_SHARED | recursive;
    if (name.ends_with("slave")) return MS_SLAVE | recursive;
    if (name.ends_with("unbindable")) return MS_UNBINDABLE | recursive;
    return MS_PRIVATE | recursive;
}

/// Makes the mount that `at` lies in private or a slave. What is mounted on it would else appear on the host, and
/// pivot_root refuses a shared parent.
void cut_place_off(const UniqueFd& at, std::uint64_t propagation) {
    const std::string what = "cut the root filesystem's place off from the host's mounts";
    UniqueFd here = posix::openat(at, ".", O_PATH | O_DIRECTORY);
    for (;;) {
        struct statx st {};
        if (::statx(here.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0) throw_errno(errno, what);
        if ((st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) break;
        here = posix::openat(here, "..", O_PATH | O_DIRECTORY);
    }
    change_mount(here, false, 0, 0, propagation, what);
}

/// Every whole proc and sysfs but those of the container: through one that is left behind the host's can be reached.
void take_host_filesystems_away(std::uint64_t root_mount_id) {
    const auto table = parse_mount_table(posix::read_file("/proc/self/mountinfo"));
    for (const auto& [id, parent, device, root, place, type] : table) {
        if ((type != "proc" && type != "sysfs") || root != "/") continue;
        if (is_on_mount(table, id, root_mount_id)) continue;
        if (::umount2(place.c_str(), MNT_DETACH) == 0) continue;
        if (errno != EINVAL && errno != EPERM) throw_errno(errno, "take ", place, " of the host away");
        // Locked, in a user namespace: it can be covered.
        if (::mount("tmpfs", place.c_str(), "tmpfs", MS_RDONLY, "nr_inodes=2") != 0) {
            throw_errno(errno, "cover ", place, " of the host");
        }
    }
}

}  // namespace

bool has_root_mount(const oci::Spec& spec) noexcept {
    return !spec.mounts.empty() && spec.mounts.front().destination == "/";
}

std::string root_path(const oci::Spec& spec, const std::string& bundle) {
    if (!spec.root) throw Error(ErrorKind::invalid, "root: is missing");
    const std::string& path = spec.root->path;
    return path.starts_with("/") ? path : bundle + "/" + path;
}

void isolate_mounts(const oci::Spec& spec) {
    const Isolation isolation = isolation_of(spec);
    if (isolation == Isolation::peers) return;
    if (::mount(nullptr, "/", nullptr, MS_REC | (isolation == Isolation::slave ? MS_SLAVE : MS_PRIVATE), nullptr) !=
        0) {
        const int err = errno;
        Error error(ErrorKind::system, "cut the mounts off from the host's: " + errno_text(err), err);
        // No file is asked for its mode here: a security module has said no, and on Ubuntu it is this rule.
        if (err == EACCES) {
            error.with_remedy(
                "AppArmor gives a program without a profile no rights in a user namespace where "
                "kernel.apparmor_restrict_unprivileged_userns is 1: sudo locald admin setup --group GROUP");
        }
        throw error;
    }
}

unsigned long default_bind_propagation(const oci::Spec& spec) {
    const std::string& root = spec.get_linux().rootfs_propagation;
    const Isolation isolation = isolation_of(spec);
    if (root.ends_with("shared") || isolation == Isolation::cut) return 0;
    if (root.ends_with("slave")) return isolation == Isolation::peers ? MS_SLAVE : 0;
    return MS_PRIVATE;
}

UniqueFd open_root_directory(const oci::Spec& spec, const std::string& bundle) {
    return in_step("root filesystem", [&] { return posix::open(root_path(spec, bundle), O_PATH | O_DIRECTORY); });
}

UniqueFd mount_root(const oci::Spec& spec, const std::string& bundle) {
    const std::string path = root_path(spec, bundle);
    const UniqueFd place = open_root_directory(spec, bundle);
    const bool slave = spec.get_linux().rootfs_propagation.ends_with("slave");
    if (isolation_of(spec) != Isolation::cut && !(slave && isolation_of(spec) == Isolation::slave)) {
        cut_place_off(place, slave ? MS_SLAVE : MS_PRIVATE);
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
        apply_mount_options(options, root, what);
    } else {
        root = clone_mount_of(place, true, what);
    }
    attach_mount(root, place, what);
    return root;
}

void pivot_into(const UniqueFd& root, const oci::Spec& spec) {
    const UniqueFd old = posix::open("/", O_PATH | O_DIRECTORY);
    if (::fchdir(root.get()) != 0) throw_errno(errno, "enter the root filesystem");
    // Both names are ".": the old root lands on top of the new one and is taken away from there, so no directory for it
    // is needed inside. @see pivot_root(2)
    if (::syscall(SYS_pivot_root, ".", ".") != 0) {
        const int err = errno;
        Error error(kind_of_errno(err), "pivot_root: " + errno_text(err), err);
        if (err == EINVAL) error.with_remedy("the host's root is a ramdisk that cannot be left: try --no-pivot");
        throw error;
    }
    if (isolation_of(spec) == Isolation::peers) {
        // What is taken away here must stay on the host.
        change_mount(old, true, 0, 0, MS_SLAVE, "cut the old root off from the host's mounts");
    }
    if (::umount2(".", MNT_DETACH) != 0) throw_errno(errno, "detach the old root");
    if (::chdir("/") != 0) throw_errno(errno, "enter the new root");
}

void chroot_into(const UniqueFd& root) {
    if (::fchdir(root.get()) != 0) throw_errno(errno, "enter the root filesystem");
    if (::chroot(".") != 0) throw_errno(errno, "chroot into the root filesystem");
    if (::chdir("/") != 0) throw_errno(errno, "enter the new root");
}

void move_into(const UniqueFd& root) {
    struct statx st {};
    if (::statx(root.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0) throw_errno(errno, "look at the new root");
    const UniqueFd old = posix::open("/", O_PATH | O_DIRECTORY);
    change_mount(old, true, 0, 0, MS_SLAVE, "cut the old root off from the host's mounts");
    take_host_filesystems_away(st.stx_mnt_id);
    attach_mount(root, old, "move the root filesystem over the old one");
    chroot_into(root);
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
