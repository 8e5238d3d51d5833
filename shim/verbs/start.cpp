#include <signal.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/report.hpp"
#include "shim/base/sync.hpp"
#include "shim/container/hooks.hpp"
#include "shim/container/notify.hpp"
#include "shim/container/start_socket.hpp"
#include "shim/container/state.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

void check_startable(StateDir& dir, const Record& record) {
    const std::string status = dir.status(record);
    if (status == "created") return;
    std::string text = "cannot start a container in the " + status + " state";
    if (status == "stopped") text = "cannot start a container that has stopped";
    if (status == "running") text = "cannot start an already running container";
    throw Error(ErrorKind::invalid, dir.id() + ": " + text);
}

void end(const UniqueFd& process) {
    if (!process) return;
    posix::pidfd_send_signal(process, SIGKILL);
    wait_for_end(process);
}

/// Sees the waiting process through to its program. End of file is execve, which closes the socket; what fails before
/// says so.
void let_go(const UniqueFd& socket) {
    send(socket, Sync::execute);
    const Reporter report(-1);
    Message message;
    while (receive(socket, message)) {
        if (message.kind == Sync::failed) throw error_of(message);
        if (message.kind == Sync::warning) report.warning(message.payload);
    }
}

/// What is left to do when the program runs.
struct Begun {
    pid_t pid = -1;
    UniqueFd process;
    NotifyRelay notify;
};

Begun begin(StateDir dir) {
    check_startable(dir, dir.read());
    dir.wait_for_lock();
    Record record = dir.read();
    check_startable(dir, record);
    if (!record.process) {
        throw Error(ErrorKind::invalid, "start " + dir.id() + ": process property must not be empty")
            .with_remedy("the configuration it was created from has no process; create it from one that has");
    }
    Begun begun{record.state.pid, open_process(record), {}};
    const UniqueFd socket = connect_to_waiting(dir.handle());
    if (!begun.process || !socket) {
        throw Error(ErrorKind::invalid, dir.id() + ": cannot start a container that has stopped");
    }
    const std::string host = notify_host();
    if (!host.empty()) begun.notify = {dir.handle(), host};
    let_go(socket);
    record.state.status = "running";
    dir.write(record);
    if (!record.poststart) return begun;
    try {
        const oci::Spec spec = dir.read_spec();
        const HookOutputs outputs = open_hook_outputs(record.state.annotations);
        if (spec.hooks) run_hooks(spec.hooks->poststart, "poststart", oci::to_hook_json(record.state), outputs);
    } catch (const Error&) {
        end(begun.process);
        throw;
    }
    return begun;
}

int start_container(const Globals& globals, Walker& walker) {
    for (std::string name; walker.next_option(name);) walker.unknown();
    walker.need_exactly(1);
    const std::string& id = walker.arguments()[0];
    check_container_id(id);
    Begun begun = begin(find_state(globals.root, id));
    begun.notify.wait(begun.pid, begun.process, -1);
    return 0;
}

}  // namespace

const Verb start_verb{"start", "  start ID                           run the program of a created container\n",
                      "Usage: locald-shim [OPTION...] start ID\n"
                      "\n"
                      "Runs the program of a container that `create` made.\n",
                      start_container};

}  // namespace locald::shim
