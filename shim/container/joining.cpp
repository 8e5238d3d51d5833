#include "shim/container/joining.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/sync.hpp"
#include "shim/mounts/rootfs.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/process/lsm.hpp"
#include "shim/process/own_program.hpp"
#include "shim/process/program.hpp"
#include "shim/process/terminal.hpp"
#include "shim/seccomp/agent.hpp"
#include "shim/seccomp/packet.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// By its own devpts, as the container's first terminal was.
void take_terminal(const JoinPlan& plan) {
    const UniqueFd root = posix::open("/", O_PATH | O_DIRECTORY);
    const Terminal terminal = open_terminal(root, plan.process.console_size);
    send_master(UniqueFd(plan.console_fd), terminal);
    enter_terminal(terminal);
}

void load(JoinPlan& plan) {
    const auto packet = unpack_filter(plan.filter);
    load_seccomp_for_agent(packet.filter, plan.seccomp_agent, seccomp_agent_message(plan.spec, plan.state));
    plan.seccomp_agent.reset();
}

[[noreturn]] void join(JoinPlan& plan, const UniqueFd& sync) {
    const auto live = [&] {
        if (plan.detached) {
            live_on();
        } else {
            die_with_parent(sync);
        }
    };
    die_with_parent(sync);
    if (::setsid() < 0) throw_errno(errno, "make a session");
    if (plan.wait_attached) wait_for(sync, Sync::attached);
    if (plan.cgroup_namespace_of != nullptr && ::setns(plan.cgroup_namespace_of->get(), CLONE_NEWCGROUP) != 0) {
        throw_errno(errno, "join the container's cgroup namespace");
    }
    if (plan.root) chroot_into(plan.root);
    for (const auto& entry : plan.spec.get_linux().namespaces) {
        if (entry.type == "user") become_namespace_root();
    }
    if (plan.process.exec_cpu_affinity) {
        set_cpu_affinity(plan.process.exec_cpu_affinity->final_, "process.execCPUAffinity.final");
    }
    const UniqueFd lsm_procfs = wants_lsm(plan.process) ? open_lsm_procfs() : UniqueFd();
    if (plan.new_keyring) new_session_keyring(plan.state.id, plan.process, lsm_procfs);
    if (plan.process.terminal) take_terminal(plan);
    const Execution execution = become_program({plan.process, plan.spec.get_linux(), plan.handed, live,
                                                [&](const std::string& text) { send(sync, Sync::warning, text); },
                                                plan.filter.empty() ? std::function<void()>() : [&] { load(plan); },
                                                keeps_groups(plan.state.annotations), &lsm_procfs});
    plan.executing.set();
    execute(execution);
}

}  // namespace

void joining_main(JoinPlan& plan, const UniqueFd& sync) {
    close_program_mount();
    try {
        try {
            join(plan, sync);
        } catch (const Error& e) {
            plan.executing.fail(e.os_errno() != 0 ? e.os_errno() : EIO);
            send_error(sync, e);
        } catch (const std::exception& e) {
            send_error(sync, Error(ErrorKind::system, e.what()));
        }
    } catch (...) {
        // The parent is gone; nobody is left to tell.
    }
    end_process(255);
}

}  // namespace locald::shim
