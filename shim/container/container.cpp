#include "shim/container/container.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/sync.hpp"
#include "shim/cgroup/intel_rdt.hpp"
#include "shim/cgroup/subgroup.hpp"
#include "shim/cgroup/user_limits.hpp"
#include "shim/container/child.hpp"
#include "shim/container/hooks.hpp"
#include "shim/container/start_socket.hpp"
#include "shim/container/validate.hpp"
#include "shim/mounts/idmapped.hpp"
#include "shim/mounts/rootfs.hpp"
#include "shim/mounts/shared_root.hpp"
#include "shim/namespaces/given_user.hpp"
#include "shim/options/signals.hpp"
#include "shim/process/handed_fds.hpp"
#include "shim/process/idle_memory.hpp"
#include "shim/process/lsm.hpp"
#include "shim/process/oom_score.hpp"
#include "shim/process/own_program.hpp"
#include "shim/seccomp/agent.hpp"
#include "shim/seccomp/config.hpp"
#include "shim/seccomp/packet.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::size_t most_config = 16U << 20U;
/// So long a container must have run before its shim makes itself small: what runs shorter never pays for it.
constexpr int milliseconds_before_rest = 500;

/// config.json is opened once, as a plain file of bounded size: a FIFO or a device must not hang or flood us.
oci::Spec read_config(const std::string& path, EarlyNetwork& network) {
    try {
        const UniqueFd file = posix::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        const struct stat st = posix::fstat(file, path);
        if (!S_ISREG(st.st_mode)) throw Error(ErrorKind::invalid, path + ": not a regular file");
        const std::string text = posix::read_all(file, path, most_config);
        if (::geteuid() == 0 && early_network_likely(text)) network.start();
        return in_step(path, [&] { return oci::parse_spec(text); });
    } catch (Error& e) {
        if (e.os_errno() == ENOENT) e.with_remedy("an OCI bundle is a directory with config.json in it");
        throw;
    }
}

}  // namespace

Container::Container(const Options& options, const Reporter& report) : options_(options), report_(report) {}

Container::~Container() { destroy(); }

std::optional<Ending> Container::run() {
    check_container_id(options_.id);  // before any file is looked at
    signals_ = take_signals();
    load();
    prepare();
    start();
    const std::optional<Ending> ending = supervise();
    if (failure_) throw *failure_;
    if (ending && foreground() && !options_.keep) {
        destroy();
    } else {
        leave();
    }
    return ending;
}

/// From here on the container is no longer ours to remove.
void Container::leave() {
    net_devices_.keep();
    if (!options_.pidfd_socket.empty()) {
        posix::send_fd(connect_to(options_.pidfd_socket, "--pidfd-socket"), "pidfd", child_.process);
    }
    state_dir_.reset();
    if (options_.fate == Fate::detached) notify_.wait(child_.pid, child_.process, signals_.get());
}

void Container::load() {
    bundle_ = in_step("bundle", [&] { return posix::canonical_path(options_.bundle); });
    const std::string path =
        options_.config.starts_with('/') ? options_.config : (bundle_ == "/" ? "" : bundle_) + "/" + options_.config;
    spec_ = read_config(path, early_network_);
    in_step(path, [&] {
        if (spec_.linux_) adopt_given_user_namespace(*spec_.linux_);
        validate(spec_, options_.fate != Fate::created);
        if (options_.no_pivot) check_no_pivot(spec_);
        add_mount_label(spec_);
        namespaces_ = plan_namespaces(*spec_.linux_);
    });
    if (spec_.hooks) hook_outputs_ = open_hook_outputs(spec_.annotations);
    connect_sockets();
}

