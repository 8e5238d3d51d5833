#pragma once

#include "backends/agent/request.hpp"

namespace locald::backends {

/// The output of a detached container, as it was or as it comes.
class LogsRequest final : public Request {
public:
    LogsRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
                const nlohmann::json& message);

protected:
    nlohmann::json work() override;

private:
    const std::string id_;
    const runtime::LogOptions options_;
};

}  // namespace locald::backends
