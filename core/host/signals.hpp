#pragma once

#include <csignal>
#include <optional>
#include <vector>

namespace locald::host {

/// Catches signals for the whole process and gives them as numbers to read, in the order they came. What was set before
/// comes back when it is destroyed. One at a time.
class SignalQueue {
public:
    /// @param numbers  those that this process ignores (nohup) stay ignored
    explicit SignalQueue(const std::vector<int>& numbers);
    ~SignalQueue();
    SignalQueue(const SignalQueue&) = delete;
    SignalQueue& operator=(const SignalQueue&) = delete;

    /// Readable, for poll, when next() has something.
    int handle() const noexcept { return read_end_; }
    /// Does not wait. Several signals of one number may come as one.
    std::optional<int> next() noexcept;
    /// Ends this process as `number` does when nobody catches it. Returns only when that signal does nothing.
    static void die_by(int number) noexcept;

private:
    struct Before {
        int number;
        struct sigaction action;
    };
    int read_end_ = -1;
    std::vector<Before> before_;
};

/// The signals that a program which runs another one in its place hands on: all whose default would end or wake it, but
/// for those that no program can catch or that are about the program itself (faults, SIGCHLD, SIGPIPE, job control).
std::vector<int> forwardable_signals();

}  // namespace locald::host
