#include "shim/container/child.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/sync.hpp"
#include "shim/container/hooks.hpp"
#include "shim/container/start_socket.hpp"
#include "shim/mounts/bind_sources.hpp"
#include "shim/mounts/cgroup_mount.hpp"
#include "shim/mounts/devices.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/mounts/masks.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/procfs.hpp"
#include "shim/mounts/rootfs.hpp"
#include "shim/mounts/shared_root.hpp"
#include "shim/namespaces/loopback.hpp"
#include "shim/process/lsm.hpp"
#include "shim/process/own_program.hpp"
#include "shim/process/process.hpp"
#include "shim/process/program.hpp"
#include "shim/process/terminal.hpp"
#include "shim/seccomp/agent.hpp"
#include "shim/seccomp/packet.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// The steps in their order, with what passes from one to the next.
class Child {
public:
    Child(ChildPlan& plan, UniqueFd& sync)
        : plan_(plan), spec_(plan.spec), config_(*plan.spec.linux_), process_(process_of(plan.spec)), sync_(sync) {}

    [[noreturn]] void run() {
        die_with_parent(sync_);
        if (::setsid() < 0) throw_errno(errno, "make a session");
        enter_namespaces();
        build_root();
        make_keyring();
        runtime_hooks();
        enter_root();
        const std::string filter = plan_.fate == Fate::created ? park() : wait_for(sync_, Sync::execute);
        start_hooks();
        const Execution execution = become_user(filter);
        execute(execution);
    }

private:
    static const oci::Process& process_of(const oci::Spec& spec) {
        static const oci::Process none;
        return spec.process ? *spec.process : none;
    }

    static bool mounts_cgroups(const oci::Spec& spec) {
        return std::any_of(spec.mounts.begin(), spec.mounts.end(), [](const auto& m) { return m.type == "cgroup"; });
    }

    bool fresh(std::uint64_t flag) const noexcept { return plan_.namespaces.is_new(flag); }

    void enter_namespaces() {
        if (fresh(CLONE_NEWUSER)) wait_for(sync_, Sync::mapped);
        if (plan_.namespaces.network && ::setns(plan_.namespaces.network.get(), CLONE_NEWNET) != 0) {
            throw_errno(errno, "enter the network namespace");
        }
        join_remaining(plan_.namespaces);
        const bool in_user_namespace = plan_.namespaces.has(CLONE_NEWUSER);
        if (!fresh(CLONE_NEWUSER)) {
            // Others may be in the namespaces that were joined: nobody there may trace us or open our descriptors. In a
            // new user namespace nobody else is, and there an undumpable process could not write its own /proc files.
            if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno(errno, "become undumpable");
        }
        // With the ids that the process's own files in /proc belong to.
        if (fresh(CLONE_NEWTIME)) enter_new_time_namespace(config_.time_offsets);
        if (fresh(CLONE_NEWNS)) {
            make_own_mounts(in_user_namespace);
        } else {
            if (const auto* joined = plan_.namespaces.find_joined(CLONE_NEWNS)) join_namespace(*joined);
            share_mounts(in_user_namespace);
        }
        if (fresh(CLONE_NEWIPC) && in_user_namespace && ::unshare(CLONE_NEWIPC) != 0) {
            throw_errno(errno, "make an ipc namespace");
        }
        if (fresh(CLONE_NEWNET) && !plan_.namespaces.network) bring_loopback_up();
        if (!spec_.hostname.empty() && ::sethostname(spec_.hostname.data(), spec_.hostname.size()) != 0) {
            throw_errno(errno, "set hostname ", spec_.hostname);
        }
        if (!spec_.domainname.empty() && ::setdomainname(spec_.domainname.data(), spec_.domainname.size()) != 0) {
            throw_errno(errno, "set domainname ", spec_.domainname);
        }
    }

    void become_root() {
        // A cgroup of version 1 takes from an ordinary user only processes with his own id: no other is taken before.
        if (locald_rights.user_namespace >= 0) wait_attached();
        become_namespace_root();
        die_with_parent(sync_);  // a change of ids clears it
    }

    void make_own_mounts(bool in_user_namespace) {
        isolate_mounts(spec_);
        if (in_user_namespace) open_bind_sources();
        root_ = mount_root(spec_, plan_.bundle);
        if (in_user_namespace) become_root();
        mounts_ = true;
    }

