#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::host {

/// How a process ended: by exit (`code`) or by a signal (`signal` is not 0).
struct ExitStatus {
    int code = 0;
    int signal = 0;
    /// As a shell has it: the code, or 128 + signal.
    int exit_code() const noexcept { return signal != 0 ? 128 + signal : code; }
    bool ok() const noexcept { return signal == 0 && code == 0; }
    bool operator==(const ExitStatus&) const = default;
};

/// A handle of ours that the child sees under another number.
struct InheritedHandle {
    int ours = -1;
    int theirs = -1;
};

/// What is started and what it inherits. Nothing else crosses: no other descriptor, no environment, default signals.
struct ChildOptions {
    std::vector<std::string> argv{};         ///< argv[0] is a path; PATH is never searched
    std::vector<std::string> env{};          ///< NAME=value, the whole environment
    std::string cwd{};                       ///< empty: ours
    std::vector<InheritedHandle> handles{};  ///< 0, 1 and 2 are /dev/null when not named here
    bool new_process_group = false;          ///< so that a terminal's Ctrl-C reaches it only through us
    bool new_session = false;                ///< away from our terminal, so that its end does not reach it either
};

/// One child process; kills and waits for it when destroyed, unless it was waited for or released. One thread may wait
/// while others send signals: a signal never reaches a process that has taken the number of a child already gone.
class Child {
public:
    Child() noexcept;
    /// @throws Error that names argv[0]: command_not_found, not_executable, …
    static Child start(const ChildOptions& options);
    Child(Child&& other) noexcept;
    Child& operator=(Child&& other) noexcept;
    ~Child();

    int pid() const noexcept { return pid_; }
    explicit operator bool() const noexcept { return pid_ > 0; }
    /// Blocks until the child ends; a second call gives the same answer.
    ExitStatus wait();
    /// Waits at most `timeout`; nothing when the child still runs.
    std::optional<ExitStatus> wait_for(std::chrono::milliseconds timeout);
    /// Sends a signal; nothing happens when the child was waited for already.
    void signal(int number) const;
    /// Gives the child up: it goes on without us.
    void release() noexcept { pid_ = -1; }

private:
    struct Outcome;
    int pid_ = -1;
    std::unique_ptr<Outcome> outcome_;
};

/// What a short command said.
struct Captured {
    ExitStatus status;
    std::string out, err;
};
/// Runs a command to its end with `input` on stdin. @throws Error(unavailable) past `timeout` (the child is killed
/// then), and Error(invalid) when it prints more than `most` bytes
Captured run_and_capture(ChildOptions options, std::string_view input = {},
                         std::chrono::milliseconds timeout = std::chrono::seconds(30), std::size_t most = 1U << 20U);

/// The environment of this process as NAME=value.
std::vector<std::string> current_environment();

}  // namespace locald::host
