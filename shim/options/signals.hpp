#pragma once

#include <optional>
#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Blocks every signal that is not a fault of this process's own and gives SIGCHLD its default, so that children can be
/// waited for whatever our caller ignored. @return a signalfd of all that are to be forwarded
posix::UniqueFd take_signals();

/// The next signal to forward; nothing when none is waiting.
std::optional<int> next_signal(const posix::UniqueFd& signals);

/// A signal as core/base reads it, `SIGRTMIN+3` included, or 0, which asks only whether one could be sent.
/// @throws Error(invalid) `unknown signal "…"`
int parse_signal(const std::string& text);

}  // namespace locald::shim
