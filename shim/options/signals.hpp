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

/// A signal by number (0 asks only whether it could be sent), by name and by name without SIG, upper or lower case.
/// @throws Error(invalid) `unknown signal "…"`
int parse_signal(const std::string& text);

}  // namespace locald::shim
