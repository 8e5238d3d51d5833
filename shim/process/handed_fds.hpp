#pragma once

#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// The caller's descriptors that a process of the container gets, from 3 on.
struct HandedFds {
    unsigned listening = 0;  ///< by the LISTEN_FDS protocol; they come first
    unsigned preserved = 0;  ///< by --preserve-fds
    /// The first that is not handed on.
    unsigned end() const noexcept { return 3 + listening + preserved; }
};

/// How many descriptors LISTEN_FDS gives to this process: sd_listen_fds(3). None when LISTEN_PID is another's.
unsigned listen_fds();

/// Throws with runc's words when one is not there; makes all others close-on-exec.
void keep_only(const HandedFds& fds);

/// A connection to the listening unix socket at `path`; the error names the option.
posix::UniqueFd connect_to(const std::string& path, const char* option);

}  // namespace locald::shim
