#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "backends/protocol/multiplexer.hpp"
#include "backends/protocol/open_ports.hpp"
#include "backends/protocol/timing.hpp"
#include "backends/protocol/values.hpp"
#include "core/base/progress.hpp"

namespace locald::backends {

using AgentTiming = protocol::LinkTiming;

/// One request under way: what came for it and was not looked at yet. Made by AgentClient::open().
class AgentStream {
public:
    std::uint32_t number() const noexcept { return number_; }
    /// The next message, or nothing after `most`. @throws Error when the connection is lost and nothing is left
    std::optional<protocol::Json> next(std::chrono::milliseconds most);
    /// Waits until all its writers wrote what came for them.
    void wait_written() { writers_.wait_closed(); }

private:
    friend class AgentClient;
    std::uint32_t number_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<protocol::Json> messages_;
    protocol::OpenPorts writers_;
    std::optional<Error> lost_;
};

/// Where the output of a call goes, and how much of it got there, also when the call failed.
struct CallOutput {
    int out = -1, err = -1;  ///< the caller's
    std::atomic<std::uint64_t> out_written = 0, err_written = 0;
    std::function<void(const protocol::Json&)> other;  ///< told what else the agent says
};

/// The connection to one agent. Thread-safe.
class AgentClient {
public:
    /// Takes the handles of a byte stream to an agent, which may be one number, and waits for its greeting.
    /// @param host  for error texts
    /// @throws Error that says what came instead of a greeting
    AgentClient(int in, int out, std::string host, const AgentTiming& timing = {});
    ~AgentClient();
    AgentClient(const AgentClient&) = delete;
    AgentClient& operator=(const AgentClient&) = delete;

    /// Which start of its kernel the agent runs on: another one than before means that all that ran there is gone.
    const std::string& boot() const noexcept { return hello_.boot; }
    const std::string& host() const noexcept { return host_; }
    bool lost();
    /// Its agent is on another host: what that one refuses or lacks is said of it, as "this host" in a remedy is not
    /// ours.
    void is_elsewhere() noexcept { elsewhere_ = true; }
    /// An error of the agent's.
    Error error_of(const protocol::Json& said) const;
    protocol::Multiplexer& link() noexcept { return link_; }

    /// A new request. `message` has a member "do"; send() starts it, so that ports can be made before.
    std::shared_ptr<AgentStream> open();
    void send(const AgentStream& stream, const protocol::Json& message) { link_.send(stream.number(), message); }
    /// Writes what comes for it to a handle.
    void write_to(AgentStream& stream, protocol::FrameType type, protocol::Port port);
    void close(const AgentStream& stream);

    /// Of a connection that a holder keeps (relay.hpp): what it says about itself, or nothing.
    std::optional<protocol::Json> holder_status(std::chrono::milliseconds most);

    /// Told what else the agent says about a request.
    using Other = std::function<void(const AgentStream&, const protocol::Json&)>;
    /// A request with one answer. @return its result
    protocol::Json call(protocol::Json message, const ProgressSink& progress = {}, const CancelToken& cancel = {},
                        const Other& other = {});
    /// The same with output.
    void call_with_output(protocol::Json message, CallOutput& output, const CancelToken& cancel);
    /// Waits for the message `wanted` of a request and hands progress on; asks the agent to end it once `cancel` says
    /// so. @throws Error what the agent says, or that it is lost
    protocol::Json wait_for(AgentStream& stream, std::string_view wanted, const ProgressSink& progress,
                            const CancelToken& cancel, const Other& other = {});

private:
    /// What an agent said about itself.
    struct Hello {
        unsigned protocol = 0;
        std::string version, boot;
    };
    static Hello read_hello(const protocol::Json& json);

    protocol::Json ask(protocol::Json message, CallOutput* output, const ProgressSink& progress,
                       const CancelToken& cancel, const Other& other);
    void take(std::uint32_t stream, const protocol::Json& message);
    void ping();
    void take_lost(const Error& why);
    void set_lost(const Error& error);

    const std::string host_;
    std::atomic<bool> elsewhere_ = false;
    protocol::Multiplexer link_;
    Hello hello_;

    std::mutex mutex_;
    std::condition_variable greeted_;
    bool has_hello_ = false;
    std::optional<Error> lost_;
    std::optional<protocol::Json> status_;
    std::uint32_t next_ = 1;
    std::map<std::uint32_t, std::shared_ptr<AgentStream>> streams_;
    const AgentTiming timing_;
    bool ends_ = false;
    std::condition_variable ending_;
    std::thread thread_, pinger_;
};

}  // namespace locald::backends
