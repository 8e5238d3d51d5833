#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace locald::shim {

/// Where events and errors go: JSON lines on the report descriptor when there is one, else one line each on stderr.
class Reporter {
public:
    explicit Reporter(int fd) noexcept : fd_(fd) {}

    int fd() const noexcept { return fd_; }
    /// {"event":"started","pid":P}
    void started(pid_t pid) const;
    /// {"event":"exited","code":C,"signal":S,"oom":B}; `signal` is 0 after a normal exit.
    void exited(int code, int signal, bool oom) const;
    /// {"event":"error","kind":…,"errno":…,"message":…,"remedy":…,"exit_code":C}
    void error(const Error& error, int exit_code) const;
    /// {"event":"warning","message":…}
    void warning(const std::string& text) const;
    void warnings(const std::vector<std::string>& texts) const {
        for (const auto& text : texts) warning(text);
    }

private:
    void write(const std::string& line) const;

    int fd_;
};

}  // namespace locald::shim
