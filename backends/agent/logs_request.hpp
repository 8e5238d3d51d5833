#pragma once

#include <condition_variable>
#include <mutex>
#include <set>

#include "backends/agent/request.hpp"

namespace locald::backends {

/// The output of a detached container, as it was or as it comes.
class LogsRequest final : public Request {
public:
    LogsRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
                const nlohmann::json& message);

    void closed(protocol::FrameType type) override;

protected:
    nlohmann::json work() override;

private:
    const std::string id_;
    const runtime::LogOptions options_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<protocol::FrameType> open_;
};

}  // namespace locald::backends
