#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/log.hpp"
#include "shim/base/report.hpp"
#include "shim/base/sync.hpp"
#include "shim/cgroup/exec_cgroup.hpp"
#include "shim/container/joining.hpp"
#include "shim/container/spawn.hpp"
#include "shim/container/state.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/options/signals.hpp"
#include "shim/process/handed_fds.hpp"
#include "shim/process/oom_score.hpp"
#include "shim/process/own_program.hpp"
#include "shim/process/process.hpp"
#include "shim/process/terminal_proxy.hpp"
#include "shim/seccomp/agent.hpp"
#include "shim/verbs/exec_options.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr int failed_code = 255;

/// One more process in a container that exists.
class Exec {
public:
    explicit Exec(const ExecOptions& options) : options_(options) {}

    int run() {
        load();
        signals_ = take_signals();
        try {
            start();
        } catch (Error& e) {
            // Its first process has our program and not yet its own: only who may trace everything may look into it.
            const bool closed = e.os_errno() == EPERM || e.os_errno() == EACCES;
            if (created_ && closed) e.with_remedy("start it first: locald-shim start " + options_.id);
            throw;
        }
        if (options_.detach) return 0;
        return see_through();
    }

private:
    void load() {
        check_container_id(options_.id);
        StateDir dir = find_state(options_.root, options_.id);
        record_ = dir.read();
        first_ = open_process(record_);
        const std::string status = dir.status(record_, static_cast<bool>(first_));
        check_status(status);
        created_ = status == "created";
        if (!created_ && ::geteuid() != 0) await_program_of_first();
        spec_ = dir.read_spec();
        filter_ = dir.read_filter();
        process_ = exec_process(options_, spec_.process);
        connect_console();
    }

    void check_status(const std::string& status) const {
        if (status == "stopped" || status == "creating") {
            throw Error(ErrorKind::invalid, options_.id + ": cannot exec in a stopped container");
        }
        if (status == "paused" && !options_.ignore_paused) {
            throw Error(ErrorKind::invalid,
                        options_.id + ": cannot exec in a paused container (use --ignore-paused to override)");
        }
    }

    /// A container is called running a moment before its program runs, and until then its first process is closed to an
    /// ordinary user. Whether it is not afterwards either the joining tells.
    void await_program_of_first() const {
        const std::string link = "/proc/" + std::to_string(record_.state.pid) + "/ns/mnt";
        constexpr int ticks = 200;
        for (int tick = 0; tick < ticks; ++tick) {
            std::array<char, 64> target{};
            if (::readlink(link.c_str(), target.data(), target.size()) >= 0) return;
            if (errno != EACCES && errno != EPERM) return;
            const timespec pause{0, 5 * 1000000L};
            ::nanosleep(&pause, nullptr);
        }
    }

    void connect_console() {
        if (!options_.console_socket.empty() && !process_.terminal) {
            throw Error(ErrorKind::invalid, "cannot use console socket if runc will not detach or allocate tty")
                .with_remedy("give -t, or leave --console-socket out");
        }
        if (options_.console_fd >= 0) {
            console_ = UniqueFd(options_.console_fd);
        } else if (!options_.console_socket.empty()) {
            console_ = connect_to(options_.console_socket, "--console-socket");
        } else if (process_.terminal && options_.detach) {
            throw Error(ErrorKind::invalid, "cannot allocate tty if runc will detach without setting console socket")
                .with_remedy("give the path of a listening unix socket by --console-socket");
        } else if (process_.terminal) {
            auto pair = posix::make_socket_pair();
            master_from_ = std::move(pair.first);
            console_ = std::move(pair.second);
        }
    }

    std::uint64_t namespaces() const {
        std::uint64_t flags = 0;
        for (const auto& entry : spec_.get_linux().namespaces) flags |= namespace_flag(entry.type);
        return flags;
    }

    /// Without a new mount namespace the container is where its first process went by chroot; opened before anything
    /// of the container is joined. Empty when joining leads there.
    UniqueFd root_beside() const {
        for (const auto& entry : spec_.get_linux().namespaces) {
            if (entry.type == "mount" && entry.path.empty()) return {};
        }
        const std::string path = "/proc/" + std::to_string(record_.state.pid) + "/root";
        UniqueFd root = posix::open(path, O_PATH | O_DIRECTORY);
        // Alive now, so the number was its own when the path was walked.
        if (!posix::pidfd_send_signal(first_, 0)) check_status("stopped");
        return root;
    }

