#pragma once

#include <chrono>
#include <string>

namespace locald::backends {

/// A connected socket. Both address families are tried at a small distance from each other.
/// @param name  for error texts
/// @throws Error that tells an unknown name, a closed port, and no answer apart
int connect_tcp(const std::string& host, unsigned port, const std::string& name, std::chrono::milliseconds most);

/// Whether the other side of a connection has closed it, or it broke: nothing comes but what is here already.
bool has_hung_up(int socket) noexcept;

}  // namespace locald::backends
