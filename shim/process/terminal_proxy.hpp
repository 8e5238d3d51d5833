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
    /// How long to poll at most before look_again(), in milliseconds; -1: for ever.
    int patience() const noexcept;
    /// Says once more that the input has ended, where the first time may not have been understood.
    void look_again();
    /// Copies what the container's processes have written so far.
    void drain();

private:
    void take_input();
    bool copy_output();
    void flush_pending();
    void end_input(const termios& now);

    posix::UniqueFd master_;
    termios before_{};
    bool raw_ = false, input_open_ = true, output_open_ = true;
    bool in_a_line_ = false;  ///< the last of the input was no line end
    termios ended_{};         ///< how the terminal was read when the end was said
    int patience_ = 0;
    std::string pending_;  ///< read from standard input and not yet taken by the container
};

}  // namespace locald::shim
