#pragma once

#include <cstdint>
#include <string>

namespace locald::host {

/// A listening TCP socket of the caller's.
/// @param address  numeric, of either family
/// @param port  0: the kernel picks one
/// @throws Error that names both, and whoever has the port where that can be seen
int listen_tcp(const std::string& address, std::uint16_t port);

/// The port of a listening socket.
std::uint16_t port_of(int listener);

/// Whoever listens on `port` of this host, for an error text: `pid 12 (nginx)`, `a process of user 33`; empty when it
/// is not known.
std::string holder_of_port(std::uint16_t port);

}  // namespace locald::host