void Container::connect_sockets() {
    const bool terminal = spec_.process && spec_.process->terminal;
    if (!options_.console_socket.empty()) {
        if (foreground() && !terminal) {
            throw Error(ErrorKind::invalid, "cannot use console socket if runc will not detach or allocate tty");
        }
        if (terminal) console_ = connect_to(options_.console_socket, "--console-socket");
    } else if (terminal && options_.console_fd < 0 && foreground() && options_.own_terminal) {
        auto pair = posix::make_socket_pair();
        master_from_ = std::move(pair.first);
        console_ = std::move(pair.second);
    } else if (terminal && options_.console_fd < 0) {
        throw Error(ErrorKind::invalid,
                    "process.terminal is true, but there is neither --console-socket nor --console-fd: cannot allocate "
                    "tty if runc will detach without setting console socket")
            .with_remedy("give a unix socket, or set process.terminal to false");
    }
}

void Container::prepare() {
    record_ = new_record(spec_, options_.id, bundle_);
    record_.process = spec_.process.has_value();
    record_.keyring = !options_.no_new_keyring;
    if (spec_.hooks) {
        record_.poststart = !spec_.hooks->poststart.empty();
        record_.poststop = !spec_.hooks->poststop.empty();
    }

    state_dir_ = create_state(options_.root, options_.id);  // first: from here on the id is ours
    if (!options_.notify_host.empty()) {
        notify_ = prepare_notify(spec_, state_dir_->handle(), options_, namespaces_.is_new(CLONE_NEWNS));
    }
    std::optional<CgroupWish> wish;
    delegates_ = !options_.cgroups_disabled && !delegated_subgroup(spec_, cgroup_host().layout()).empty();
    if (options_.systemd_cgroup) {
        record_.cgroups = Cgroup::plan_scope(spec_, options_.id, record_.systemd_unit);
    } else if (!options_.cgroups_disabled) {
        record_.cgroups = Cgroup::plan(spec_, options_.id, &wish.emplace());
    }
    if (spec_.linux_->intel_rdt) {
        resctrl_ = find_resctrl();
        record_.resctrl = plan_resctrl(*spec_.linux_->intel_rdt, options_.id, resctrl_);
    }
    state_dir_->write(record_);
    if (options_.fate == Fate::created) start_listener_ = listen_for_start(state_dir_->handle());
    if (options_.systemd_cgroup) {
        cgroup_ = Cgroup::create_scope(spec_, options_.id, record_.cgroups);
    } else if (!options_.cgroups_disabled) {
        cgroup_ = Cgroup::create(spec_, record_.cgroups, std::move(wish));
        state_dir_->mark_cgroups_made();
    }
    report_.warnings(cgroup_.warnings());
}

void Container::start() {
    auto [ours, theirs] = posix::make_socket_pair();
    const bool attach_needed =
        cgroup_.paths().size() > (cgroup_.birth_place() ? 1U : 0U) || keeps_no_cgroup_but_the_users();
    ChildPlan plan{spec_, bundle_, namespaces_, executing_, record_.state};
    plan.fate = options_.fate;
    plan.console_fd = console_ ? console_.get() : options_.console_fd;
    plan.start_fd = start_listener_ ? start_listener_.get() : -1;
    plan.handed = {options_.listen_fds, options_.preserve_fds};
    plan.hook_outputs = &hook_outputs_;
    plan.new_keyring = !options_.no_new_keyring;
    plan.no_pivot = options_.no_pivot;
    plan.seccomp_agent = connect_seccomp_agent(spec_);
    std::vector<std::string> warnings;
    plan.mounts = in_step(bundle_ + "/config.json", [&] { return prepare_mounts(spec_, bundle_, warnings); });
    report_.warnings(warnings);
    plan.bind_sources = &bind_sources_.emplace(namespaces_, plan.mounts);
    plan.tell_mounted =
        delegates_ || (spec_.hooks && !(spec_.hooks->prestart.empty() && spec_.hooks->create_runtime.empty()));
    // Waited for even where CLONE_INTO_CGROUP is expected to do: whether it did is known only afterwards.
    plan.wait_attached =
        attach_needed || (cgroup_.birth_place() && ::geteuid() != 0) || !spec_.linux_->net_devices.empty();

    if (early_network_possible(namespaces_)) namespaces_.network = early_network_.take();
    const InheritedOomScore score(spec_.process ? spec_.process->oom_score_adj : std::nullopt);
    child_ = spawn(namespaces_, cgroup_, [&] {
        ours.reset();
        if (must_be_moved()) plan.wait_attached = true;
        container_main(plan, theirs);
    });
    if (cgroup_.birth_place() && !child_.born_in_cgroup) plan.wait_attached = true;
    theirs.reset();
    console_.reset();
    start_listener_.reset();
    sync_ = std::move(ours);
    try {
        equip(attach_needed, plan.wait_attached, plan.tell_mounted);
    } catch (const Error&) {
        // What fails here fails mostly because the child has ended already; then its own words say why.
        posix::pidfd_send_signal(child_.process, SIGKILL);
        Message message;
        while (receive(sync_, message)) {
            if (message.kind == Sync::failed) throw error_of(message);
        }
        throw;
    }
}

