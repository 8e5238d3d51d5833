#include "shim/cgroup/user_limits.hpp"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/dir.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

namespace {

/// user-<uid> of a version 1 hierarchy; empty where the prologue made none.
CgroupDir user_dir(const char* controller) {
    if (locald_rights.mode != locald_was_setuid) return {};
    const CgroupMount* mount = cgroup_host().v1(controller);
    if (mount == nullptr) return {};
    for (const char* base : {"/system.slice/locald.service", "/locald"}) {
        auto dir = CgroupDir::open(cgroup_host(), mount->mount_point + base + "/user-" + std::to_string(::getuid()));
        if (dir) return dir;
    }
    return {};
}

}  // namespace

void check_pids_of_user() {
    const auto dir = user_dir("pids");
    const std::string most = dir ? dir.read("pids.max").value_or("") : "",
                      now = dir ? dir.read("pids.current").value_or("") : "";
    const auto limit = parse_u64(trim(most)), count = parse_u64(trim(now));
    if (!limit || !count || *count <= *limit) return;
    throw Error(ErrorKind::unavailable, "pids.max of " + dir.path() + " is " + std::to_string(*limit) +
                                            ", and your containers have as many processes already")
        .with_remedy("end one, or let root raise `pids` in /etc/locald/shim.conf");
}

void stay_within_user_limits(pid_t pid) {
    for (const char* controller : {"pids", "memory", "cpuacct", "freezer"}) {
        const auto dir = user_dir(controller);
        if (!dir) continue;
        if (const int err = dir.write("cgroup.procs", std::to_string(pid)); err != 0) {
            throw_errno(err, "move process ", std::to_string(pid), " to ", dir.path(), "/cgroup.procs");
        }
    }
    check_pids_of_user();
}

}  // namespace locald::shim
