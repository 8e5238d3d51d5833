#include "shim/mounts/mounts.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/bind_sources.hpp"
#include "shim/mounts/cgroup_mount.hpp"
#include "shim/mounts/copy_tree.hpp"
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

/// The object to mount on. proc and sysfs go on a real directory only: a link in the image could otherwise put them
/// where later writes to /proc are not to procfs (CVE-2023-28642).
UniqueFd open_target(const PreparedMount& prepared, const UniqueFd& root, bool directory, const std::string& what) {
    const std::string& type = prepared.mount->type;
    if (!prepared.options.is_bind() && (type == "proc" || type == "sysfs")) {
        make_target_in_root(root, prepared.target, true);
        try {
            return posix::openat2(root, prepared.target, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
        } catch (Error& e) {
            if (e.os_errno() != ELOOP && e.os_errno() != ENOTDIR) throw;
            throw Error(ErrorKind::denied, what + ": " + prepared.target + " in the image is a link, not a directory");
        }
    }
    UniqueFd target = prepared.options.dest_nofollow ? make_target_nofollow(root, prepared.target, directory)
                                                     : make_target_in_root(root, prepared.target, directory);
    if (!is_allowed_below_proc(prepared.target) && is_procfs(target) && prepared.target != "/proc") {
        throw Error(ErrorKind::denied, '"' + prepared.target + "\" cannot be mounted because it is inside /proc");
    }
    return target;
}

bool has_mode(const MountOptions& options) {
    return std::any_of(options.data.begin(), options.data.end(), [](const auto& d) { return d.first == "mode"; });
}

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

UniqueFd new_filesystem(const PreparedMount& prepared, const UniqueFd& covered, const std::string& what) {
    const MountOptions& options = prepared.options;
    const std::string& type = prepared.mount->type;
    const FsContext context(type, what);
    if (!prepared.mount->source.empty()) context.set("source", prepared.mount->source);
    set_data(context, options);
    if (covered) {
        // Who is covered says who may write: /tmp stays everybody's, /run does not become so.
        std::array<char, 8> mode{};
        std::snprintf(mode.data(), mode.size(), "%04o",
                      static_cast<unsigned>(posix::fstat(covered, prepared.target).st_mode & 07777U));
        context.set("mode", mode.data());
    }
    std::uint64_t attributes = options.set | options.recursive_set;
    if ((attributes & MOUNT_ATTR_RDONLY) != 0 && !is_virtual(type)) context.set_flag("ro");
    // Filled first, made read-only afterwards.
    if (type == "tmpfs") attributes &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
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
    const UniqueFd target = open_target(prepared, place.root, S_ISDIR(st.st_mode), what);
    attach_mount(prepared.tree, target, what);
    set_propagation(prepared, prepared.tree, what);
}

[[noreturn]] void explain(Error& e, const std::string& type) {
    if (e.os_errno() == EPERM && type == "sysfs") {
        e.with_remedy("in a user namespace sysfs needs a network namespace of its own: add one, or bind /sys");
    } else if (e.os_errno() == EPERM && type == "proc") {
        e.with_remedy(
            "in a user namespace proc needs a pid namespace of its own, and a /proc outside that has "
            "nothing mounted over it");
    } else if (e.os_errno() == EINVAL && type == "devpts") {
        e.with_remedy("a gid= that the user namespace does not map is refused: leave it out");
    }
    throw e;
}

void make_filesystem(PreparedMount& prepared, const MountPlace& place, const std::string& what) {
    const std::string& type = prepared.mount->type;
    UniqueFd target;
    if (type == "overlay") {
        target = open_target(prepared, place.root, true, what);
        // Any number of layers with names of any length, as for the root filesystem.
        const std::string name = "/proc/self/fd/" + std::to_string(target.get());
        const UniqueFd mount = mount_overlay(*prepared.mount, name, target, what);
        set_propagation(prepared, mount, what);
        return;
    }
    // A directory that is made for the mount says nothing about who may write: then it is everybody's, as with runc.
    UniqueFd covered;
    if (type == "tmpfs" && !has_mode(prepared.options)) covered = find_in_root(place.root, prepared.target);
    UniqueFd mount;
    try {
        mount = new_filesystem(prepared, covered, what);
    } catch (Error& e) {
        explain(e, type);
    }
    if (type == "proc" && (prepared.options.set & MOUNT_ATTR_RDONLY) == 0 && place.with_procfs) {
        place.with_procfs(mount);
    }
    target = open_target(prepared, place.root, true, what);
    if (prepared.options.tmpcopyup) {
        in_step(what + ": tmpcopyup", [&] { copy_tree(target, mount, !has_mode(prepared.options)); });
    }
    attach_mount(mount, target, what);
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
    for (auto& prepared : mounts) {
        const std::string what = mount_text(prepared);
        if (prepared.options.remount) {
            make_remount(prepared, place, what);
        } else if (prepared.options.is_bind()) {
            make_bind(prepared, place, what);
            prepared.tree.reset();
        } else if (prepared.mount->type == "cgroup" || prepared.mount->type == "cgroup2") {
            place.before_cgroups();
            const UniqueFd target = open_target(prepared, place.root, true, what);
            mount_cgroups(target, prepared.options, place.own_cgroup_namespace, what);
        } else {
            make_filesystem(prepared, place, what);
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