    void start() {
        const ExecCgroup cgroup(record_.cgroups, options_.cgroup);
        JoinPlan plan{process_, spec_, executing_, record_.state, filter_};
        plan.state.status = "running";
        if (!filter_.empty()) plan.seccomp_agent = connect_seccomp_agent(spec_);
        // Whether it was born where it should be is known only afterwards: a container that hands controllers on has
        // nobody in its own cgroup, and then the program must not run a moment in ours.
        plan.wait_attached = cgroup.has_v1() || cgroup.birth_place() || record_.cgroups.empty();
        plan.detached = options_.detach;
        plan.new_keyring = record_.keyring;
        plan.root = root_beside();
        plan.console_fd = console_ ? console_.get() : -1;
        plan.handed = {options_.listen_fds, options_.preserve_fds};
        // Before there is a child: who is in the container sees it from its first moment (CVE-2016-9962).
        if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno(errno, "become undumpable");
        auto [ours, theirs] = posix::make_socket_pair();
        std::uint64_t flags = namespaces();
        if ((flags & CLONE_NEWUSER) == 0 && (flags & CLONE_NEWCGROUP) != 0) {
            // Under nsdelegate, which systemd mounts with, nobody moves anything from a cgroup that his cgroup
            // namespace does not hold, not even a newborn: ENOENT. So the process enters it, not we.
            plan.cgroup_namespace_of = &first_;
            flags &= ~static_cast<std::uint64_t>(CLONE_NEWCGROUP);
        }
        const HostPlace host(flags);
        {
            const InheritedOomScore score(process_.oom_score_adj);
            if (process_.exec_cpu_affinity) {
                set_cpu_affinity(process_.exec_cpu_affinity->initial, "process.execCPUAffinity.initial");
            }
            child_ = spawn_beside(first_, flags, cgroup.birth_place(), [&] {
                ours.reset();
                joining_main(plan, theirs);
            });
        }
        theirs.reset();
        console_.reset();
        sync_ = std::move(ours);
        try {
            host.come_back();  // cgroups and the user's limits are looked for, in /proc among others
            cgroup.attach(child_.pid, child_.born_in_cgroup, record_.state.pid);
            if (plan.wait_attached) send(sync_, Sync::attached);
            await_program();
            Reporter(options_.report_fd).started(child_.pid);
            told_ = true;
            if (!options_.pidfd_socket.empty() || !options_.pid_file.empty()) tell_engine(host);
        } catch (...) {
            posix::pidfd_send_signal(child_.process, SIGKILL);
            reap();
            throw;
        }
    }

