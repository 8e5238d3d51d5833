#include <signal.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/container/state.hpp"
#include "shim/options/signals.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

[[noreturn]] void not_running(const std::string& id) {
    throw Error(ErrorKind::invalid, id + ": container not running");
}

/// The end of a pid namespace's first process is the end of all in it. Without one of its own others would be left.
bool ends_with_first(const StateDir& dir) {
    const oci::Spec spec = dir.read_spec();
    for (const auto& entry : spec.get_linux().namespaces) {
        if (entry.type == "pid") return entry.path.empty();
    }
    return false;
}

void signal_first(const std::string& id, const Record& record, const posix::UniqueFd& process, int number) {
    if (!process || !posix::pidfd_send_signal(process, number)) not_running(id);
    // On v1 nothing dies while it is frozen.
    if (number == SIGKILL && is_frozen(record.cgroups)) Cgroup::from_paths(record.cgroups).thaw();
}

void signal_each(const Cgroup& cgroup, const posix::UniqueFd& process, int number) {
    const auto processes = cgroup.processes();
    for (const pid_t pid : processes) {
        try {
            posix::pidfd_send_signal(posix::pidfd_open(pid), number);
        } catch (const Error& e) {
            if (e.os_errno() != ESRCH) throw;
        }
    }
    if (processes.empty()) posix::pidfd_send_signal(process, number);
}

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
    StateDir dir = find_state(globals.root, id);
    const Record record = dir.read();
    const posix::UniqueFd process = open_process(record);
    if (!process && all) return 0;
    const bool everything = all || (number == SIGKILL && dir.cgroups_made() && !ends_with_first(dir));
    const Cgroup cgroup = Cgroup::from_paths(everything ? record.cgroups : std::vector<std::string>());
    if (!everything || cgroup.paths().empty()) {
        signal_first(id, record, process, number);
    } else if (number == SIGKILL) {
        if (!process && cgroup.processes().empty()) not_running(id);
        cgroup.kill_all();
    } else {
        signal_each(cgroup, process, number);
    }
    return 0;
}

}  // namespace

const Verb kill_verb{
    "kill",
    "  kill ID [SIGNAL]                   send a signal (default TERM) to the container's first process\n",
    "Usage: locald-shim [OPTION...] kill [-a|--all] ID [SIGNAL]\n"
    "\n"
    "Sends SIGNAL (a name with or without SIG, or a number; default TERM) to the container's first process. KILL goes "
    "to\n"
    "every process of a container that has no pid namespace of its own, and ends a paused one too.\n"
    "\n"
    "  -a, --all   to every process of the container\n",
    kill_container,
    2,
    true};

}  // namespace locald::shim
