#include "core/host/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstring>
#include <mutex>

#include "core/base/error.hpp"
#include "core/host/handle.hpp"

extern char** environ;

namespace locald::host {

struct Child::Outcome {
    std::mutex mutex;  ///< guards the moment of reaping: afterwards the pid may be anybody's
    bool known = false;
    ExitStatus status;
};

namespace {

ExitStatus status_from(int raw) {
    if (WIFSIGNALED(raw)) return {0, WTERMSIG(raw)};
    return {WEXITSTATUS(raw), 0};
}

Handle open_pidfd(int pid) { return Handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))); }

class FileActions {
public:
    FileActions() { check(::posix_spawn_file_actions_init(&actions_)); }
    ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;

    void dup2(int from, int to) { check(::posix_spawn_file_actions_adddup2(&actions_, from, to)); }
    void null(int to) { check(::posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", O_RDWR, 0)); }
    void close(int fd) { check(::posix_spawn_file_actions_addclose(&actions_, fd)); }
    void close_from(int first) { check(::posix_spawn_file_actions_addclosefrom_np(&actions_, first)); }
    void chdir(const std::string& dir) { check(::posix_spawn_file_actions_addchdir_np(&actions_, dir.c_str())); }
    const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

private:
    static void check(int err) {
        if (err != 0) throw_errno(err, "prepare the descriptors of a child process");
    }
    posix_spawn_file_actions_t actions_{};
};

class Attributes {
public:
    explicit Attributes(const ChildOptions& options) {
        if (const int err = ::posix_spawnattr_init(&attributes_); err != 0) throw_errno(err, "prepare a child process");
        sigset_t all;
        sigset_t none;
        // sigfillset leaves out the two signals glibc keeps for itself, and those it would then hand down ignored.
        std::memset(&all, 0xff, sizeof all);
        ::sigemptyset(&none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
        if (options.new_process_group) flags |= POSIX_SPAWN_SETPGROUP;
        if (options.new_session) flags |= POSIX_SPAWN_SETSID;
        ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
    }
    ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    const posix_spawnattr_t* get() const noexcept { return &attributes_; }

private:
    posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

[[noreturn]] void throw_start_failed(const ChildOptions& options, int err) {
    struct stat info {};
    if (!options.cwd.empty() && (::stat(options.cwd.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))) {
        throw_errno(err, "start ", options.argv[0], " in directory ", options.cwd);
    }
    const std::string& program = options.argv[0];
    switch (err) {
        case ENOENT:
        case ENOTDIR: {
            const bool there = ::stat(program.c_str(), &info) == 0;
            throw Error(
                ErrorKind::command_not_found,
                "start " + program + (there ? " (it is there; its interpreter is not)" : "") + ": " + errno_text(err),
                err);
        }
        case EACCES:
        case EPERM:
        case ENOEXEC:
        case EISDIR:
        case ELIBBAD:
        case ETXTBSY:
            throw Error(ErrorKind::not_executable, "start " + program + ": " + errno_text(err), err);
        default:
            throw_errno(err, "start ", program);
    }
}

}  // namespace

Child::Child() noexcept = default;

Child Child::start(const ChildOptions& options) {
    if (options.argv.empty()) throw Error(ErrorKind::invalid, "start a child process: no program is named");
    int highest = 2;
    for (const auto& handle : options.handles) {
        if (handle.ours < 0 || handle.theirs < 0) {
            throw Error(ErrorKind::invalid, "start " + options.argv[0] + ": a handle to inherit is not open");
        }
        highest = std::max(highest, handle.theirs);
    }

    // Copies above every target number: no mapping can then overwrite the source of another one.
    std::vector<Handle> copies;
    copies.reserve(options.handles.size());
    FileActions actions;
    std::vector<bool> named(static_cast<std::size_t>(highest) + 1, false);
    for (const auto& handle : options.handles) {
        Handle copy(::fcntl(handle.ours, F_DUPFD_CLOEXEC, highest + 1));
        if (!copy) throw_errno(errno, "start ", options.argv[0], ": copy descriptor ", std::to_string(handle.ours));
        actions.dup2(copy.get(), handle.theirs);
        named[static_cast<std::size_t>(handle.theirs)] = true;
        copies.push_back(std::move(copy));
    }
    for (int fd = 0; fd <= highest; ++fd) {
        if (named[static_cast<std::size_t>(fd)]) continue;
        if (fd <= 2) {
            actions.null(fd);
        } else {
            actions.close(fd);
        }
    }
    actions.close_from(highest + 1);
    if (!options.cwd.empty()) actions.chdir(options.cwd);

    const Attributes attributes(options);
    const auto argv = pointers_to(options.argv);
    const auto env = pointers_to(options.env);
    Child child;
    child.outcome_ = std::make_unique<Outcome>();
    pid_t pid = -1;
    const int err = ::posix_spawn(&pid, argv[0], actions.get(), attributes.get(), argv.data(), env.data());
    if (err != 0) throw_start_failed(options, err);
    child.pid_ = pid;
    return child;
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), outcome_(std::move(other.outcome_)) {}

Child& Child::operator=(Child&& other) noexcept {
    Child old(std::move(*this));
    pid_ = std::exchange(other.pid_, -1);
    outcome_ = std::move(other.outcome_);
    return *this;
}

Child::~Child() {
    if (pid_ <= 0 || outcome_->known) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

ExitStatus Child::wait() {
    if (pid_ <= 0) throw Error(ErrorKind::invalid, "wait for a child process: none was started");
    {
        const std::lock_guard lock(outcome_->mutex);
        if (outcome_->known) return outcome_->status;
    }
    siginfo_t info{};
    // The child is left unreaped here, outside of the lock, so that others can go on sending it signals.
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    const std::lock_guard lock(outcome_->mutex);
    if (outcome_->known) return outcome_->status;
    int raw = 0;
    pid_t reaped = -1;
    do {
        reaped = ::waitpid(pid_, &raw, 0);
    } while (reaped < 0 && errno == EINTR);
    if (reaped < 0) {
        const int err = errno;
        throw Error(ErrorKind::lost, "wait for process " + std::to_string(pid_) + ": " + errno_text(err), err);
    }
    outcome_->status = status_from(raw);
    outcome_->known = true;
    return outcome_->status;
}

std::optional<ExitStatus> Child::wait_for(std::chrono::milliseconds timeout) {
    if (pid_ <= 0) throw Error(ErrorKind::invalid, "wait for a child process: none was started");
    Handle pidfd;
    {
        const std::lock_guard lock(outcome_->mutex);
        if (outcome_->known) return outcome_->status;
        pidfd = open_pidfd(pid_);
        if (!pidfd) throw_errno(errno, "open process ", std::to_string(pid_));
    }
    const auto end = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd entry{pidfd.get(), POLLIN, 0};
        const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<long long>(left.count(), 0, INT_MAX)));
        if (ready > 0) return wait();
        if (ready < 0 && errno != EINTR) throw_errno(errno, "wait for process ", std::to_string(pid_));
        if (std::chrono::steady_clock::now() >= end) return std::nullopt;
    }
}

void Child::signal(int number) const {
    if (pid_ <= 0) return;
    const std::lock_guard lock(outcome_->mutex);
    if (outcome_->known) return;
    if (::kill(pid_, number) != 0 && errno != ESRCH) {
        throw_errno(errno, "send signal ", std::to_string(number), " to process ", std::to_string(pid_));
    }
}

std::vector<std::string> current_environment() {
    std::vector<std::string> env;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) env.emplace_back(*entry);
    return env;
}

}  // namespace locald::host
