#pragma once

#include <memory>
#include <vector>

#include "backends/remote/port_forwards.hpp"

namespace locald::backends {

/// Over a connection of their own, so that a large transfer delays no signal.
/// @param address  as parse_ssh_address takes it
std::shared_ptr<PortForwards> open_ssh_forwards(const std::string& address,
                                                const std::vector<bundle::PortOption>& ports);

}  // namespace locald::backends
