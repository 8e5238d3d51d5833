#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/report.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/container/hooks.hpp"
#include "shim/container/state.hpp"
#include "shim/container/validate.hpp"
#include "shim/criu/criu.hpp"
#include "shim/criu/external.hpp"
#include "shim/mounts/rootfs.hpp"
#include "shim/options/signals.hpp"
#include "shim/process/lsm.hpp"
#include "shim/process/own_program.hpp"
#include "shim/seccomp/config.hpp"
#include "shim/seccomp/packet.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::size_t most_config = 16U << 20U;

/// A container out of files: its directory of state and its cgroup are ours as for any other, its processes criu's.
class Restore {
public:
    Restore(const CriuOptions& options, const Globals& globals) : options_(options), globals_(globals) {}
    ~Restore() {
        if (!dir_) return;
        dir_.reset();
        remove();
    }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

    int run() {
        signals_ = take_signals();
        load();
        prepare();
        start();
        dir_.reset();  // from here on it is a container like any other
        if (options_.detach) return 0;
        const int code = see_through();
        remove();
        return code;
    }

private:
    void load() {
        program_ = find_criu(options_.criu);
        bundle_ = in_step("bundle", [&] { return posix::canonical_path(options_.bundle); });
        const std::string path = bundle_ + "/config.json";
        in_step(path, [&] {
            spec_ = oci::parse_spec(posix::read_file(path, most_config));
            validate(spec_, true);
            add_mount_label(spec_);
        });
        externals_ = parse_externals(posix::read_file(options_.image_path + "/locald.json", most_config));
        posix::make_directories(options_.work_path, 0700);
    }

    void prepare() {
        record_ = new_record(spec_, options_.id, bundle_);
        record_.shim_start_time = process_start_time(::getpid()).value_or(0);
        if (spec_.hooks) record_.poststop = !spec_.hooks->poststop.empty();
        dir_ = create_state(options_.root, options_.id);
        if (options_.systemd_cgroup) {
            record_.cgroups = Cgroup::plan_scope(spec_, options_.id, record_.systemd_unit);
        } else if (!options_.cgroups_disabled) {
            record_.cgroups = Cgroup::plan(spec_, options_.id);
        }
        dir_->write(record_);
        if (options_.systemd_cgroup) {
            cgroup_ = Cgroup::create_scope(spec_, options_.id, record_.cgroups);
        } else if (!options_.cgroups_disabled) {
            cgroup_ = Cgroup::create(spec_, record_.cgroups);
            dir_->mark_cgroups_made();
            cgroup_.limit();
        }
        dir_->keep_spec(spec_);
        if (has_seccomp(spec_)) dir_->keep_filter(pack_filter(*container_seccomp(spec_, ""), 0));
    }

    std::vector<std::string> own_arguments() const {
        std::vector<std::string> words{"--restore-detached", "--restore-sibling", "--pidfile", pid_path()};
        // What is restored is born where criu runs, which is the container's cgroup, whatever it was called before.
        words.push_back("--manage-cgroups=" + (options_.cgroups_mode.empty() ? "ignore" : options_.cgroups_mode));
        if (!options_.lsm_profile.empty()) words.insert(words.end(), {"--lsm-profile", options_.lsm_profile});
        if (!options_.lsm_mount_context.empty()) {
            words.insert(words.end(), {"--lsm-mount-context", options_.lsm_mount_context});
        }
        return words;
    }

    std::string pid_path() const { return posix::canonical_path(options_.work_path) + "/restore.pid"; }

    void start() {
        RestoreArguments externals = restore_arguments(externals_, spec_, bundle_);
        CriuRun run;
        run.program = program_;
        run.log = options_.work_path + "/restore.log";
        run.arguments = {"restore"};
        for (auto& more :
             {criu_arguments(options_, record_.state.rootfs, "restore.log"), own_arguments(), externals.words}) {
            run.arguments.insert(run.arguments.end(), more.begin(), more.end());
        }
        run.descriptors = externals.descriptors;
        // The root filesystem is mounted in a namespace of criu's own: nothing of it is ever seen on the host.
        run.prepare = [this] {
            if (::unshare(CLONE_NEWNS) != 0) throw_errno(errno, "make a mount namespace");
            isolate_mounts(spec_);
            root_ = mount_root(spec_, bundle_);
        };
        run.started = [this](pid_t pid) {
            if (cgroup_.start_scope(pid)) {
                record_.cgroups = cgroup_.paths();
                dir_->mark_cgroups_made();
            } else if (!cgroup_.paths().empty()) {
                cgroup_.attach(pid, false);
            }
        };
        ::unlink(pid_path().c_str());
        run_criu(run);
        adopt();
    }

