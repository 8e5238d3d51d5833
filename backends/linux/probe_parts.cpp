#include "backends/linux/probe_parts.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "backends/linux/admin/places.hpp"
#include "backends/linux/admin/root_files.hpp"
#include "backends/linux/admin/subids.hpp"
#include "backends/linux/host_facts.hpp"
#include "backends/linux/shim_policy.hpp"
#include "backends/linux/shim_program.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using runtime::Finding;
using Severity = Finding::Severity;

Finding version_of(const std::string& program) {
    host::ChildOptions options;
    options.argv = {program, "--shim-version"};
    const auto answer = host::run_and_capture(options);
    const std::string theirs(trim(answer.out));
    if (theirs == version) return {"shim.version", Severity::ok, program + " " + theirs, {}};
    return {"shim.version", Severity::critical,
            program + " is version " + json_quote(theirs) + ", this is " + std::string(version),
            "install locald and locald-shim from the same build"};
}

/// What root types so that this user may execute the installed one; empty when it is not its group that keeps him out.
std::string way_into_group(const ShimChoice& choice) {
    if (choice.refused.empty() || choice.candidates.back().executable) return {};
    struct stat st {};
    if (::stat(choice.candidates.back().path.c_str(), &st) != 0 || (st.st_mode & S_IXGRP) == 0) return {};
    const group* of_file = ::getgrgid(st.st_gid);
    const std::string name = of_file != nullptr ? of_file->gr_name : std::to_string(st.st_gid);
    const passwd* own = ::getpwuid(::geteuid());
    const std::string user = own != nullptr ? own->pw_name : std::to_string(::geteuid());
    return "sudo usermod -aG " + name + " " + user + "   # then log in again";
}

Finding rights_of(const ShimChoice& choice) {
    if (choice.rights == ShimRights::root) {
        return {"shim.rights", Severity::ok, choice.program + " runs with root's rights", {}};
    }
    if (choice.rights == ShimRights::setuid) {
        return {"shim.rights",
                Severity::ok,
                choice.program + " runs by root's setuid bit: it maps this user's ids and makes his cgroups",
                {}};
    }
    const std::string what = choice.program + " runs with this user's own rights (rootless): ";
    if (!choice.refused.empty()) {
        std::string remedy = way_into_group(choice);
        if (remedy.empty() && choice.is_warning) remedy = "sudo locald admin setup";
        return {"shim.rights", choice.is_warning ? Severity::warning : Severity::note, what + choice.refused, remedy};
    }
    const auto& lost = choice.candidates.front().lost;
    if (choice.candidates.front().has_bit && !lost.empty()) {
        return {"shim.rights", Severity::note, what + "its setuid bit is not in force, " + lost.front(), {}};
    }
    return {"shim.rights", Severity::note, what + "none is installed with root's setuid bit",
            "sudo locald admin setup"};
}

std::string text_of(const char* path) {
    const posix::UniqueFd file = posix::open_if_exists(path, O_RDONLY);
    return file ? posix::read_all(file, path) : std::string();
}

}  // namespace

ShimFindings shim_findings(const runtime::RuntimeChoice& choice) {
    ShimFindings out;
    try {
        const auto chosen = choose_shim(choice, {});
        out.findings.push_back(version_of(chosen.program));
        out.findings.push_back(rights_of(chosen));
        const auto policy = policy_findings(chosen);
        out.findings.insert(out.findings.end(), policy.begin(), policy.end());
        out.rights = chosen.rights;
        out.way_into_group = way_into_group(chosen);
        for (const auto& candidate : chosen.candidates) {
            if (candidate.unsafe.empty() || chosen.refused.starts_with(candidate.path)) continue;
            out.findings.push_back({"shim.exposed", Severity::warning,
                                    candidate.path + " has the setuid bit, and " + candidate.unsafe.front(),
                                    "sudo chmod u-s " + candidate.path});
        }
    } catch (const Error& e) {
        out.findings.push_back({"shim.present", Severity::critical, e.message(), e.remedy()});
    }
    return out;
}

