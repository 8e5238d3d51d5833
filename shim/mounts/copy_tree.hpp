#pragma once

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Copies what is in the directory `from` into the directory `to`: files, directories, links, owners and modes.
/// Devices, sockets and pipes are left out. Links are copied, never followed; other mounts below `from` are not
/// entered.
void copy_tree(const posix::UniqueFd& from, const posix::UniqueFd& to, bool mode_too);

}  // namespace locald::shim