    /// The sources may lie where only the caller himself may look: they are opened before his id is given up.
    void open_bind_sources() {
        more_descriptors_.emplace(plan_.mounts.size());
        plan_.bind_sources->open(plan_.mounts);
    }

    void share_mounts(bool in_user_namespace) {
        UniqueFd place = open_root_directory(spec_, plan_.bundle);
        mounts_ = wants_shared_root(spec_);
        if (mounts_) {
            if (in_user_namespace) open_bind_sources();
            root_ = make_shared_root(spec_, place);
            // Remembered before it is there: whoever is killed now leaves a state that knows what to take away.
            send(sync_, Sync::root, describe_shared_root(root_, place));
            wait_for(sync_, Sync::recorded);
            attach_shared_root(root_, place);
        } else {
            root_ = std::move(place);
        }
        if (in_user_namespace) become_root();
    }

    /// In a namespace that is shared nothing was cut off at first: each bind is.
    unsigned long bind_propagation() const {
        return fresh(CLONE_NEWNS) ? default_bind_propagation(spec_) : static_cast<unsigned long>(MS_PRIVATE);
    }

    void wait_attached() {
        if (plan_.wait_attached) wait_for(sync_, Sync::attached);
        plan_.wait_attached = false;
    }

    CgroupView cgroup_view() const {
        if (plan_.namespaces.has(CLONE_NEWCGROUP)) return CgroupView::own_namespace;
        if (plan_.namespaces.has(CLONE_NEWUSER) || !mounts_cgroups(spec_)) return CgroupView::read_only;
        // The runtime itself may be in a user namespace, under an engine that an ordinary user runs.
        constexpr ino_t first_user_namespace = 0xEFFFFFFD;  // as the kernel has it since 3.8, for all to know
        struct stat st {};
        const bool first = ::stat("/proc/self/ns/user", &st) == 0 && st.st_ino == first_user_namespace;
        return first ? CgroupView::hosts : CgroupView::read_only;
    }

    void enter_cgroups() {
        wait_attached();
        if (fresh(CLONE_NEWCGROUP) && !has_cgroup_namespace_) {
            if (mounts_cgroups(spec_)) note_own_hierarchies();
            if (::unshare(CLONE_NEWCGROUP) != 0) throw_errno(errno, "make a cgroup namespace");
            has_cgroup_namespace_ = true;
        }
    }

    void write_sysctls_by(const UniqueFd& proc) {
        if (sysctls_written_ || config_.sysctl.empty()) return;
        write_sysctls(config_, proc);
        sysctls_written_ = true;
    }

    void build_root() {
        ::umask(022);
        if (!config_.net_devices.empty()) enter_cgroups();  // they come before it: a sysctl may name one
        make_mounts(plan_.mounts, MountPlace{root_, [this] { enter_cgroups(); }, cgroup_view(), bind_propagation(),
                                             [this](const UniqueFd& proc) { write_sysctls_by(proc); }});
        more_descriptors_.reset();
        if (!sysctls_written_ && !config_.sysctl.empty()) write_sysctls_by(make_own_procfs());
        if (mounts_ && wants_devices(spec_)) make_devices(root_, spec_, plan_.namespaces.has(CLONE_NEWUSER));
        if (process_.terminal) {
            terminal_ = open_terminal(root_, process_.console_size);
            if (mounts_) bind_console(root_, terminal_.slave);
        }
        make_directory_in_root(root_, process_.cwd);
        enter_cgroups();
    }

    /// Before any program of the configuration's or the image's: hooks inside are such as well.
    void make_keyring() {
        if (wants_lsm(process_)) lsm_procfs_ = open_lsm_procfs();
        if (plan_.new_keyring) new_session_keyring(plan_.state.id, process_, lsm_procfs_);
    }

    void runtime_hooks() {
        if (plan_.tell_mounted) {
            send(sync_, Sync::mounted);
            wait_for(sync_, Sync::hooked);
        }
        if (spec_.hooks && !spec_.hooks->create_container.empty()) {
            plan_.state.pid = ::getpid();
            run_hooks(spec_.hooks->create_container, "createContainer", oci::to_hook_json(plan_.state),
                      *plan_.hook_outputs);
        }
    }

