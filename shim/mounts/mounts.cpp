#include "shim/mounts/mounts.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/bind_sources.hpp"
#include "shim/mounts/cgroup_mount.hpp"
#include "shim/mounts/copy_tree.hpp"
#include "shim/mounts/early_filesystems.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/overlay.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

bool is_procfs(const UniqueFd& fd) {
    struct statfs fs {};
    return ::fstatfs(fd.get(), &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

UniqueFd try_without_links(const UniqueFd& root, const std::string& path) {
    constexpr int most_tries = 64;
    for (int i = 0;; ++i) {
        open_how how{};
        how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
        how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
        UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
        if (fd || (errno != EINTR && errno != EAGAIN) || i == most_tries) return fd;
    }
}

/// The object to mount on, found before the file system is made or made afterwards.
class Target {
public:
    Target(const PreparedMount& prepared, const UniqueFd& root, const std::string& what)
        : prepared_(prepared), root_(root), what_(what) {}

    /// What is there now; empty when nothing is.
    const UniqueFd& find() {
        if (looked_for_) return fd_;
        fd_ = prepared_.options.dest_nofollow ? find_nofollow(root_, prepared_.target)
                                              : find_in_root(root_, prepared_.target);
        looked_for_ = true;
        return fd_;
    }

    /// Makes it where it is missing. proc and sysfs go on a real directory only: a link in the image could otherwise
    /// put them where later writes to /proc are not to procfs (CVE-2023-28642).
    const UniqueFd& open(bool directory) {
        const std::string& type = prepared_.mount->type;
        if (!prepared_.options.is_bind() && (type == "proc" || type == "sysfs")) {
            open_without_links();
            return fd_;
        }
        if (!find()) {
            fd_ = prepared_.options.dest_nofollow ? make_target_nofollow(root_, prepared_.target, directory)
                                                  : make_missing_in_root(root_, prepared_.target, directory);
        }
        if (!is_allowed_below_proc(prepared_.target) && is_procfs(fd_) && prepared_.target != "/proc") {
            throw Error(ErrorKind::denied, '"' + prepared_.target + "\" cannot be mounted because it is inside /proc");
        }
        return fd_;
    }

private:
    void open_without_links() {
        fd_ = try_without_links(root_, prepared_.target);
        if (fd_) return;
        make_target_in_root(root_, prepared_.target, true);
        fd_ = try_without_links(root_, prepared_.target);
        if (fd_) return;
        if (errno != ELOOP && errno != ENOTDIR) throw_errno(errno, what_, ": open ", prepared_.target);
        throw Error(ErrorKind::denied, what_ + ": " + prepared_.target + " in the image is a link, not a directory");
    }

    const PreparedMount& prepared_;
    const UniqueFd& root_;
    const std::string& what_;
    UniqueFd fd_;
    bool looked_for_ = false;
};

/// File systems without a device: one superblock may serve others as well, so `ro` stays with the mount.
bool is_virtual(const std::string& type) {
    constexpr std::array<std::string_view, 8> types{"proc",   "sysfs",  "tmpfs",   "devpts",
                                                    "mqueue", "cgroup", "cgroup2", "overlay"};
    return std::find(types.begin(), types.end(), type) != types.end();
}

void set_data(const FsContext& context, const MountOptions& options) {
    for (const auto& name : options.super) context.set_flag(name);
    for (const auto& [key, value] : options.data) {
        if (value) {
            context.set(key, *value);
        } else {
            context.set_flag(key);
        }
    }
}

/// @param mode  that it gets; -1: what its options say
UniqueFd new_filesystem(const PreparedMount& prepared, int mode, const std::string& what) {
    const MountOptions& options = prepared.options;
    const std::string& type = prepared.mount->type;
    const FsContext context(type, what);
    if (!prepared.mount->source.empty()) context.set("source", prepared.mount->source);
    set_data(context, options);
    if (mode >= 0) {
        std::array<char, 8> text{};
        std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode));
        context.set("mode", text.data());
    }
    const std::uint64_t attributes = new_mount_attributes(prepared);
    if ((attributes & MOUNT_ATTR_RDONLY) != 0 && !is_virtual(type)) context.set_flag("ro");
    return context.mount(attributes);
}

void set_propagation(const PreparedMount& prepared, const UniqueFd& mount, const std::string& what) {
    const MountOptions& options = prepared.options;
    if (options.propagation == 0) return;
    change_mount(mount, options.propagation_recursive, 0, 0, options.propagation, what);
}

void make_bind(PreparedMount& prepared, const MountPlace& place, const std::string& what) {
    if (!prepared.tree) open_bind_source(prepared, UniqueFd());
    const struct stat st = posix::fstat(prepared.tree, prepared.source);
    if (prepared.options.copy_symlink && S_ISLNK(st.st_mode)) {
        in_step(what, [&] { make_link_in_root(place.root, prepared.target, read_link(prepared.tree, what)); });
        return;
    }
    if (prepared.target == "/proc") {
        constexpr ino_t proc_root = 1;  // nothing else on a procfs has it
        if (!is_procfs(prepared.tree) || st.st_ino != proc_root) {
            throw Error(ErrorKind::denied, "\"/proc\" cannot be mounted because it is not of type proc");
        }
    }
    apply_mount_options(prepared.options, prepared.tree, what);
    if (prepared.options.propagation == 0 && place.bind_propagation != 0) {
        change_mount(prepared.tree, true, 0, 0, place.bind_propagation, what);
    }
    attach_mount(prepared.tree, Target(prepared, place.root, what).open(S_ISDIR(st.st_mode)), what);
    set_propagation(prepared, prepared.tree, what);
}

