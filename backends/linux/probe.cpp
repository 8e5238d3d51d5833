#include "backends/linux/probe.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>

#include "backends/linux/environment.hpp"
#include "backends/linux/host_facts.hpp"
#include "backends/linux/shim_program.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using runtime::Finding;
using Severity = runtime::Finding::Severity;

std::string sysctl(const std::string& path) {
    const posix::UniqueFd file = posix::open_if_exists(path, O_RDONLY);
    return file ? std::string(trim(posix::read_all(file, path))) : std::string();
}

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

Finding user_namespaces() {
    const bool root = ::geteuid() == 0;
    posix::IdMaps own;
    own.uids = {{0, ::geteuid(), 1}};
    own.gids = {{0, ::getegid(), 1}};
    try {
        posix::make_user_namespace(own);
        return {"userns.allowed", Severity::ok, "user namespaces can be made", {}};
    } catch (const Error& e) {
        // Root needs none; a user can't run anything without.
        std::string remedy = e.remedy();
        if (sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
            remedy = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0";
        } else if (sysctl("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
            remedy = "sudo sysctl kernel.unprivileged_userns_clone=1";
        } else if (sysctl("/proc/sys/user/max_user_namespaces") == "0") {
            remedy = "sudo sysctl user.max_user_namespaces=15000";
        }
        return {"userns.allowed", root ? Severity::note : Severity::critical, e.message(), remedy};
    }
}

Finding ids(const runtime::RuntimeChoice& choice) {
    if (::geteuid() == 0) return {"ids.range", Severity::ok, "root maps no ids", {}};
    const bool setuid = Environment(choice).has_setuid_shim();
    const auto maps = posix::caller_id_maps(false, setuid ? posix::MapWriter::setuid_shim : posix::MapWriter::helpers);
    if (!maps.full) {
        return {"ids.range", Severity::warning,
                "only one id is mapped: files of an image lose their owners and its service users can't be used",
                maps.why_not_full};
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
    const std::string controllers = pure ? sysctl("/sys/fs/cgroup/cgroup.controllers") : std::string();
    return {"cgroup.v2",
            pure ? Severity::ok : Severity::note,
            pure     ? "cgroup v2 with controllers: " + (controllers.empty() ? std::string("none") : controllers)
            : hybrid ? "cgroup v1 and v2 together (hybrid): limits go through the v1 controllers"
                     : "cgroup v1: limits go through its controllers",
            {}};
}

Finding cgroup_place() {
    if (!cgroups_path_for("x").empty()) {
        return {"cgroup.root_ready", Severity::ok, "this user can make cgroups for containers", {}};
    }
    return {"cgroup.root_ready", Severity::note,
            "this user owns no cgroup, so --memory, --cpus and --pids-limit are refused", "run as root to use limits"};
}

Finding shim(const runtime::RuntimeChoice& choice) {
    try {
        const Shim found(find_program("locald-shim", choice.shim), "/");
        const auto answer = host::run_and_capture([&] {
            host::ChildOptions options;
            options.argv = {found.program(), "--shim-version"};
            return options;
        }());
        const std::string theirs(trim(answer.out));
        if (theirs == version) return {"shim.version", Severity::ok, found.program() + " " + theirs, {}};
        return {"shim.version", Severity::critical,
                found.program() + " is version " + json_quote(theirs) + ", this is " + std::string(version),
                "install locald and locald-shim from the same build"};
    } catch (const Error& e) {
        return {"shim.present", Severity::critical, e.message(), e.remedy()};
    }
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
    report.findings = {kernel(),       user_namespaces(), ids(choice),  cgroups(),
                       cgroup_place(), shim(choice),      store(choice)};
    report.usable = true;
    for (const auto& finding : report.findings) {
        if (finding.severity == Severity::critical) report.usable = false;
    }
    return report;
}

}  // namespace locald::backends