    void enter_root() {
        finish_mounts(plan_.mounts);
        make_paths_readonly(root_, config_.readonly_paths);
        mask_paths(root_, config_.masked_paths);
        if (spec_.root && spec_.root->readonly) {
            change_mount(root_, false, MOUNT_ATTR_RDONLY, 0, 0, "make the root filesystem read-only");
        }
        if (!fresh(CLONE_NEWNS)) {
            chroot_into(root_);
        } else if (plan_.no_pivot) {
            move_into(root_);
        } else {
            pivot_into(root_, spec_);
        }
        set_root_propagation(config_.rootfs_propagation);
        if (process_.terminal) {
            const UniqueFd console(plan_.console_fd);
            send_master(console, terminal_);
            enter_terminal(terminal_);
            terminal_ = {};
        }
    }

    /// All is made; waits for `start`, whoever that will be. Nothing of the runtime's is held meanwhile: no descriptor
    /// but the socket, no memory that another in the container may read.
    std::string park() {
        std::string filter = wait_for(sync_, Sync::park);
        require_program(process_);
        if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno(errno, "become undumpable");
        live_on();
        end_by_signal();
        close_all_but({plan_.start_fd, plan_.seccomp_agent.get(), lsm_procfs_.get(), sync_.get(),
                       plan_.hook_outputs->out.get(), plan_.hook_outputs->err.get()});
        send(sync_, Sync::parked);
        sync_.reset();
        sync_ = await_start(UniqueFd(plan_.start_fd));
        return filter;
    }

    /// The handles that own what is closed are never destroyed: the program replaces them, or _exit ends them.
    void close_all_but(std::vector<int> kept) const {
        std::sort(kept.begin(), kept.end());
        unsigned first = plan_.handed.end();
        for (const int fd : kept) {
            if (fd < static_cast<int>(first)) continue;
            const auto at = static_cast<unsigned>(fd);
            if (at > first) ::syscall(SYS_close_range, first, at - 1, 0);
            first = at + 1;
        }
        ::syscall(SYS_close_range, first, ~0U, 0);
    }

    /// A container that waits ends by the signals that would end its program. The first process of a pid namespace gets
    /// only those that it handles.
    static void end_by_signal() {
        sigset_t asked;
        ::sigemptyset(&asked);
        for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2}) {
            ::signal(number, [](int caught) { ::_exit(128 + caught); });
            ::sigaddset(&asked, number);
        }
        ::sigprocmask(SIG_UNBLOCK, &asked, nullptr);
    }

    void start_hooks() {
        if (!spec_.hooks || spec_.hooks->start_container.empty()) return;
        plan_.state.pid = ::getpid();
        plan_.state.status = "created";
        run_hooks(spec_.hooks->start_container, "startContainer", oci::to_hook_json(plan_.state), *plan_.hook_outputs);
    }

    Execution become_user(const std::string& filter) {
        Execution execution = become_program({process_, config_, plan_.handed,
                                              [this] {
                                                  if (plan_.fate == Fate::foreground) {
                                                      die_with_parent(sync_);
                                                  } else {
                                                      live_on();
                                                  }
                                              },
                                              [this](const std::string& text) { send(sync_, Sync::warning, text); },
                                              filter.empty() ? std::function<void()>() : [&] { load(filter); },
                                              keeps_groups(spec_.annotations), &lsm_procfs_});
        plan_.executing.set();
        return execution;
    }

    void load(const std::string& filter) {
        const auto packet = unpack_filter(filter);
        plan_.state.pid = packet.pid;  // as the runtime sees it, not as we do
        load_seccomp_for_agent(packet.filter, plan_.seccomp_agent, seccomp_agent_message(spec_, plan_.state));
        plan_.seccomp_agent.reset();
    }

    ChildPlan& plan_;
    const oci::Spec& spec_;
    const oci::Linux& config_;
    const oci::Process& process_;
    UniqueFd& sync_;
    UniqueFd root_;
    std::optional<MoreDescriptors> more_descriptors_;  ///< while the sources of all binds are open
    UniqueFd lsm_procfs_;
    Terminal terminal_;
    bool mounts_ = false;  ///< there is a mount of the container's own to mount on
    bool has_cgroup_namespace_ = false;
    bool sysctls_written_ = false;
};

}  // namespace

void container_main(ChildPlan& plan, UniqueFd& sync) {
    close_program_mount();
    try {
        try {
            Child(plan, sync).run();
        } catch (const Error& e) {
            plan.executing.fail(e.os_errno() != 0 ? e.os_errno() : EIO);
            send_error(sync, e);
        } catch (const std::exception& e) {
            send_error(sync, Error(ErrorKind::system, e.what()));
        }
    } catch (...) {
        // The parent is gone; nobody is left to tell.
    }
    end_process(125);
}

}  // namespace locald::shim
