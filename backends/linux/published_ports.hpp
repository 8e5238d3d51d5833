#pragma once

#include <vector>

#include "core/bundle/options.hpp"

namespace locald::backends {

/// A container has this host's network: what it opens is open here, under the same number, and nothing is forwarded.
/// So a port is published by being the same on both sides, which is checked, and by being free.
/// @return with the numbers of those that were left open
/// @throws Error for another number or address, and for a port that somebody has
std::vector<bundle::PortOption> check_published_ports(std::vector<bundle::PortOption> ports);

}  // namespace locald::backends
