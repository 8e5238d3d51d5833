#include <signal.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup.hpp"
#include "shim/signals.hpp"
#include "shim/state.hpp"
#include "shim/verbs.hpp"

namespace locald::shim {

int kill_container(const Options& options) {
    check_container_id(options.id);
    const int number = parse_signal(options.signal);
    const posix::UniqueFd root = open_root(options.root, false);
    StateDir dir = StateDir::open(root, options.id);
    const Record record = dir.read();
    const posix::UniqueFd process = open_process(record);
    if (!process) {
        if (options.all) return 0;
        throw Error(ErrorKind::invalid, options.id + ": container not running");
    }
    if (!options.all) {
        if (!posix::pidfd_send_signal(process, number)) {
            throw Error(ErrorKind::invalid, options.id + ": container not running");
        }
        return 0;
    }
    const Cgroup cgroup = Cgroup::from_paths(record.cgroups);
    if (number == SIGKILL && !cgroup.paths().empty()) {
        cgroup.kill_all();
        return 0;
    }
    const auto processes = cgroup.processes();
    for (const pid_t pid : processes) {
        try {
            posix::pidfd_send_signal(posix::pidfd_open(pid), number);
        } catch (const Error& e) {
            if (e.os_errno() != ESRCH) throw;
        }
    }
    if (processes.empty()) posix::pidfd_send_signal(process, number);
    return 0;
}

}  // namespace locald::shim
