#include "shim/namespaces.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

namespace {

struct Type {
    std::string_view name;
    std::uint64_t flag;
};
constexpr std::array types{
    Type{"pid", CLONE_NEWPID},       Type{"network", CLONE_NEWNET}, Type{"ipc", CLONE_NEWIPC},
    Type{"uts", CLONE_NEWUTS},       Type{"mount", CLONE_NEWNS},    Type{"user", CLONE_NEWUSER},
    Type{"cgroup", CLONE_NEWCGROUP}, Type{"time", CLONE_NEWTIME},
};

}  // namespace

bool NamespacePlan::has(std::uint64_t flag) const noexcept { return is_new(flag) || find_joined(flag) != nullptr; }

const JoinedNamespace* NamespacePlan::find_joined(std::uint64_t flag) const noexcept {
    const auto found = std::find_if(joined.begin(), joined.end(), [&](const auto& j) { return j.flag == flag; });
    return found == joined.end() ? nullptr : &*found;
}

std::uint64_t NamespacePlan::clone_flags() const noexcept {
    return fresh & ~static_cast<std::uint64_t>(CLONE_NEWCGROUP | CLONE_NEWTIME);
}

std::uint64_t namespace_flag(const std::string& type) {
    for (const auto& entry : types) {
        if (entry.name == type) return entry.flag;
    }
    return 0;
}

std::vector<std::string> known_namespaces() {
    std::vector<std::string> names;
    for (const auto& entry : types) names.emplace_back(entry.name);
    return names;
}

NamespacePlan plan_namespaces(const oci::Linux& config) {
    NamespacePlan plan;
    for (const auto& entry : config.namespaces) {
        const std::uint64_t flag = namespace_flag(entry.type);
        if (entry.path.empty()) {
            plan.fresh |= flag;
            continue;
        }
        JoinedNamespace joined{flag, entry.type, entry.path, {}};
        in_step("join the " + entry.type + " namespace", [&] { joined.fd = posix::open(entry.path, O_RDONLY); });
        const int found = ::ioctl(joined.fd.get(), NS_GET_NSTYPE);
        if (found < 0 || static_cast<std::uint64_t>(found) != flag) {
            throw Error(ErrorKind::invalid, "join the " + entry.type + " namespace: " + entry.path + " is not a " +
                                                entry.type + " namespace");
        }
        plan.joined.push_back(std::move(joined));
    }
    // The user namespace first: its rights decide whether the others may be joined.
    std::stable_partition(plan.joined.begin(), plan.joined.end(),
                          [](const auto& j) { return j.flag == CLONE_NEWUSER; });
    return plan;
}

void join_namespace(const JoinedNamespace& joined) {
    if (::setns(joined.fd.get(), static_cast<int>(joined.flag)) != 0) {
        throw_errno(errno, "join the ", joined.type, " namespace ", joined.path);
    }
}

void enter_new_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets) {
    if (::unshare(CLONE_NEWTIME) != 0) throw_errno(errno, "make a time namespace");
    if (!offsets.empty()) {
        std::string text;
        for (const auto& [clock, offset] : offsets) {
            text += clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs) + "\n";
        }
        const posix::UniqueFd file = posix::open("/proc/self/timens_offsets", O_WRONLY);
        posix::write_all(file, text, "/proc/self/timens_offsets");
    }
    const posix::UniqueFd own = posix::open("/proc/self/ns/time_for_children", O_RDONLY);
    if (::setns(own.get(), CLONE_NEWTIME) != 0) throw_errno(errno, "enter the new time namespace");
}

void become_namespace_root() {
    // EINVAL: nobody is 0 in here (`--userns keep-id` without grants); all rights are held by any id that made it.
    if (::setresgid(0, 0, 0) != 0 && errno != EINVAL) throw_errno(errno, "become group 0 of the user namespace");
    if (::setresuid(0, 0, 0) != 0 && errno != EINVAL) throw_errno(errno, "become user 0 of the user namespace");
}

}  // namespace locald::shim
