#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "backends/agent/request.hpp"

namespace locald::backends {

/// A container in the foreground of a client, one more process in one, or the streams of a detached one.
class RunRequest final : public Request {
public:
    RunRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
               const nlohmann::json& message);
    ~RunRequest() override;

    void message(const nlohmann::json& message) override;
    void abandon() override;

protected:
    nlohmann::json work() override;

private:
    void end(std::chrono::milliseconds grace);
    void open_ports(int in, int out, int err);
    void let_go();

    std::unique_ptr<runtime::ContainerHandle> open_handle(const runtime::Stdio& stdio);
    std::optional<runtime::ExitStatus> wait_or_leave(runtime::ContainerHandle& container);
    bool is_attachment() const noexcept { return message_.at("do") == "attach"; }

    const nlohmann::json message_;
    bool wants_input_;
    std::optional<host::TerminalSize> terminal_;

    std::mutex mutex_;
    std::unique_ptr<runtime::ContainerHandle> container_;
    std::atomic<bool> abandoned_ = false;
    bool ended_ = false;
    std::thread ender_;
};

}  // namespace locald::backends
