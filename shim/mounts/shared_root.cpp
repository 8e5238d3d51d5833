#include "shim/mounts/shared_root.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/mount_id.hpp"
#include "shim/mounts/mount_options.hpp"
#include "shim/mounts/rootfs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

const oci::Namespace* find_namespace(const oci::Spec& spec, std::string_view type) {
    const auto& all = spec.get_linux().namespaces;
    const auto at = std::find_if(all.begin(), all.end(), [&](const auto& entry) { return entry.type == type; });
    return at == all.end() ? nullptr : &*at;
}

bool shares_mounts(const oci::Spec& spec) {
    const auto* entry = find_namespace(spec, "mount");
    return entry == nullptr || !entry->path.empty();
}

/// The first field that takes a mount; empty when there is none.
std::string field_that_mounts(const oci::Spec& spec) {
    const oci::Linux& config = spec.get_linux();
    if (!spec.mounts.empty()) return "mounts";
    if (spec.root && spec.root->readonly) return "root.readonly";
    if (!config.masked_paths.empty()) return "linux.maskedPaths";
    if (!config.readonly_paths.empty()) return "linux.readonlyPaths";
    if (!config.rootfs_propagation.empty()) return "linux.rootfsPropagation";
    return config.devices.empty() ? "" : "linux.devices";
}

[[noreturn]] void refuse(const std::string& field) {
    throw Error(ErrorKind::unsupported, field + ": not without a mount namespace of the container's own")
        .with_remedy("add {\"type\": \"mount\"} without a path to linux.namespaces, or leave the field out");
}

}  // namespace

bool wants_shared_root(const oci::Spec& spec) { return shares_mounts(spec) && !field_that_mounts(spec).empty(); }

void check_shared_mounts(const oci::Spec& spec) {
    if (!wants_shared_root(spec)) return;
    // The kernel: no rights on mounts that belong to a user namespace further up.
    const auto* user = find_namespace(spec, "user");
    if (user != nullptr && user->path.empty()) refuse(field_that_mounts(spec));
    // What is private is nobody's peer; all else would be mounted and unmounted where it is not the container's.
    const std::string& root = spec.get_linux().rootfs_propagation;
    if (!root.empty() && root != "private" && root != "rprivate") refuse("linux.rootfsPropagation: " + root);
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        const auto options = parse_mount_options(spec.mounts[i].options);
        if (options.propagation == MS_SHARED) refuse("mounts[" + std::to_string(i) + "].options: shared");
    }
    if (has_root_mount(spec) && !parse_mount_options(spec.mounts.front().options).is_bind()) {
        refuse("mounts[0]: a root filesystem that is no bind");
    }
}

UniqueFd make_shared_root(const oci::Spec& spec, const UniqueFd& place) {
    const std::string what = "mount the root filesystem";
    UniqueFd root;
    if (has_root_mount(spec)) {
        const auto options = parse_mount_options(spec.mounts.front().options);
        root = clone_mount(UniqueFd(), spec.mounts.front().source, options.recursive_bind);
        apply_mount_options(options, root, what);
    } else {
        root = clone_mount_of(place, true, what);
    }
    change_mount(root, true, 0, 0, MS_PRIVATE, what);
    return root;
}

std::string describe_shared_root(const UniqueFd& root, const UniqueFd& place) {
    const MountId id = mount_id_of(root);
    const struct stat st = posix::fstat(root, "the root filesystem");
    // Not by /proc: in this namespace there may be none.
    std::array<char, PATH_MAX> path{};
    const UniqueFd here = posix::open(".", O_PATH | O_DIRECTORY);
    if (::fchdir(place.get()) != 0 || ::syscall(SYS_getcwd, path.data(), path.size()) < 0 ||
        ::fchdir(here.get()) != 0) {
        throw_errno(errno, "name the root filesystem's place");
    }
    return std::to_string(id.number) + " " + std::to_string(id.unique) + " " + std::to_string(st.st_dev) + " " +
           std::to_string(st.st_ino) + " " + path.data();
}

SharedRoot parse_shared_root(const std::string& description, const oci::Spec& spec) {
    SharedRoot shared;
    std::string_view rest = description;
    for (std::uint64_t* number : {&shared.mount, &shared.unique_mount, &shared.device, &shared.inode}) {
        const auto space = rest.find(' ');
        const auto value = parse_u64(rest.substr(0, space));
        if (!value || space == std::string_view::npos) throw Error(ErrorKind::system, "sync socket: no mount");
        *number = *value;
        rest.remove_prefix(space + 1);
    }
    shared.place = rest;
    const auto* entry = find_namespace(spec, "mount");
    if (entry != nullptr) shared.namespace_path = entry->path;
    const std::string path = entry != nullptr ? entry->path : "/proc/self/ns/mnt";
    shared.mount_namespace = posix::fstat(posix::open(path, O_PATH), path).st_ino;
    return shared;
}

void attach_shared_root(const UniqueFd& root, const UniqueFd& place) {
    const std::string what = "mount the root filesystem on itself";
    attach_mount(root, place, what);
    // On a shared mount it became shared, with copies where its peers are: what follows must not reach those.
    change_mount(root, true, 0, 0, MS_PRIVATE, what);
}

}  // namespace locald::shim