bool Container::keeps_no_cgroup_but_the_users() const {
    return locald_rights.mode == locald_was_setuid && options_.cgroups_disabled;
}

/// In mounts that others have too the child makes one for all of its own: the state knows it before it is attached.
void Container::note_shared_root() {
    bind_sources_->finish();  // the child needs them before
    record_.shared_root = parse_shared_root(wait_for(sync_, Sync::root), spec_);
    state_dir_->write(record_);
    send(sync_, Sync::recorded);
}

/// Gives the child what only we can: its ids, its cgroups, its place in the state.
void Container::equip(bool attach_needed, bool wait_attached, bool tells_mounted) {
    if (namespaces_.is_new(CLONE_NEWUSER)) {
        posix::write_id_maps(child_.pid, to_posix(spec_.linux_->uid_mappings), to_posix(spec_.linux_->gid_mappings));
        send(sync_, Sync::mapped);
    }
    bind_sources_->serve();
    if (wants_shared_root(spec_)) note_shared_root();
    // While the child mounts: nothing of this is needed before its program runs.
    cgroup_.limit();
    state_dir_->keep_spec(spec_);
    if (cgroup_.start_scope(child_.pid)) {
        record_.cgroups = cgroup_.paths();
        state_dir_->mark_cgroups_made();
    } else if (!cgroup_.paths().empty() && (attach_needed || !child_.born_in_cgroup)) {
        cgroup_.attach(child_.pid, child_.born_in_cgroup);
    } else if (keeps_no_cgroup_but_the_users()) {
        stay_within_user_limits(child_.pid);
    }
    if (spec_.linux_->intel_rdt) join_resctrl(*spec_.linux_->intel_rdt, options_.id, child_.pid, resctrl_);
    if (!spec_.linux_->net_devices.empty()) {
        const auto* joined = namespaces_.find_joined(CLONE_NEWNET);
        const UniqueFd* known = joined != nullptr ? &joined->fd : namespaces_.network ? &namespaces_.network : nullptr;
        net_devices_.move(*spec_.linux_, open_network_namespace(child_.pid, known));
    }
    const auto receiver = spec_.annotations.find("run.oci.pidfd_receiver");
    if (receiver != spec_.annotations.end()) {
        posix::send_fd(connect_to(receiver->second, "run.oci.pidfd_receiver"), "pidfd", child_.process);
    }
    if (wait_attached) send(sync_, Sync::attached);
    bind_sources_->finish();
    record_.state.pid = child_.pid;
    if (!tells_mounted) release(child_.pid);
}

/// Everything that must be true before the program runs is done: it may.
void Container::release(pid_t pid) {
    std::string filter;
    if (has_seccomp(spec_)) {
        const std::string cache = (options_.root.empty() ? default_root() : options_.root) + "/.seccomp";
        filter = pack_filter(in_step("linux.seccomp", [&] { return *container_seccomp(spec_, cache); }), pid);
    }
    state_dir_->keep_filter(filter);
    early_network_.finish();
    // Written once for both: the program runs as soon as the child has come as far as the message below.
    record_.state.status = options_.fate == Fate::created ? "created" : "running";
    record_.start_time = process_start_time(pid).value_or(0);
    record_.shim_start_time = process_start_time(::getpid()).value_or(0);
    state_dir_->write(record_);
    write_pid_file();
    send(sync_, options_.fate == Fate::created ? Sync::park : Sync::execute, filter);
}

