#include "shim/mounts.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup_mount.hpp"
#include "shim/copy_tree.hpp"
#include "shim/in_root.hpp"
#include "shim/mount_api.hpp"
#include "shim/rootfs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

// What may be put below /proc: single files that lxcfs and its like imitate.
constexpr std::array<std::string_view, 10> allowed_below_proc{"/proc/cpuinfo",
                                                              "/proc/diskstats",
                                                              "/proc/meminfo",
                                                              "/proc/stat",
                                                              "/proc/swaps",
                                                              "/proc/uptime",
                                                              "/proc/loadavg",
                                                              "/proc/slabinfo",
                                                              "/proc/sys/kernel/ns_last_pid",
                                                              "/proc/sys/crypto/fips_enabled"};

bool is_allowed_below_proc(const std::string& target) {
    return std::find(allowed_below_proc.begin(), allowed_below_proc.end(), target) != allowed_below_proc.end();
}

bool is_procfs(const UniqueFd& fd) {
    struct statfs fs {};
    return ::fstatfs(fd.get(), &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

std::string text_of(const PreparedMount& prepared) {
    const std::string& source = prepared.options.is_bind() ? prepared.source : prepared.mount->type;
    return "mount " + source + " on " + prepared.target;
}

std::vector<posix::IdMapping> to_posix(const std::vector<oci::IdMapping>& maps) {
    std::vector<posix::IdMapping> result;
    for (const auto& map : maps) result.push_back({map.container_id, map.host_id, map.size});
    return result;
}

/// The user namespace that carries an idmapped bind's maps: its own mappings, else the container's.
UniqueFd idmap_namespace(const oci::Mount& mount, const oci::Linux& config, const std::string& place) {
    const bool own = !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
    if (own && (mount.uid_mappings.empty() || mount.gid_mappings.empty())) {
        throw Error(ErrorKind::invalid, place + ": id-mapped mounts must have both uid and gid mappings specified");
    }
    posix::IdMaps maps;
    maps.uids = to_posix(own ? mount.uid_mappings : config.uid_mappings);
    maps.gids = to_posix(own ? mount.gid_mappings : config.gid_mappings);
    if (maps.uids.empty() || maps.gids.empty()) {
        throw Error(ErrorKind::invalid, place + ": idmap without mappings, and the container has no user namespace");
    }
    if (::geteuid() != 0) {
        throw Error(ErrorKind::denied, place + ": only root can map the ids of a mount")
            .with_remedy("leave idmap out, or run as root");
    }
    return in_step(place, [&] { return posix::make_user_namespace(maps); });
}

void apply_options(const PreparedMount& prepared, const UniqueFd& mount, const std::string& what) {
    const MountOptions& options = prepared.options;
    if (prepared.user_namespace) {
        change_mount(mount, options.recursive_idmap, MOUNT_ATTR_IDMAP, 0, 0, what, prepared.user_namespace.get());
    }
    if (options.set != 0 || options.clear != 0) change_mount(mount, false, options.set, options.clear, 0, what);
    if (options.recursive_set != 0 || options.recursive_clear != 0) {
        change_mount(mount, true, options.recursive_set, options.recursive_clear, 0, what);
    }
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
    UniqueFd target = make_target_in_root(root, prepared.target, directory);
    if (!is_allowed_below_proc(prepared.target) && is_procfs(target) && prepared.target != "/proc") {
        throw Error(ErrorKind::denied, '"' + prepared.target + "\" cannot be mounted because it is inside /proc");
    }
    return target;
}

UniqueFd new_filesystem(const PreparedMount& prepared, const std::string& what) {
    const MountOptions& options = prepared.options;
    const std::string& type = prepared.mount->type;
    const FsContext context(type, what);
    if (!prepared.mount->source.empty()) context.set("source", prepared.mount->source);
    for (const auto& [key, value] : options.data) {
        if (value) {
            context.set(key, *value);
        } else {
            context.set_flag(key);
        }
    }
    std::uint64_t attributes = options.set | options.recursive_set;
    // Filled first, made read-only afterwards.
    if (options.tmpcopyup) attributes &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
    return context.mount(attributes);
}

void make_bind(PreparedMount& prepared, const MountPlace& place, const std::string& what) {
    if (!prepared.tree) prepared.tree = clone_mount(UniqueFd(), prepared.source, prepared.options.recursive_bind);
    const struct stat st = posix::fstat(prepared.tree, prepared.source);
    if (prepared.target == "/proc") {
        constexpr ino_t proc_root = 1;  // nothing else on a procfs has it
        if (!is_procfs(prepared.tree) || st.st_ino != proc_root) {
            throw Error(ErrorKind::denied, "\"/proc\" cannot be mounted because it is not of type proc");
        }
    }
    apply_options(prepared, prepared.tree, what);
    const UniqueFd target = open_target(prepared, place.root, S_ISDIR(st.st_mode), what);
    attach_mount(prepared.tree, target, what);
}

void make_filesystem(const PreparedMount& prepared, const MountPlace& place, const std::string& what) {
    UniqueFd mount;
    try {
        mount = new_filesystem(prepared, what);
    } catch (Error& e) {
        if (e.os_errno() == EPERM && prepared.mount->type == "sysfs") {
            e.with_remedy("in a user namespace sysfs needs a network namespace of its own: add one, or bind /sys");
        } else if (e.os_errno() == EPERM && prepared.mount->type == "proc") {
            e.with_remedy(
                "in a user namespace proc needs a pid namespace of its own, and a /proc outside that has "
                "nothing mounted over it");
        } else if (e.os_errno() == EINVAL && prepared.mount->type == "devpts") {
            e.with_remedy("a gid= that the user namespace does not map is refused: leave it out");
        }
        throw;
    }
    if (prepared.mount->type == "proc" && (prepared.options.set & MOUNT_ATTR_RDONLY) == 0 && place.with_procfs) {
        place.with_procfs(mount);
    }
    const UniqueFd target = open_target(prepared, place.root, true, what);
    if (prepared.options.tmpcopyup) {
        in_step(what + ": tmpcopyup", [&] { copy_tree(target, mount); });
        if ((prepared.options.set & MOUNT_ATTR_RDONLY) != 0) {
            change_mount(mount, false, MOUNT_ATTR_RDONLY, 0, 0, what);
        }
    }
    attach_mount(mount, target, what);
    // Kept open: the caller sets the propagation on it.
    if (prepared.options.propagation != 0) {
        change_mount(mount, prepared.options.propagation_recursive, 0, 0, prepared.options.propagation, what);
    }
}

}  // namespace

std::vector<PreparedMount> prepare_mounts(const oci::Spec& spec, const std::string& bundle,
                                          std::vector<std::string>& warnings) {
    std::vector<PreparedMount> result;
    for (std::size_t i = has_root_mount(spec) ? 1 : 0; i < spec.mounts.size(); ++i) {
        const oci::Mount& mount = spec.mounts[i];
        const std::string place = "mounts[" + std::to_string(i) + "]";
        PreparedMount prepared;
        prepared.mount = &mount;
        prepared.index = i;
        prepared.target = clean_path(mount.destination);
        prepared.options = parse_mount_options(mount.options);
        if (!mount.destination.starts_with("/")) {
            warnings.push_back(place + ": mount " + mount.destination +
                               ": relative destination path is **deprecated**, using it as relative to /");
        }
        if (prepared.target == "/") throw Error(ErrorKind::invalid, place + ".destination: only mounts[0] can be /");
        const bool idmapped = prepared.options.idmap || prepared.options.recursive_idmap ||
                              !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
        if (prepared.options.is_bind()) {
            if (mount.source.empty()) throw Error(ErrorKind::invalid, place + ".source: a bind needs one");
            prepared.source = mount.source.starts_with("/") ? mount.source : bundle + "/" + mount.source;
            for (const auto& [key, value] : prepared.options.data) {
                throw Error(ErrorKind::invalid, place + ".options: unknown option \"" + key + "\" of a bind");
            }
        } else {
            if (mount.type.empty()) throw Error(ErrorKind::invalid, place + ".type: is missing");
            if (idmapped) {
                throw Error(ErrorKind::invalid, place + ": id-mapped mounts are only supported for bind-mounts");
            }
            if (prepared.target == "/proc" && mount.type != "proc") {
                throw Error(ErrorKind::invalid, "\"/proc\" cannot be mounted because it is not of type proc");
            }
        }
        if (prepared.target.starts_with("/proc/") && !is_allowed_below_proc(prepared.target)) {
            throw Error(ErrorKind::invalid, '"' + prepared.target + "\" cannot be mounted because it is inside /proc");
        }
        if (idmapped) prepared.user_namespace = idmap_namespace(mount, *spec.linux_, place);
        result.push_back(std::move(prepared));
    }
    return result;
}

void open_bind_sources(std::vector<PreparedMount>& mounts) {
    for (auto& prepared : mounts) {
        if (!prepared.options.is_bind()) continue;
        try {
            prepared.tree = clone_mount(UniqueFd(), prepared.source, prepared.options.recursive_bind);
        } catch (Error& e) {
            e.add_context(text_of(prepared));
            if (e.os_errno() == ENOENT) e.with_remedy("make " + prepared.source + " first");
            if (e.os_errno() == EINVAL && !prepared.options.recursive_bind) {
                e.with_remedy("in a user namespace a directory with mounts below it can only be bound with rbind");
            }
            throw;
        }
    }
}

void make_mounts(std::vector<PreparedMount>& mounts, const MountPlace& place) {
    for (auto& prepared : mounts) {
        const std::string what = text_of(prepared);
        if (prepared.options.is_bind()) {
            make_bind(prepared, place, what);
            if (prepared.options.propagation != 0) {
                change_mount(prepared.tree, prepared.options.propagation_recursive, 0, 0, prepared.options.propagation,
                             what);
            }
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

}  // namespace locald::shim
