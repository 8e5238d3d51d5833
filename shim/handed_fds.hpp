#pragma once

#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Throws with runc's words when a descriptor of --preserve-fds is not there.
void check_preserved(unsigned count);

/// A connection to the listening unix socket at `path`; the error names the option.
posix::UniqueFd connect_to(const std::string& path, const char* option);

}  // namespace locald::shim
