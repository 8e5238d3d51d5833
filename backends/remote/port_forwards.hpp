#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/bundle/options.hpp"

namespace locald::backends {

/// Ports of this host that lead to ports of another, until it is destroyed. What was said on a connection by then still
/// arrives.
class PortForwards {
public:
    virtual ~PortForwards() = default;
    /// As they were asked for, with the ports that were picked.
    virtual const std::vector<bundle::PortOption>& ports() const noexcept = 0;
    /// For people: what of this will not be as they think.
    virtual const std::vector<std::string>& warnings() const noexcept = 0;
};

/// Listens, and makes sure that the other side forwards. @throws Error
using OpenForwards = std::function<std::shared_ptr<PortForwards>(const std::vector<bundle::PortOption>&)>;

}  // namespace locald::backends
