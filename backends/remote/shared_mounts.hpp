#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backends/protocol/values.hpp"
#include "core/bundle/options.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Asks an agent what these paths are on its host, in the form of agent/mount_check.hpp.
using AskMounts = std::function<protocol::Json(const std::vector<std::string>& paths)>;

/// Gives every bind mount its source on the host of the containers.
/// @param ask  called once, and only when there is something to ask
/// @throws Error for a source that is not shared, and for one that is something else there than here: nothing is made,
/// there or here
void map_mounts(bundle::RunOptions& options, const std::vector<runtime::SharedTree>& shared, const AskMounts& ask);

}  // namespace locald::backends
