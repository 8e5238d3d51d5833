#pragma once

#include <poll.h>
#include <termios.h>

#include <array>
#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Joins our own terminal (standard input and output) with the master of a container's: for `run` and `exec -t` in the
/// foreground, where nobody gave a console socket. Standard input is raw as long as the object lives.
class TerminalProxy {
public:
    explicit TerminalProxy(posix::UniqueFd master);
    ~TerminalProxy();
    TerminalProxy(const TerminalProxy&) = delete;
    TerminalProxy& operator=(const TerminalProxy&) = delete;

    /// What to poll: standard input and the master.
    std::array<pollfd, 2> watched() const noexcept;
    void serve(const std::array<pollfd, 2>& polled);
    /// Gives the container's terminal the size of ours (SIGWINCH).
    void resize() const noexcept;
    /// Says that the input has ended, where it has. Once more a while after the start: a program that has made its
    /// terminal raw since takes the first for another character.
    void end_input();
    /// Copies what the container's processes have written so far.
    void drain();

private:
    void take_input();
    bool copy_output();
    void flush_pending();

    posix::UniqueFd master_;
    termios before_{};
    bool raw_ = false, input_open_ = true, output_open_ = true;
    bool in_a_line_ = false;  ///< the last of the input was no line end
    std::string pending_;     ///< read from standard input and not yet taken by the container
};

}  // namespace locald::shim
