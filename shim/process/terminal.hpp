#pragma once

#include <optional>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// A pseudo terminal of the container's own devpts.
struct Terminal {
    posix::UniqueFd master, slave;
};

/// Opens dev/pts/ptmx below `root`, which must be the multiplexer of a devpts, and the slave by TIOCGPTPEER: no path of
/// the image is walked a second time.
Terminal open_terminal(const posix::UniqueFd& root, const std::optional<oci::ConsoleSize>& size);

/// Sends the master over the connected socket `console`.
void send_master(const posix::UniqueFd& console, const Terminal& terminal);

/// Makes the slave descriptors 0, 1 and 2 and the controlling terminal of this session's leader.
void enter_terminal(const Terminal& terminal);

/// Lets the container's user reopen its standard streams: terminals and pipes get his id where the kernel allows it.
void own_standard_streams(const oci::User& user);

}  // namespace locald::shim
