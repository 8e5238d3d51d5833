#include "shim/container/hooks.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned close_range_cloexec = 1U << 2U;  // CLOSE_RANGE_CLOEXEC

// What of a hook's output goes into an error text. More is read, so that the hook does not block, and dropped.
constexpr std::size_t most_output = 4096;

/// Kills and reaps the hook on every way out.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    ~Child() {
        if (pid_ > 0) {
            kill();
            static_cast<void>(wait());
        }
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// The whole process group. Not reaped yet, so the number cannot be another's.
    void kill() const noexcept {
        ::kill(-pid_, SIGKILL);
        ::kill(pid_, SIGKILL);
    }
    int wait() noexcept {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return status;
    }

private:
    pid_t pid_;
};

struct Output {
    posix::UniqueFd pipe;
    std::string text;

    /// Reads what is there; false at the end of the stream.
    bool drain() {
        std::array<char, 4096> block{};
        for (;;) {
            const ssize_t n = ::read(pipe.get(), block.data(), block.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) return true;
            if (n <= 0) return false;
            const std::size_t room = most_output - std::min(most_output, text.size());
            text.append(block.data(), std::min(room, static_cast<std::size_t>(n)));
        }
    }
    /// On one line.
    std::string shown() const {
        std::string line;
        for (const char c : trim(text)) {
            if (c == '\n') {
                line += "\\n";
            } else {
                line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
            }
        }
        return line;
    }
};

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

/// The child between fork and exec: nothing but system calls.
[[noreturn]] void become_hook(const char* path, char* const* argv, char* const* envp, int in, int out, int err,
                              int report) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (::dup2(in, STDIN_FILENO) >= 0 && ::dup2(out, STDOUT_FILENO) >= 0 && ::dup2(err, STDERR_FILENO) >= 0) {
        ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, close_range_cloexec);
        ::execve(path, argv, envp);
    }
    const int code = errno;
    static_cast<void>(!::write(report, &code, sizeof code));
    ::_exit(127);
}

std::string how_it_ended(int status) {
    if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
    return "signal: " + std::to_string(WTERMSIG(status));
}

int milliseconds_left(Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return left < 0 ? 0 : static_cast<int>(std::min<long long>(left + 1, 1 << 30));
}

/// Waits for the end of `pidfd`, reading both outputs meanwhile. False when the deadline came first. A process that the
/// hook left behind may hold the pipes: the hook's own end counts, not the end of the streams.
bool wait_for_end(const posix::UniqueFd& pidfd, Output& out, Output& err, bool limited, Clock::time_point deadline) {
    for (;;) {
        std::array<pollfd, 3> wait{pollfd{pidfd.get(), POLLIN, 0}, pollfd{out.pipe.get(), POLLIN, 0},
                                   pollfd{err.pipe.get(), POLLIN, 0}};
        const int n = ::poll(wait.data(), wait.size(), limited ? milliseconds_left(deadline) : -1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "poll");
        if (wait[1].revents != 0 && !out.drain()) out.pipe.reset();
        if (wait[2].revents != 0 && !err.drain()) err.pipe.reset();
        if (wait[0].revents != 0) {
            if (out.pipe) out.drain();
            if (err.pipe) err.drain();
            return true;
        }
        if (limited && Clock::now() >= deadline) return false;
    }
}

posix::UniqueFd state_on_stdin(const std::string& state_json) {
    // A memfd instead of a pipe: a hook that does not read cannot block us.
    auto file = posix::memfd_create("locald-hook-state");
    posix::write_all(file, state_json, "the state for a hook");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_errno(errno, "seek in the state for a hook");
    return file;
}

void set_nonblocking(const posix::UniqueFd& fd) {
    if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) throw_errno(errno, "fcntl O_NONBLOCK");
}

void run_one(const oci::Hook& hook, const std::string& state_json, const HookOutputs& outputs) {
    const auto state = state_on_stdin(state_json);
    auto out = posix::make_pipe();
    auto err = posix::make_pipe();
    auto report = posix::make_pipe();
    set_nonblocking(out.read);
    set_nonblocking(err.read);
    const std::vector<std::string> args = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
    const auto argv = pointers_to(args);
    const auto envp = pointers_to(hook.env);

    const pid_t pid = ::fork();
    if (pid < 0) throw_errno(errno, "fork");
    if (pid == 0) {
        become_hook(hook.path.c_str(), argv.data(), envp.data(), state.get(),
                    outputs.out ? outputs.out.get() : out.write.get(),
                    outputs.err ? outputs.err.get() : err.write.get(), report.write.get());
    }
    ::setpgid(pid, pid);  // also here: a kill of the group must not come before the child has made it
    Child child(pid);
    const auto pidfd = posix::pidfd_open(pid);
    out.write.reset();
    err.write.reset();
    report.write.reset();

    int exec_error = 0;
    ssize_t n = 0;
    while ((n = ::read(report.read.get(), &exec_error, sizeof exec_error)) < 0 && errno == EINTR) {
    }
    if (n == sizeof exec_error) throw_errno(exec_error, "exec ", hook.path);

    Output stdout_text{std::move(out.read), {}};
    Output stderr_text{std::move(err.read), {}};
    const bool limited = hook.timeout.has_value();
    const auto deadline = Clock::now() + std::chrono::seconds(hook.timeout.value_or(0));
    if (!wait_for_end(pidfd, stdout_text, stderr_text, limited, deadline)) {
        child.kill();
        child.wait();
        throw Error(ErrorKind::unavailable, "hook ran past specified timeout of " + std::to_string(*hook.timeout) +
                                                "s: " + hook.path + ", stdout: " + stdout_text.shown() +
                                                ", stderr: " + stderr_text.shown())
            .with_remedy("raise the hook's timeout, or find out what it waits for");
    }
    const int status = child.wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    throw Error(ErrorKind::system, hook.path + ": " + how_it_ended(status) + ", stdout: " + stdout_text.shown() +
                                       ", stderr: " + stderr_text.shown());
}

std::string context(const char* name, std::size_t index) {
    return std::string("error running ") + name + " hook #" + std::to_string(index);
}

}  // namespace

HookOutputs open_hook_outputs(const oci::Annotations& annotations) {
    const auto open = [&](const char* key) -> posix::UniqueFd {
        const auto found = annotations.find(key);
        if (found == annotations.end()) return {};
        return in_step(std::string("annotations[\"") + key + "\"]",
                       [&] { return posix::open(found->second, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0644); });
    };
    return {open("run.oci.hooks.stdout"), open("run.oci.hooks.stderr")};
}

void run_hooks(const std::vector<oci::Hook>& hooks, const char* name, const std::string& state_json,
               const HookOutputs& outputs) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        in_step(context(name, i), [&] { run_one(hooks[i], state_json, outputs); });
    }
}

void run_hooks_forgiving(const std::vector<oci::Hook>& hooks, const char* name, const std::string& state_json,
                         std::vector<std::string>& warnings, const HookOutputs& outputs) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        try {
            in_step(context(name, i), [&] { run_one(hooks[i], state_json, outputs); });
        } catch (const Error& e) {
            warnings.emplace_back(e.what());
        }
    }
}

}  // namespace locald::shim