void Container::write_pid_file() const {
    if (options_.pid_file.empty()) return;
    in_step("--pid-file " + options_.pid_file,
            [&] { posix::replace_file_unsynced(options_.pid_file, std::to_string(child_.pid), 0644); });
}

std::optional<Ending> Container::supervise() {
    close_program_mount();
    bool reader_watched = report_.fd() >= 0;
    bool resting = false;
    for (;;) {
        std::array<pollfd, 8> watched{pollfd{child_.process.get(), POLLIN, 0},
                                      pollfd{sync_ ? sync_.get() : -1, POLLIN, 0},
                                      pollfd{signals_.get(), POLLIN, 0},
                                      pollfd{reader_watched ? report_.fd() : -1, 0, 0},
                                      pollfd{master_from_ ? master_from_.get() : -1, POLLIN, 0},
                                      pollfd{-1, 0, 0},
                                      pollfd{-1, 0, 0},
                                      pollfd{notify_.fd(), POLLIN, 0}};
        if (terminal_) {
            const auto more = terminal_->watched();
            watched[5] = more[0];
            watched[6] = more[1];
        }
        const int patience = terminal_ ? terminal_->patience() : -1;
        const int ready = ::poll(watched.data(), watched.size(), resting ? patience : milliseconds_before_rest);
        if (ready < 0) {
            if (errno == EINTR) continue;
            throw_errno(errno, "poll");
        }
        if (ready == 0) {
            if (terminal_) terminal_->look_again();
            if (!std::exchange(resting, true)) drop_clean_pages();
            continue;
        }
        if (terminal_) terminal_->serve({watched[5], watched[6]});
        if (watched[7].revents != 0) notify_.serve(child_.pid);
        if (watched[4].revents != 0) take_terminal();
        if (watched[1].revents != 0) {
            on_message();
            if (parked_ || (running_ && !foreground())) return std::nullopt;
            continue;  // what the child said counts before that it ended
        }
        if ((watched[2].revents & POLLIN) != 0) {
            while (const auto number = next_signal(signals_)) on_signal(*number);
        }
        if ((watched[3].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
            // Whoever started us is gone: nobody would ever stop this container.
            reader_watched = false;
            posix::pidfd_send_signal(child_.process, SIGKILL);
        }
        if (watched[0].revents == 0) continue;
        if (terminal_) terminal_->drain();
        terminal_.reset();
        return reap();
    }
}

void Container::take_terminal() {
    try {
        terminal_.emplace(posix::receive_fd(master_from_));
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::unavailable) throw;
        // Closed without one: the child's own words are on their way, and say why.
    }
    master_from_.reset();
}

void Container::on_signal(int number) {
    if (number == SIGWINCH && terminal_) return terminal_->resize();
    const bool ends = number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGTERM;
    if (!sync_ || !ends) {
        posix::pidfd_send_signal(child_.process, number);
        return;
    }
    // The program does not run yet and cannot answer; sent on, the signal would be dropped, because the first process
    // of a pid namespace ignores what it does not handle.
    ended_by_ = number;
    posix::pidfd_send_signal(child_.process, SIGKILL);
}

