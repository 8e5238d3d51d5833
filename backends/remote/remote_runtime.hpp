#pragma once

#include <functional>
#include <memory>

#include "backends/remote/agent_client.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Connects to an agent, when the first call needs it.
using Connect = std::function<std::shared_ptr<AgentClient>()>;

/// The whole facade, done by an agent on another kernel.
/// @param name  of the backend, for probe()
std::unique_ptr<runtime::ContainerRuntime> make_remote_runtime(Connect connect);

}  // namespace locald::backends
