#include "shim/process/program.hpp"

#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/capabilities.hpp"
#include "shim/base/sync.hpp"
#include "shim/mounts/rootfs.hpp"
#include "shim/process/lsm.hpp"
#include "shim/process/terminal.hpp"
#include "shim/start/weakness.h"

namespace locald::shim {

namespace {

bool try_working_directory(const std::string& cwd) {
    try {
        enter_working_directory(cwd);
        return true;
    } catch (const Error& e) {
        if (e.os_errno() == EACCES) return false;
        throw;
    }
}

/// setresuid cleared the effective set and, by KEEPCAPS, left the permitted one.
void raise_permitted() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) throw_errno(errno, "read capabilities");
    for (auto& word : data) word.effective = word.permitted;
    if (::syscall(SYS_capset, &header, data.data()) != 0) throw_errno(errno, "raise capabilities");
}

/// The program starts with every signal at its default and none blocked, whatever our caller ignored.
void reset_signals() {
    for (int number = 1; number < NSIG; ++number) {
        if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void set_attributes(const ProgramPlan& plan) {
    const oci::Process& process = plan.process;
    set_rlimits(process.rlimits);
    if (process.scheduler) set_scheduler(*process.scheduler);
    if (process.io_priority) set_io_priority(*process.io_priority);
    if (plan.config.personality) set_personality(*plan.config.personality);
    if (plan.config.memory_policy) set_memory_policy(*plan.config.memory_policy);
    if (plan.lsm_procfs != nullptr) set_exec_label(process, *plan.lsm_procfs);
    own_standard_streams(process.user);
}

/// sd_listen_fds(3): the descriptors are for the process that LISTEN_PID names, by the number it has for itself.
oci::Process with_listen_fds(oci::Process process, unsigned count) {
    process.env.push_back("LISTEN_FDS=" + std::to_string(count));
    process.env.push_back("LISTEN_PID=" + std::to_string(::getpid()));
    return process;
}

}  // namespace

bool keeps_groups(const oci::Annotations& annotations) {
    const auto found = annotations.find("run.oci.keep_original_groups");
    return found != annotations.end() && found->second != "0";
}

Execution become_program(const ProgramPlan& plan) {
    const oci::Process& process = plan.process;
    set_attributes(plan);
    CapabilitySets sets;
    std::vector<std::string> warnings;
    if (process.capabilities) sets = parse_capabilities(*process.capabilities, warnings);
    for (const auto& text : warnings) plan.warn(text);
    // Entered with root's rights first; where root may not look (a network file system) the user tries again.
    const bool entered = try_working_directory(process.cwd);
    drop_bounding(sets);
    set_user(process.user, plan.keep_groups);
    if (!entered) enter_working_directory(process.cwd);
    plan.ids_changed();
    posix::cloexec_from(plan.handed.end());
    // The filter may forbid any call: what can be done before it is loaded is done before.
    Execution execution = plan.handed.listening == 0
                              ? prepare_execution(process)
                              : prepare_execution(with_listen_fds(process, plan.handed.listening));
    reset_signals();
    if (process.no_new_privileges) {
        apply_capabilities(sets);
        set_no_new_privileges();
        if (plan.load_filter) plan.load_filter();
    } else {
        // Without no_new_privs only CAP_SYS_ADMIN may load a filter, so it goes before the last rights do.
        raise_permitted();
        if (plan.load_filter) plan.load_filter();
        apply_capabilities(sets);
    }
    return execution;
}

void new_session_keyring(const std::string& name, const oci::Process& process, const posix::UniqueFd& lsm_procfs) {
    const KeyLabel label(process, lsm_procfs);
    new_session_keyring(name);
}

void die_with_parent(const posix::UniqueFd& sync) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) throw_errno(errno, "set the parent-death signal");
    if (locald_weak("weak-parent")) return;
    check_peer(sync);  // the parent that died before this line sends no signal any more
}

void live_on() {
    if (::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) != 0) throw_errno(errno, "clear the parent-death signal");
}

}  // namespace locald::shim
