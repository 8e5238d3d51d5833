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

namespace {

int kill_container(const Globals& globals, Walker& walker) {
    bool all = false;
    for (std::string name; walker.next_option(name);) {
        if (name != "-a" && name != "--all") walker.unknown();
        all = walker.flag();
    }
    walker.need_at_least(1);
    walker.need_at_most(2);
    const auto& arguments = walker.arguments();
    const std::string& id = arguments[0];
    check_container_id(id);
    const int number = parse_signal(arguments.size() > 1 ? arguments[1] : "TERM");
    const posix::UniqueFd root = open_root(globals.root, false);
    StateDir dir = StateDir::open(root, id);
    const Record record = dir.read();
    const posix::UniqueFd process = open_process(record);
    if (!process) {
        if (all) return 0;
        throw Error(ErrorKind::invalid, id + ": container not running");
    }
    if (!all) {
        if (!posix::pidfd_send_signal(process, number)) {
            throw Error(ErrorKind::invalid, id + ": container not running");
        }
        // On v1 nothing dies while it is frozen.
        if (number == SIGKILL && is_frozen(record.cgroups)) Cgroup::from_paths(record.cgroups).thaw();
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

}  // namespace

const Verb kill_verb{
    "kill", "  kill ID [SIGNAL]                   send a signal (default TERM) to the container's first process\n",
    "Usage: locald-shim [OPTION...] kill [-a|--all] ID [SIGNAL]\n"
    "\n"
    "Sends SIGNAL (a name with or without SIG, or a number; default TERM) to the container's first process.\n"
    "  -a, --all   to every process of the container\n",
    kill_container};

}  // namespace locald::shim
