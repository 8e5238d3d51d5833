#pragma once

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// A procfs of the calling thread's pid namespace that is mounted nowhere, so nothing can be mounted over its files.
posix::UniqueFd make_own_procfs();

}  // namespace locald::shim
