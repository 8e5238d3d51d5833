#pragma once

#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "backends/agent/credential_question.hpp"
#include "backends/protocol/multiplexer.hpp"
#include "backends/protocol/open_ports.hpp"
#include "core/base/progress.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// One thing that a client asked for, in a thread of its own, which sends what comes of it.
class Request {
public:
    Request(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream)
        : runtime_(runtime), link_(link), stream_(stream) {}
    virtual ~Request() = default;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    void start();
    void join();
    bool finished() const noexcept { return finished_; }

    /// What the client says about it later.
    virtual void message(const nlohmann::json& message);
    /// A reader or writer of the stream is done.
    void closed(protocol::FrameType type) { readers_.closed(type); }
    /// Nobody waits for it any more.
    virtual void abandon() { cancel_.cancel(); }

protected:
    /// @return what the last message says
    virtual nlohmann::json work() = 0;
    void send(const nlohmann::json& message) { link_.send(stream_, message); }
    ProgressSink progress();
    /// What a pull of this request asks: the client, where its message `offer` says that it looks credentials up, else
    /// nobody.
    CredentialSource credentials(const nlohmann::json& offer);
    void read_from(protocol::FrameType type, protocol::Port port);
    /// Until all that the readers had is sent.
    void wait_read() { readers_.wait_closed(); }

    runtime::ContainerRuntime& runtime_;
    protocol::Multiplexer& link_;
    const std::uint32_t stream_;
    const CancelToken cancel_;

private:
    CredentialQuestion question_;
    protocol::OpenPorts readers_;
    std::atomic<bool> finished_ = false;
    std::thread thread_;
};

/// In a handler of an exception: the message that tells of it.
nlohmann::json caught_error();

/// @throws Error(unsupported) when `message` asks for something that this version does not know
std::unique_ptr<Request> make_request(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link,
                                      std::uint32_t stream, const nlohmann::json& message);

}  // namespace locald::backends
