#pragma once

#include "backends/protocol/values.hpp"

namespace locald::backends {

/// What the sources of bind mounts are on this host: for each path its kind, whether it is an empty directory, and
/// where that which it lies on is mounted.
protocol::Json check_mounts(const protocol::Json& paths);

}  // namespace locald::backends
