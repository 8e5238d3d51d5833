#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "backends/remote/bulk_images.hpp"
#include "backends/remote/port_forwards.hpp"
#include "backends/remote/port_holder.hpp"
#include "backends/remote/reconnect.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// What the containers need that is on this side of the way.
struct OtherHost {
    std::vector<runtime::SharedTree> shared;  ///< the only files of this host that a container there can have
    OpenForwards open_forwards;
    ConnectBulk open_bulk{};  ///< a connection more, for images alone, so that they hold up nothing else
    /// The same for a container in the background; none where there is no program to do it.
    std::function<std::unique_ptr<PortHolder>(const std::vector<bundle::PortOption>&)> hold_ports{};
    CredentialSource credentials{};  ///< of this host, for what is pulled over there
};

/// The whole facade, done by an agent on another kernel. The first call that needs it connects.
/// @param reconnect_most  how long to try to connect again, once the connection was lost; 0: never
/// @param other  empty where the agent is on this host, and files and ports are the same
std::unique_ptr<runtime::ContainerRuntime> make_remote_runtime(
    Connect connect, std::chrono::milliseconds reconnect_most = std::chrono::milliseconds(0),
    std::optional<OtherHost> other = {});

/// For a host over a network.
inline constexpr std::chrono::milliseconds reconnect_to_host_most = std::chrono::seconds(60);

}  // namespace locald::backends
