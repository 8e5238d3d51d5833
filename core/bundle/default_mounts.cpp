#include <algorithm>

#include "core/base/error.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

namespace {

constexpr std::uint32_t tty_group = 5;  // the group of terminals in every distribution's /etc/group

oci::Mount make_mount(std::string destination, std::string type, std::string source, std::vector<std::string> options) {
    oci::Mount mount;
    mount.destination = std::move(destination);
    mount.type = std::move(type);
    mount.source = std::move(source);
    mount.options = std::move(options);
    return mount;
}

oci::Mount sys_mount(const Plan& plan) {
    // The kernel mounts a new sysfs only for whoever owns the network namespace it shows.
    if (plan.user_namespace() && plan.options.network == NetworkMode::host) {
        // Recursively read-only: the caller's own cgroups lie below and would be writable for the container's root.
        return make_mount("/sys", "bind", "/sys", {"rbind", "rprivate", "nosuid", "noexec", "nodev", "ro", "rro"});
    }
    return make_mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"});
}

oci::Mount devpts_mount(const Plan& plan) {
    auto mount =
        make_mount("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"});
    if (is_mapped(tty_group, plan.host.gid_mappings)) mount.options.emplace_back("gid=5");
    return mount;
}

/// A file of make_files(), relative to the bundle so that a bundle can be moved; runtime-spec config.md, "Mounts".
oci::Mount file_mount(const std::string& name, bool read_only) {
    auto mount = make_mount(place_of_file(name), "bind", name, {"bind", "rprivate"});
    if (read_only) mount.options.emplace_back("ro");
    return mount;
}

/// True when a mount of the user hides the default one at `destination`, or the directory that it is in.
bool is_replaced(const std::string& destination, const std::vector<oci::Mount>& users) {
    return std::any_of(users.begin(), users.end(), [&](const oci::Mount& one) {
        return one.destination == destination ||
               ((one.destination == "/dev" || one.destination == "/sys" || one.destination == "/etc") &&
                is_within(destination, one.destination));
    });
}

}  // namespace

std::vector<oci::Mount> default_mounts(const Plan& plan) {
    std::vector<oci::Mount> mounts;
    mounts.push_back(make_mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
    mounts.push_back(make_mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
    mounts.push_back(devpts_mount(plan));
    mounts.push_back(
        make_mount("/dev/shm", "tmpfs", "shm",
                   {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(plan.options.shm_bytes)}));
    mounts.push_back(make_mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
    mounts.push_back(sys_mount(plan));
    if (plan.host.cgroup_v2 && plan.host.cgroup_namespace) {
        mounts.push_back(
            make_mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
    }
    for (const auto& file : plan.files) mounts.push_back(file_mount(file.first, plan.options.read_only));
    return mounts;
}

std::vector<oci::Mount> all_mounts(Plan& plan) {
    const auto users = user_mounts(plan);
    std::vector<oci::Mount> mounts = default_mounts(plan);
    std::erase_if(mounts, [&](const oci::Mount& one) { return is_replaced(one.destination, users); });
    mounts.insert(mounts.end(), users.begin(), users.end());
    if (plan.options.init) {
        if (std::any_of(users.begin(), users.end(), [](const oci::Mount& one) {
                return one.destination == "/dev" || one.destination == "/dev/init";
            })) {
            throw Error(ErrorKind::invalid, "--init: its program lies in /dev, where another mount was asked for");
        }
        mounts.push_back(
            make_mount("/dev/init", "bind", plan.host.init_program, {"bind", "rprivate", "nosuid", "nodev", "ro"}));
    }
    return mounts;
}

}  // namespace locald::bundle::parts
