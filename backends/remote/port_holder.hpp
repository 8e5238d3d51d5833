#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/remote/port_forwards.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// A process of the user's that forwards the ports of a container in the background, for as long as it runs. It ends
/// with this value unless it was told whose ports they are.
class PortHolder final : public PortForwards {
public:
    /// `program port-holder ADDRESS`; returns once it listens. @throws Error as it says it
    PortHolder(const std::string& address, const std::vector<bundle::PortOption>& ports, const std::string& program);
    ~PortHolder() override;
    PortHolder(const PortHolder&) = delete;
    PortHolder& operator=(const PortHolder&) = delete;

    const std::vector<bundle::PortOption>& ports() const noexcept override { return ports_; }
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }
    /// From now on it is on its own, until the container ends.
    void hold_for(const std::string& container);

private:
    int talk_ = -1;
    std::vector<bundle::PortOption> ports_;
    std::vector<std::string> warnings_;
};

/// The body of the hidden verb `port-holder ADDRESS`. @return an exit code
int hold_ports(const OpenForwards& open, const std::function<std::unique_ptr<runtime::ContainerRuntime>()>& connect);

}  // namespace locald::backends