std::vector<Finding> security_module_findings(const std::optional<ShimRights>& rights) {
    std::vector<Finding> found;
    if (admin::kernel_text("/sys/module/apparmor/parameters/enabled") == "Y") {
        const bool restricts = admin::kernel_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
        // Whether it bites here is tried: see userns.allowed.
        found.push_back({"lsm.apparmor",
                         restricts && rights == ShimRights::rootless ? Severity::note : Severity::ok,
                         restricts ? "AppArmor is on and leaves rights in a user namespace only to programs with a "
                                     "profile that says so (kernel.apparmor_restrict_unprivileged_userns=1)"
                                   : "AppArmor is on and restricts no user namespaces",
                         {}});
    }
    const std::string enforce = admin::kernel_text("/sys/fs/selinux/enforce");
    if (enforce == "1") {
        found.push_back({"lsm.selinux", Severity::note,
                         "SELinux is enforcing: files that containers use need labels that it lets them use",
                         "sudo restorecon -RF /usr/local/libexec/locald"});
    } else if (!enforce.empty()) {
        found.push_back({"lsm.selinux", Severity::ok, "SELinux is permissive", {}});
    }
    if (found.empty()) found.push_back({"lsm.none", Severity::ok, "neither AppArmor nor SELinux is on", {}});
    return found;
}

std::vector<Finding> directory_user_findings() {
    const uid_t uid = ::geteuid();
    if (uid == 0 || !posix::user_name(uid).empty()) return {};
    const std::string number = std::to_string(uid);
    const std::string subuid = text_of("/etc/subuid");
    const std::string subgid = text_of("/etc/subgid");
    const bool has_both = !posix::parse_subid(subuid, "", uid).empty() && !posix::parse_subid(subgid, "", uid).empty();
    if (has_both)
        return {
            {"ids.directory", Severity::ok, "user " + number + " is not in /etc/passwd and has ranges by number", {}}};
    const passwd* entry = ::getpwuid(uid);  // through NSS, as only a directory knows him
    const std::string name = entry != nullptr ? entry->pw_name : "";
    const auto by_name = name.empty() ? std::vector<posix::IdRange>() : posix::parse_subid(subuid, name, uid);
    if (by_name.empty()) {
        return {{"ids.directory", Severity::warning,
                 "user " + number + " is not in /etc/passwd and has no ranges by number in /etc/subuid and /etc/subgid",
                 "sudo locald admin setup --write-subids"}};
    }
    const std::string range = std::to_string(by_name.front().first) + ":" + std::to_string(by_name.front().count);
    return {{"ids.directory", Severity::warning,
             "user " + number + " is not in /etc/passwd, so the lines of /etc/subuid with the name " + name +
                 " are not his here",
             "give the range by number in both files: " + number + ":" + range}};
}

std::vector<Finding> shared_range_findings() {
    const std::string number = std::to_string(::geteuid());
    const std::string name = posix::user_name(::geteuid());
    std::vector<Finding> found;
    for (const char* path : {"/etc/subuid", "/etc/subgid"}) {
        for (const auto& overlap : posix::subid_overlaps_in(path)) {
            const auto is_own = [&](const std::string& owner) { return owner == number || owner == name; };
            if (!is_own(overlap.one) && !is_own(overlap.other)) continue;
            found.push_back(
                {"ids.shared", Severity::warning,
                 std::string(path) + ": " + overlap.str() + ": containers of either can change the other's files",
                 "root gives one of them a range of his own, as `" + posix::subid_command("USER") +
                     "`, and takes the shared line out"});
            break;
        }
    }
    return found;
}

std::vector<Finding> controller_findings(const std::optional<ShimRights>& rights) {
    if (!is_pure_cgroup_v2() || rights != ShimRights::setuid) return {};
    std::string base = "/sys/fs/cgroup/system.slice/locald.service";
    std::string above = base;  // systemd hands on what it knows, which hugetlb is not among
    if (::access(base.c_str(), F_OK) != 0) {
        base = "/sys/fs/cgroup/locald";
        above = "/sys/fs/cgroup";
    }
    const std::string available = admin::kernel_text(above + "/cgroup.controllers");
    const std::string enabled = admin::kernel_text(base + "/cgroup.subtree_control");
    const auto has = [](const std::string& text, const char* word) {
        const auto words = split(text, ' ');
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    std::string missing;
    for (const char* name : {"memory", "pids", "cpu", "io", "cpuset", "hugetlb"}) {
        if (has(available, name) && !has(enabled, name)) missing.append(missing.empty() ? "" : " ").append(name);
    }
    if (missing.empty()) {
        return {{"cgroup.controllers",
                 Severity::ok,
                 "the cgroups of containers have every controller that " + above + " has",
                 {}}};
    }
    return {{"cgroup.controllers", Severity::warning,
             "the cgroups of users in " + base + " lack the controllers " + missing + ", so their limits are refused",
             "sudo locald admin setup"}};
}

}  // namespace locald::backends
