#pragma once

#include <chrono>
#include <memory>

#include "backends/remote/reconnect.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// The whole facade, done by an agent on another kernel. The first call that needs it connects.
/// @param reconnect_most  how long to try to connect again, once the connection was lost; 0: never
std::unique_ptr<runtime::ContainerRuntime> make_remote_runtime(
    Connect connect, std::chrono::milliseconds reconnect_most = std::chrono::milliseconds(0));

/// For a host over a network.
inline constexpr std::chrono::milliseconds reconnect_to_host_most = std::chrono::seconds(60);

}  // namespace locald::backends
