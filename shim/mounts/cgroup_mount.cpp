#include "shim/mounts/cgroup_mount.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/mounts/mount_api.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::uint64_t read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

constexpr const char* host_place = "/sys/fs/cgroup";

bool host_is_unified() {
    static const bool unified = [] {
        struct statfs fs {};
        return ::statfs(host_place, &fs) != 0 || fs.f_type == CGROUP2_SUPER_MAGIC;
    }();
    return unified;
}

/// The controller lists of /proc/self/cgroup: "cpu,cpuacct", "name=systemd", "" for v2.
std::vector<std::string> hierarchies() {
    std::vector<std::string> lists;
    const std::string text = posix::read_file("/proc/self/cgroup", 1U << 20U);
    for (const auto line : split(text, '\n')) {
        const auto first = line.find(':');
        const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
        if (second != std::string_view::npos) lists.emplace_back(line.substr(first + 1, second - first - 1));
    }
    return lists;
}

/// The hierarchies, as hierarchies() names them, in which the container has a cgroup of its own; nothing until
/// note_own_hierarchies().
std::optional<std::vector<std::string>>& own_hierarchies() {
    static std::optional<std::vector<std::string>> lists;
    return lists;
}

std::string list_of(const CgroupMount& mount) {
    std::string list;
    for (const auto& controller : mount.controllers) list += (list.empty() ? "" : ",") + controller;
    return list;
}

/// Those in which this process is no longer where the runtime is.
std::vector<std::string> find_own_hierarchies() {
    const CgroupHost now =
        parse_cgroup_host(posix::read_file("/proc/self/mountinfo"), posix::read_file("/proc/self/cgroup", 1U << 20U));
    std::vector<std::string> own;
    for (const auto& mount : now.mounts) {
        const CgroupMount* before = cgroup_host().of(mount.mount_point);
        if (before != nullptr && before->own != mount.own) own.push_back(list_of(mount));
    }
    return own;
}

/// Programs look for "cpu" where the host mounts "cpu,cpuacct".
void link_controllers(const UniqueFd& top, const std::vector<std::string>& controllers, const std::string& name,
                      const std::string& what) {
    for (const auto& controller : controllers) {
        if (controllers.size() < 2) break;
        if (::symlinkat(name.c_str(), top.get(), controller.c_str()) != 0 && errno != EEXIST) {
            throw_errno(errno, what, ": link ", controller);
        }
    }
}

/// Not mounted anew: from the host's cgroup namespace that would set the options of the one file system there is, and
/// take `nsdelegate` from the host.
void bind_hosts(const UniqueFd& target, const MountOptions& options, std::uint64_t attributes,
                const std::string& what) {
    const UniqueFd tree = clone_mount(UniqueFd(), host_place, true);
    change_mount(tree, true, attributes | options.set | options.recursive_set, 0, MS_PRIVATE, what);
    attach_mount(tree, target, what);
}

