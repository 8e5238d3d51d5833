#include "shim/cgroup/owner.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

namespace {

bool has_new_cgroup_namespace(const oci::Linux& config) {
    return std::any_of(config.namespaces.begin(), config.namespaces.end(),
                       [](const auto& ns) { return ns.type == "cgroup" && ns.path.empty(); });
}

bool has_writable_cgroups(const oci::Spec& spec) {
    return std::any_of(spec.mounts.begin(), spec.mounts.end(), [](const oci::Mount& mount) {
        return mount.source == "cgroup" && clean_path(mount.destination) == "/sys/fs/cgroup" &&
               std::find(mount.options.begin(), mount.options.end(), "ro") == mount.options.end();
    });
}

/// The kernel's list of what is safe to hand on.
std::string delegatable_files() {
    try {
        return posix::read_file("/sys/kernel/cgroup/delegate");
    } catch (const Error&) {
        return "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";  // before Linux 4.15
    }
}

}  // namespace

std::optional<uid_t> cgroup_owner(const oci::Spec& spec) {
    if (!spec.linux_ || !spec.process || !has_new_cgroup_namespace(*spec.linux_) || !has_writable_cgroups(spec)) {
        return std::nullopt;
    }
    std::optional<uid_t> owner = spec.process->user.uid;
    const auto& maps = spec.linux_->uid_mappings;
    if (!maps.empty()) {
        owner.reset();
        for (const auto& map : maps) {
            if (spec.process->user.uid < map.container_id) continue;
            const std::uint32_t offset = spec.process->user.uid - map.container_id;
            if (offset < map.size) owner = map.host_id + offset;
        }
    }
    return owner == ::geteuid() ? std::nullopt : owner;
}

void delegate(const CgroupDir& dir, uid_t owner) {
    constexpr gid_t same_group = static_cast<gid_t>(-1);
    if (::fchownat(dir.fd().get(), "", owner, same_group, AT_EMPTY_PATH) != 0) {
        throw_errno(errno, "give ", dir.path(), " to user ", std::to_string(owner));
    }
    const std::string files = delegatable_files();
    for (const auto name : split(files, '\n')) {
        if (name.empty() || name.find('/') != std::string_view::npos) continue;
        const std::string file(name);
        if (::fchownat(dir.fd().get(), file.c_str(), owner, same_group, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) {
            throw_errno(errno, "give ", dir.path(), "/", file, " to user ", std::to_string(owner));
        }
    }
}

}  // namespace locald::shim
