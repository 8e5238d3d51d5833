#pragma once

#include <string>

#include "backends/remote/holder.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Containers of another Linux host, `choice.host`, over SSH. Nothing is connected before the first call. The command's
/// goes by way of a process that keeps the connection (remote/holder.hpp) unless LOCALD_HOLDER is `no`; the library's
/// connects itself.
std::unique_ptr<runtime::ContainerRuntime> make_ssh_runtime(const runtime::RuntimeChoice& choice);

/// An agent for one image, over a connection of its own.
AgentLink open_ssh_bulk(const std::string& host);

/// The body of the hidden verb `host-holder HOST`. Not for people.
int hold_ssh(const std::string& host);

/// `TYPE SHA256:…` of the key that it shows, which nobody has checked.
std::string ask_ssh_host_key(const std::string& address);

}  // namespace locald::backends