/// Without a cgroup namespace of its own a container on v1 sees, of each hierarchy that the host has mounted, the
/// cgroup it is in; where that is no other than the runtime's, read-only.
void bind_own_cgroups(const UniqueFd& target, const MountOptions& options, std::uint64_t attributes,
                      const std::string& what) {
    const std::uint64_t least =
        attributes | options.set | options.recursive_set | (read_only & ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    const std::vector<std::string> joined = find_own_hierarchies();
    // Not cgroup_host(): that is the parent's view, from before this process was moved.
    const CgroupHost host =
        parse_cgroup_host(posix::read_file("/proc/self/mountinfo"), posix::read_file("/proc/self/cgroup", 1U << 20U));
    const FsContext context("tmpfs", what);
    context.set("source", "tmpfs");
    context.set("mode", "755");
    const UniqueFd top = context.mount(least & ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    attach_mount(top, target, what);
    for (const auto& hierarchy : host.mounts) {
        const std::string name = hierarchy.mount_point.substr(hierarchy.mount_point.find_last_of('/') + 1);
        const UniqueFd own = clone_mount(UniqueFd(), hierarchy.mount_point + "/" + hierarchy.own, false);
        const bool is_own = std::find(joined.begin(), joined.end(), list_of(hierarchy)) != joined.end();
        change_mount(own, false, is_own ? least : least | MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, what + "/" + name);
        if (::mkdirat(top.get(), name.c_str(), 0755) != 0) {
            if (errno == EEXIST) continue;  // mounted twice
            throw_errno(errno, what, ": make directory ", name);
        }
        attach_mount(own, posix::openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW), what + "/" + name);
        link_controllers(top, hierarchy.controllers, name, what);
    }
    if ((least & MOUNT_ATTR_RDONLY) != 0) change_mount(top, false, MOUNT_ATTR_RDONLY, 0, 0, what);
}

void mount_unified(const UniqueFd& target, const MountOptions& options, const std::string& what) {
    UniqueFd mount;
    try {
        const FsContext context("cgroup2", what);
        context.set("source", "cgroup");
        for (const auto& [key, value] : options.data) value ? context.set(key, *value) : context.set_flag(key);
        mount = context.mount(options.set | options.recursive_set);
    } catch (const Error& e) {
        // In a user namespace whose cgroup namespace is not its own, or a hierarchy that is busy as v1.
        if (e.os_errno() != EPERM && e.os_errno() != EBUSY) throw;
        return bind_hosts(target, options, MOUNT_ATTR_RDONLY, what);
    }
    attach_mount(mount, target, what);
}

/// One directory of the tmpfs: a hierarchy mounted anew, seen from the cgroup namespace.
void mount_hierarchy(const UniqueFd& top, const std::string& list, std::uint64_t attributes, const std::string& what) {
    const bool unified = list.empty();
    const auto& own = own_hierarchies();
    // Elsewhere the namespace's root is the runtime's own cgroup, with all of the host's below it.
    if (own && std::find(own->begin(), own->end(), list) == own->end()) attributes |= read_only;
    const std::string name = unified ? "unified" : list.starts_with("name=") ? list.substr(5) : list;
    UniqueFd mount;
    try {
        const FsContext context(unified ? "cgroup2" : "cgroup", what + "/" + name);
        context.set("source", "cgroup");
        if (list.starts_with("name=")) {
            context.set("name", name);
        } else {
            for (const auto controller : split(list, ',')) {
                if (!controller.empty()) context.set_flag(std::string(controller));
            }
        }
        mount = context.mount(attributes);
    } catch (const Error& e) {
        // A hierarchy that the kernel lists and this host has mounted nowhere, or not for us: the container does
        // without.
        if (e.os_errno() != EBUSY && e.os_errno() != EPERM && e.os_errno() != ENOENT && e.os_errno() != EINVAL) throw;
        return;
    }
    if (::mkdirat(top.get(), name.c_str(), 0755) != 0) throw_errno(errno, what, ": make directory ", name);
    const UniqueFd place = posix::openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    attach_mount(mount, place, what);
    std::vector<std::string> controllers;
    for (const auto controller : split(list, ',')) controllers.emplace_back(controller);
    link_controllers(top, controllers, name, what);
}

}  // namespace

void note_own_hierarchies() {
    if (!host_is_unified()) own_hierarchies() = find_own_hierarchies();
}

void mount_cgroups(const UniqueFd& target, const MountOptions& options, CgroupView view, const std::string& what) {
    if (view != CgroupView::own_namespace) {
        const std::uint64_t attributes = view == CgroupView::read_only ? MOUNT_ATTR_RDONLY : 0;
        const auto bind = host_is_unified() ? bind_hosts : bind_own_cgroups;
        return bind(target, options, attributes, what);
    }
    if (host_is_unified()) return mount_unified(target, options, what);
    const FsContext context("tmpfs", what);
    context.set("source", "tmpfs");
    context.set("mode", "755");
    const std::uint64_t attributes = options.set | options.recursive_set;
    const UniqueFd top = context.mount(attributes & ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    // Attached first: on Linux before 6.15 nothing can be mounted inside a detached mount.
    attach_mount(top, target, what);
    for (const auto& list : hierarchies()) mount_hierarchy(top, list, attributes, what);
    if ((attributes & MOUNT_ATTR_RDONLY) != 0) change_mount(top, false, MOUNT_ATTR_RDONLY, 0, 0, what);
}

}  // namespace locald::shim