void Container::on_message() {
    Message message;
    if (!receive(sync_, message)) {
        sync_.reset();
        if (executing_.is_set() && executing_.error() != 0 && !failure_) {
            failure_ = silenced_error(spec_.process ? spec_.process->args.front() : "", executing_.error());
        } else if (executing_.is_set() && !failure_) {
            on_running();
        }
        // Else it ended without a word; reap() finds out how.
        return;
    }
    switch (message.kind) {
        case Sync::warning:
            report_.warning(message.payload);
            break;
        case Sync::failed:
            failure_ = error_of(message);
            break;
        case Sync::parked:
            parked_ = true;
            break;
        case Sync::mounted: {
            if (delegates_) cgroup_.hand_over(child_.pid, spec_);
            if (spec_.hooks) {
                const std::string state = oci::to_hook_json(record_.state);
                run_hooks(spec_.hooks->prestart, "prestart", state, hook_outputs_);
                run_hooks(spec_.hooks->create_runtime, "createRuntime", state, hook_outputs_);
            }
            send(sync_, Sync::hooked);
            release(child_.pid);
            break;
        }
        default:
            throw Error(ErrorKind::system, "sync socket: message out of order");
    }
}

void Container::on_running() {
    running_ = true;
    net_devices_.keep();
    report_.started(child_.pid);
    if (spec_.hooks && !spec_.hooks->poststart.empty()) {
        run_hooks(spec_.hooks->poststart, "poststart", oci::to_hook_json(record_.state), hook_outputs_);
    }
}

Ending Container::reap() {
    int status = 0;
    while (::waitpid(child_.pid, &status, 0) < 0) {
        if (errno != EINTR) throw_errno(errno, "wait for the container");
    }
    reaped_ = true;
    Ending ending;
    if (WIFSIGNALED(status)) {
        ending.signal = WTERMSIG(status) == SIGKILL && ended_by_ != 0 ? ended_by_ : WTERMSIG(status);
    } else {
        ending.code = WEXITSTATUS(status);
    }
    if (ending.exit_code() != 0 && !cgroup_.paths().empty()) ending.oom = cgroup_.oom_killed();
    if (!running_ && !failure_ && ended_by_ == 0) {
        std::string text = "the container's first process ended while it was being set up";
        if (ending.signal != 0) text += ": killed by signal " + std::to_string(ending.signal);
        failure_.emplace(ErrorKind::lost, text);
        failure_->with_remedy(remedy_for_lost_process(ending.signal));
    }
    return ending;
}

void Container::destroy() noexcept {
    if (!state_dir_) return;
    try {
        if (child_.process && !reaped_) {
            posix::pidfd_send_signal(child_.process, SIGKILL);
            while (::waitpid(child_.pid, nullptr, 0) < 0 && errno == EINTR) {
            }
            reaped_ = true;
        }
        net_devices_.restore();
        remove_resctrl(record_.resctrl);
        if (state_dir_->cgroups_grown()) cgroup_ = Cgroup::from_paths(state_dir_->read().cgroups, record_.systemd_unit);
        if (!cgroup_.paths().empty()) {
            // The end of a pid namespace's first process is the end of all in it; without one others may be left.
            if (!namespaces_.is_new(CLONE_NEWPID)) cgroup_.kill_all();
            try {
                cgroup_.remove();
            } catch (const Error&) {
                cgroup_.kill_all();
                cgroup_.remove();
            }
            if (!running_) cgroup_.remove_parents();
        }
        if (record_.shared_root) undo_shared_root(*record_.shared_root);
        if (!options_.pid_file.empty() && record_.state.pid > 0) ::unlink(options_.pid_file.c_str());
        if (spec_.hooks && !spec_.hooks->poststop.empty()) {
            record_.state.status = "stopped";
            record_.state.pid = 0;
            std::vector<std::string> warnings;
            run_hooks_forgiving(spec_.hooks->poststop, "poststop", oci::to_hook_json(record_.state), warnings,
                                hook_outputs_);
            report_.warnings(warnings);
        }
        state_dir_->remove();
    } catch (const std::exception& e) {
        try {
            report_.warning("remove " + options_.id + ": " + e.what() + "; `locald-shim delete --force " + options_.id +
                            "` tries again");
        } catch (...) {
            // Not even memory for a warning: the state stays, and `delete` finds it.
        }
    }
    state_dir_.reset();
}

}  // namespace locald::shim