    /// criu's child is ours by --restore-sibling.
    void adopt() {
        const auto pid = parse_u64(trim(posix::read_file(pid_path())));
        ::unlink(pid_path().c_str());
        if (!pid || *pid == 0) throw Error(ErrorKind::system, "restore " + options_.id + ": criu told no process id");
        record_.state.pid = static_cast<pid_t>(*pid);
        process_ = posix::pidfd_open(record_.state.pid);
        record_.start_time = process_start_time(record_.state.pid).value_or(0);
        record_.state.status = "running";
        dir_->write(record_);
        if (!options_.pid_file.empty()) {
            posix::replace_file_unsynced(options_.pid_file, std::to_string(record_.state.pid), 0644);
        }
        if (spec_.hooks && !spec_.hooks->poststart.empty()) {
            run_hooks(spec_.hooks->poststart, "poststart", oci::to_hook_json(record_.state),
                      open_hook_outputs(spec_.annotations));
        }
    }

    int see_through() const {
        for (;;) {
            std::array<pollfd, 2> watched{pollfd{process_.get(), POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0}};
            if (::poll(watched.data(), watched.size(), -1) < 0) {
                if (errno == EINTR) continue;
                throw_errno(errno, "poll");
            }
            while (const auto number = next_signal(signals_)) posix::pidfd_send_signal(process_, *number);
            if (watched[0].revents == 0) continue;
            int status = 0;
            while (::waitpid(record_.state.pid, &status, __WALL) < 0) {
                if (errno != EINTR) throw_errno(errno, "wait for the container");
            }
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }

    void remove() const noexcept {
        try {
            const std::vector<std::string> words{"--force", options_.id};
            Walker walker(words, 0, "delete");
            delete_verb.run(globals_, walker);
        } catch (const std::exception& e) {
            Reporter(-1).warning(e.what());
        }
    }

    const CriuOptions& options_;
    const Globals& globals_;
    std::string program_, bundle_;
    oci::Spec spec_;
    CriuExternals externals_;
    std::optional<StateDir> dir_;
    Record record_;
    Cgroup cgroup_;
    UniqueFd signals_, process_, root_;
};

int restore(const Globals& globals, Walker& walker) {
    const CriuOptions options = parse_criu(globals, walker, true);
    check_container_id(options.id);
    run_from_unwritable_program();
    close_program_mount();  // criu must not be handed it
    return Restore(options, globals).run();
}

}  // namespace

const Verb restore_verb{
    "restore", "  restore ID                         run a container out of the files that `checkpoint` wrote\n",
    "Usage: locald-shim [OPTION...] restore [OPTION...] ID\n"
    "\n"
    "Runs a container out of the files of a checkpoint by criu, in the bundle's root filesystem, which is to be as it\n"
    "was; without --detach waits for its end and removes it. Its streams are the caller's. Of the hooks only "
    "poststart\n"
    "and poststop are run.\n"
    "\n"
    "  -b, --bundle DIR                the bundle directory (default: the current one)\n"
    "      --image-path DIR            where the files are (default: checkpoint)\n"
    "      --work-path DIR             where criu's log goes (default: the image path)\n"
    "  -d, --detach                    come back when it runs\n"
    "      --pid-file FILE             write the process id of the container's first process there\n"
    "      --tcp-established           with its open TCP connections\n"
    "      --ext-unix-sk               with unix sockets that lead outside\n"
    "      --shell-job                 with a terminal from outside\n"
    "      --file-locks                with file locks\n"
    "      --lazy-pages                fetch the memory from criu's lazy-pages server\n"
    "      --auto-dedup                remove from the files what is restored\n"
    "      --manage-cgroups-mode MODE  soft, full, strict or ignore (default: ignore: it is in its cgroup from the "
    "start)\n"
    "      --empty-ns network          the network namespace is made empty\n"
    "      --lsm-profile TYPE:NAME     another AppArmor profile or SELinux label\n"
    "      --lsm-mount-context TEXT    another SELinux context of its mounts\n"
    "      --console-socket PATH       accepted; what `checkpoint` writes has no terminal\n"
    "      --no-pivot                  accepted\n"
    "      --no-subreaper              accepted; this runtime never becomes one\n",
    restore};

}  // namespace locald::shim
