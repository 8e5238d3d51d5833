#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>

#include "backends/agent/request.hpp"

namespace locald::backends {

/// A container in the foreground of a client.
class RunRequest final : public Request {
public:
    RunRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
               const nlohmann::json& message);
    ~RunRequest() override;

    void message(const nlohmann::json& message) override;
    void closed(protocol::FrameType type) override;
    void abandon() override;

protected:
    nlohmann::json work() override;

private:
    void end(std::chrono::milliseconds grace);
    void open_ports(int in, int out, int err);
    void let_go();

    bundle::Source source_;
    bundle::RunOptions options_;
    bool wants_input_;
    std::optional<host::TerminalSize> terminal_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::unique_ptr<runtime::ContainerHandle> container_;
    std::set<protocol::FrameType> open_;  ///< readers
    std::atomic<bool> abandoned_ = false;
    bool ended_ = false;
    std::thread ender_;
};

}  // namespace locald::backends
