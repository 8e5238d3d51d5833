#pragma once

#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// A created container waits for `start` on the socket `start` in its state directory. The socket also tells `created`
// from `running`, and truthfully after a kill -9 of anything: it is the waiting process's alone, and gone when that
// process executes its program or dies.

/// Makes the socket in the state directory; the first process inherits it.
posix::UniqueFd listen_for_start(const posix::UniqueFd& state_dir);

/// A connection to the process that waits there; empty when none waits. Never blocks.
posix::UniqueFd connect_to_waiting(const posix::UniqueFd& state_dir);

/// In the waiting process: the connection over which `execute` came. Connections that close without a word only looked.
posix::UniqueFd await_start(const posix::UniqueFd& listener);

}  // namespace locald::shim