    /// In a paused container the process comes to nothing before `resume`: who ends us must not have to wait for that.
    void wait_for_word() const {
        for (;;) {
            std::array<pollfd, 2> watched{pollfd{sync_.get(), POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0}};
            if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) throw_errno(errno, "poll");
            if (watched[0].revents != 0) return;
            while (const int number = next_signal(signals_).value_or(0)) {
                if (number != SIGTERM && number != SIGINT && number != SIGHUP && number != SIGQUIT) continue;
                throw Error(ErrorKind::lost,
                            "exec: ended by signal " + std::to_string(number) + " before the program ran")
                    .with_remedy("where the container is paused, resume it");
            }
        }
    }

    /// Until execve closes the socket.
    void await_program() {
        Message message;
        while (wait_for_word(), receive(sync_, message)) {
            if (message.kind == Sync::failed) throw error_of(message);
            if (message.kind == Sync::warning) log(LogLevel::warning, message.payload);  // told once, by run or create
        }
        if (!executing_.is_set()) {
            throw Error(ErrorKind::lost, "the process ended while it was joining the container")
                .with_remedy(remedy_for_lost_process(SIGKILL));
        }
        if (executing_.error() != 0) throw silenced_error(process_.args.front(), executing_.error());
    }

    void tell_engine(const HostPlace& host) const {
        host.come_back();
        if (!options_.pidfd_socket.empty()) {
            posix::send_fd(connect_to(options_.pidfd_socket, "--pidfd-socket"), "pidfd", child_.process);
        }
        if (!options_.pid_file.empty()) {
            posix::replace_file_unsynced(options_.pid_file, std::to_string(child_.pid), 0644);
        }
    }

    int see_through() {
        close_program_mount();
        std::optional<TerminalProxy> terminal;
        if (master_from_) terminal.emplace(posix::receive_fd(master_from_));
        for (;;) {
            std::array<pollfd, 4> watched{pollfd{child_.process.get(), POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0},
                                          pollfd{-1, 0, 0}, pollfd{-1, 0, 0}};
            if (terminal) {
                const auto more = terminal->watched();
                watched[2] = more[0];
                watched[3] = more[1];
            }
            const int ready = ::poll(watched.data(), watched.size(), terminal ? terminal->patience() : -1);
            if (ready < 0) {
                if (errno == EINTR) continue;
                throw_errno(errno, "poll");
            }
            if (ready == 0) terminal->look_again();
            if (terminal) terminal->serve({watched[2], watched[3]});
            if ((watched[1].revents & POLLIN) != 0) forward(terminal);
            if (watched[0].revents == 0) continue;
            if (terminal) terminal->drain();
            return reap();
        }
    }

    void forward(const std::optional<TerminalProxy>& terminal) {
        while (const int number = next_signal(signals_).value_or(0)) pass_on(number, terminal);
    }

    void pass_on(int number, const std::optional<TerminalProxy>& terminal) {
        if (number == SIGWINCH && terminal) {
            terminal->resize();
        } else {
            posix::pidfd_send_signal(child_.process, number);
        }
    }

    int reap() {
        int status = 0;
        while (::waitpid(child_.pid, &status, __WALL) < 0) {
            if (errno != EINTR) throw_errno(errno, "wait for the process");
        }
        const bool killed = WIFSIGNALED(status);
        if (told_)
            Reporter(options_.report_fd).exited(killed ? 0 : WEXITSTATUS(status), killed ? WTERMSIG(status) : 0, false);
        return killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }

    const ExecOptions& options_;
    Record record_;
    UniqueFd first_;
    oci::Spec spec_;
    std::string filter_;
    oci::Process process_;
    UniqueFd signals_, console_, master_from_, sync_;
    SharedFlag executing_;
    bool told_ = false;  ///< that it runs
    Spawned child_;
    bool created_ = false;  ///< and not yet started
};

int exec_in_container(const Globals& globals, Walker& walker) {
    ExecOptions options = parse_exec(globals, walker);
    try {
        run_from_unwritable_program();
        options.listen_fds = listen_fds();
        keep_only({options.listen_fds, options.preserve_fds});
        return Exec(options).run();
    } catch (const Error& e) {
        Error error = e;
        error.add_context("exec failed");
        Reporter(options.report_fd).error(error, options.report_fd >= 0 ? exit_code_of(error) : failed_code);
        return failed_code;
    }
}

}  // namespace

const Verb exec_verb{
    "exec", "  exec [-d] [-t] ID COMMAND...       run another process in a container\n",
    "Usage: locald-shim [OPTION...] exec [OPTION...] ID COMMAND [ARGUMENT...]\n"
    "       locald-shim [OPTION...] exec [OPTION...] --process FILE ID\n"
    "\n"
    "Runs a process in the namespaces and the cgroup of a container. Without --process it is the container's own one\n"
    "with another command and what the options change. Ends with the process's status; 255 when exec itself failed.\n"
    "\n"
    "  -p, --process FILE         the process object as JSON\n"
    "  -d, --detach               come back when the program runs\n"
    "  -t, --tty                  give it a terminal\n"
    "      --cwd DIR              its working directory\n"
    "  -e, --env NAME=VALUE       add to its environment\n"
    "  -u, --user UID[:GID]       its user\n"
    "  -g, --additional-gids GID  add a group\n"
    "  -c, --cap CAPABILITY       add a capability\n"
    "      --no-new-privs         set no_new_privs\n"
    "      --apparmor PROFILE     its AppArmor profile\n"
    "      --process-label LABEL  its SELinux label\n"
    "      --cgroup [CONTROLLER[,...]:]PATH  an existing cgroup below the container's\n"
    "      --ignore-paused        also in a paused container\n"
    "      --pid-file FILE        write its process id there\n"
    "      --console-socket PATH  a listening unix socket that is sent the pty master\n"
    "      --pidfd-socket PATH    a listening unix socket that is sent its pidfd\n"
    "      --console-fd N         a connected unix socket that is sent the pty master\n"
    "      --report-fd N          write events and errors there as JSON lines, as `bundle run` does\n"
    "      --preserve-fds N       hand descriptors 3 ... 2+N to it as well; those of LISTEN_FDS come before them\n"
    "      --no-subreaper         accepted; this runtime never becomes one\n",
    exec_in_container, failed_code};

}  // namespace locald::shim
