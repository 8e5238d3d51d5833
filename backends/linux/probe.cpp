#include "backends/linux/probe.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>

#include "backends/linux/admin/host_rules.hpp"
#include "backends/linux/admin/root_files.hpp"
#include "backends/linux/host_facts.hpp"
#include "backends/linux/namespace_rights.hpp"
#include "backends/linux/probe_parts.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using runtime::Finding;
using Severity = runtime::Finding::Severity;

Finding kernel() {
    utsname name{};
    ::uname(&name);
    int major = 0;
    int minor = 0;
    // NOLINTNEXTLINE(cert-err34-c): a release that has no numbers stays 0.0 and is reported as too old
    std::sscanf(name.release, "%d.%d", &major, &minor);
    const std::string shown = std::string("Linux ") + name.release + " on " + name.machine;
    if (major > 5 || (major == 5 && minor >= 14)) return {"kernel.version", Severity::ok, shown, {}};
    return {"kernel.version", Severity::critical, shown + " is older than 5.14", "use a newer kernel"};
}

Finding user_namespaces(const ShimFindings& shim) {
    const auto& rights = shim.rights;
    const std::string to_type =
        shim.way_into_group.empty() ? "sudo locald admin setup --group GROUP" : shim.way_into_group;
    posix::IdMaps own;
    own.uids = {{0, ::geteuid(), 1}};
    own.gids = {{0, ::getegid(), 1}};
    try {
        posix::make_user_namespace(own);
        const int err = ::geteuid() == 0 ? 0 : try_rights_in_user_namespace();
        if (err == 0) return {"userns.allowed", Severity::ok, "user namespaces can be made", {}};
        if (rights == ShimRights::setuid) {
            return {"userns.allowed",
                    Severity::note,
                    "ordinary users have no rights in a user namespace here; the setuid shim makes this user's",
                    {}};
        }
        const std::string why = admin::why_no_user_namespaces();
        return {"userns.allowed", Severity::critical,
                "a user namespace that this user makes gives him no rights: mount in it: " + errno_text(err) +
                    (why.empty() ? "" : ": " + why),
                to_type};
    } catch (const Error& e) {
        std::string remedy = e.remedy();
        if (admin::nobody_makes_user_namespaces()) {
            remedy = "sudo sysctl user.max_user_namespaces=15000";
        } else if (rights == ShimRights::setuid) {
            return {"userns.allowed",
                    Severity::note,
                    "ordinary users make no user namespaces here; the setuid shim makes this user's",
                    {}};
        } else if (!admin::why_no_user_namespaces().empty()) {
            remedy = to_type;
        }
        // Root needs none; a user can't run anything without.
        const std::string why = admin::why_no_user_namespaces();
        return {"userns.allowed", ::geteuid() == 0 ? Severity::note : Severity::critical,
                e.message() + (why.empty() ? "" : ": " + why), remedy};
    }
}

Finding ids(const std::optional<ShimRights>& rights) {
    if (::geteuid() == 0) return {"ids.range", Severity::ok, "root maps no ids", {}};
    const auto maps = posix::caller_id_maps(
        false, rights == ShimRights::setuid ? posix::MapWriter::setuid_shim : posix::MapWriter::helpers);
    if (!maps.full) {
        return {"ids.range", Severity::warning,
                "only one id is mapped, for " + maps.why_not_full +
                    ": files of an image lose their owners and its service users can't be used",
                maps.remedy};
    }
    std::uint64_t count = 0;
    for (const auto& map : maps.uids) count += map.size;
    return {"ids.range", Severity::ok, std::to_string(count) + " user ids are mapped", {}};
}

Finding cgroups() {
    const bool pure = is_pure_cgroup_v2();
    struct stat unified {};
    const bool hybrid = ::stat("/sys/fs/cgroup/unified/cgroup.procs", &unified) == 0;
    struct statfs fs {};
    if (::statfs("/sys/fs/cgroup", &fs) != 0 || (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != TMPFS_MAGIC)) {
        return {"cgroup.v2", Severity::warning, "no cgroup hierarchy is mounted on /sys/fs/cgroup: limits are refused",
                "mount -t cgroup2 cgroup2 /sys/fs/cgroup"};
    }
    const std::string controllers = pure ? admin::kernel_text("/sys/fs/cgroup/cgroup.controllers") : std::string();
    return {"cgroup.v2",
            pure ? Severity::ok : Severity::note,
            pure     ? "cgroup v2 with controllers: " + (controllers.empty() ? std::string("none") : controllers)
            : hybrid ? "cgroup v1 and v2 together (hybrid): limits go through the v1 controllers"
                     : "cgroup v1: limits go through its controllers",
            {}};
}

Finding cgroup_place(const std::optional<ShimRights>& rights) {
    if (rights == ShimRights::setuid) {
        return {"cgroup.root_ready", Severity::ok, "the setuid shim makes this user's cgroups", {}};
    }
    if (!cgroups_path_for("x").empty()) {
        return {"cgroup.root_ready", Severity::ok, "this user can make cgroups for containers", {}};
    }
    return {"cgroup.root_ready", Severity::note,
            "this user owns no cgroup, so --memory, --cpus and --pids-limit are refused", "sudo locald admin setup"};
}

Finding store(const runtime::RuntimeChoice& choice) {
    std::string path = choice.data_directory.empty() ? host::data_directory() : choice.data_directory;
    const std::string shown = path;
    struct stat st {};
    while (path.size() > 1 && ::stat(path.c_str(), &st) != 0) path.erase(std::max<std::size_t>(path.rfind('/'), 1));
    struct statfs fs {};
    if (::access(path.c_str(), W_OK) != 0) {
        return {"store.writable", Severity::critical, "image store " + shown + ": " + path + ": " + errno_text(errno),
                "make it writable, or set XDG_DATA_HOME to a directory that is"};
    }
    if (::statfs(path.c_str(), &fs) != 0) throw_errno(errno, "statfs ", path);
    const auto free_mib = (static_cast<std::uint64_t>(fs.f_bavail) * static_cast<std::uint64_t>(fs.f_bsize)) >> 20U;
    constexpr std::uint64_t little = 512;
    return {"store.writable", free_mib < little ? Severity::warning : Severity::ok,
            "image store " + shown + ", " + std::to_string(free_mib) + " MiB free",
            free_mib < little ? "free some space, or remove images with `locald image rm`" : ""};
}

}  // namespace

runtime::ProbeReport probe_host(const runtime::RuntimeChoice& choice) {
    runtime::ProbeReport report;
    report.backend = "linux";
    const ShimFindings shim = shim_findings(choice);
    const auto add = [&](const auto& more) { report.findings.insert(report.findings.end(), more.begin(), more.end()); };
    report.findings = {kernel(), user_namespaces(shim)};
    add(security_module_findings(shim.rights));
    report.findings.push_back(ids(shim.rights));
    add(directory_user_findings());
    add(shared_range_findings());
    report.findings.push_back(cgroups());
    report.findings.push_back(cgroup_place(shim.rights));
    add(controller_findings(shim.rights));
    add(shim.findings);
    report.findings.push_back(store(choice));
    report.findings.push_back(
        {"network.helper", Severity::ok, "containers have the host's network or none, so no helper is needed", {}});
    report.usable = true;
    for (const auto& finding : report.findings) {
        if (finding.severity == Severity::critical) report.usable = false;
    }
    return report;
}

}  // namespace locald::backends