[[noreturn]] void explain(Error& e, const std::string& type) {
    if (e.os_errno() == EPERM && type == "sysfs") {
        e.with_remedy(
            "in a user namespace sysfs needs a network namespace of its own, and a /sys outside that has nothing "
            "mounted over it: add one, or bind /sys");
    } else if (e.os_errno() == EPERM && type == "proc") {
        e.with_remedy(
            "in a user namespace proc needs a pid namespace of its own, and a /proc outside that has "
            "nothing mounted over it");
    } else if (e.os_errno() == EINVAL && type == "devpts") {
        e.with_remedy("a gid= that the user namespace does not map is refused: leave it out");
    }
    throw e;
}

void make_overlay(const PreparedMount& prepared, const MountPlace& place, const std::string& what) {
    Target target(prepared, place.root, what);
    // Any number of layers with names of any length, as for the root filesystem.
    const UniqueFd& onto = target.open(true);
    const UniqueFd mount = mount_overlay(*prepared.mount, "/proc/self/fd/" + std::to_string(onto.get()), onto, what);
    set_propagation(prepared, mount, what);
}

void make_filesystem(PreparedMount& prepared, const MountPlace& place, EarlyFilesystems& early,
                     const std::string& what) {
    const std::string& type = prepared.mount->type;
    Target target(prepared, place.root, what);
    // Who is covered says who may write: /tmp stays everybody's, /run does not become so. A directory that is made for
    // the mount says nothing about it: then it is everybody's, as with runc.
    int mode = -1;
    if (is_like_covered(prepared) && target.find()) {
        mode = static_cast<int>(posix::fstat(target.find(), prepared.target).st_mode & 07777U);
    }
    int early_mode = -1;
    UniqueFd mount = early.take(prepared, early_mode);
    if (!mount || early_mode != mode) {  // an earlier mount has changed what is there since
        try {
            mount = new_filesystem(prepared, mode, what);
        } catch (Error& e) {
            explain(e, type);
        }
    }
    if (type == "proc" && (prepared.options.set & MOUNT_ATTR_RDONLY) == 0 && place.with_procfs) {
        place.with_procfs(mount);
    }
    const UniqueFd& onto = target.open(true);
    if (prepared.options.tmpcopyup) {
        in_step(what + ": tmpcopyup", [&] { copy_tree(onto, mount, is_like_covered(prepared)); });
    }
    attach_mount(mount, onto, what);
    set_propagation(prepared, mount, what);
    const auto attributes = prepared.options.set | prepared.options.recursive_set;
    if (type == "tmpfs" && (attributes & MOUNT_ATTR_RDONLY) != 0) prepared.tree = std::move(mount);
}

/// Changes what is mounted there already; with `bind` the mount alone, else its file system too.
void make_remount(const PreparedMount& prepared, const MountPlace& place, const std::string& what) {
    const MountOptions& options = prepared.options;
    const UniqueFd target = find_in_root(place.root, prepared.target);
    if (!target) throw Error(ErrorKind::invalid, what + ": there is nothing", ENOENT);
    if (!options.bind && !options.recursive_bind && !(options.data.empty() && options.super.empty())) {
        const FsContext context(target, what);
        set_data(context, options);
        context.reconfigure();
    }
    apply_mount_options(options, target, what);
    set_propagation(prepared, target, what);
}

}  // namespace

void make_mounts(std::vector<PreparedMount>& mounts, const MountPlace& place) {
    EarlyFilesystems early(mounts, place.root);
    for (auto& prepared : mounts) {
        const std::string what = mount_text(prepared);
        const std::string& type = prepared.mount->type;
        if (!prepared.options.remount && !prepared.options.is_bind() && type != "cgroup" && type != "cgroup2" &&
            type != "overlay") {
            make_filesystem(prepared, place, early, what);
            continue;
        }
        if (prepared.options.remount) {
            make_remount(prepared, place, what);
        } else if (prepared.options.is_bind()) {
            make_bind(prepared, place, what);
            prepared.tree.reset();
        } else if (type == "overlay") {
            make_overlay(prepared, place, what);
        } else {
            place.before_cgroups();
            mount_cgroups(Target(prepared, place.root, what).open(true), prepared.options, place.cgroup_view, what);
        }
    }
}

void finish_mounts(std::vector<PreparedMount>& mounts) {
    for (auto& prepared : mounts) {
        if (!prepared.tree) continue;
        change_mount(prepared.tree, false, MOUNT_ATTR_RDONLY, 0, 0, mount_text(prepared));
        prepared.tree.reset();
    }
}

}  // namespace locald::shim
