#pragma once

#include <string>
#include <vector>

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// The other end of a remote runtime: does for one client, on this kernel, what `runtime` can do. Serves until the
/// client is gone; then the client's containers are stopped, by their stop signal and ten seconds later by SIGKILL, and
/// nothing of them is left when this returns.
/// @param in, out  the link; taken over
void serve_agent(runtime::ContainerRuntime& runtime, int in, int out);

/// The body of the hidden verb `agent --stdio`. Not for people.
int agent_main(const std::vector<std::string>& words);

}  // namespace locald::backends
