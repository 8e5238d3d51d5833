#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "backends/protocol/frame.hpp"
#include "backends/protocol/timing.hpp"
#include "core/base/error.hpp"

namespace locald::backends {

/// Lets many clients share one agent: their streams get numbers of the relay's on the way there, and their own on the
/// way back. A client sees what it would see of the agent itself. Whoever goes away has his streams abandoned.
class Relay {
public:
    /// Takes both handles.
    /// @param listener  a listening socket; each connection is a client, and only this user's are taken
    /// @param host  what a client must ask for
    Relay(int agent, int listener, std::string host, const protocol::LinkTiming& timing = {});
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// @return why the agent did not greet, or nothing
    std::optional<Error> wait_for_greeting(std::chrono::milliseconds most);
    /// Until a client says so, the agent is lost, or there was no client for `idle`. The clients are told why.
    void run(std::chrono::milliseconds idle);

private:
    using Clock = std::chrono::steady_clock;

    struct Client {
        int handle = -1;
        protocol::FrameReader reader;
        std::string outgoing;
        std::map<std::uint32_t, std::uint32_t> streams;  ///< its number → ours
        bool gone = false;
    };
    struct Owner {
        Client* client = nullptr;  ///< none: it is gone, and the agent has not ended the stream yet
        std::uint32_t stream = 0;
    };

    bool step(std::chrono::milliseconds idle);
    void accept_client();
    void read_client(Client& client);
    void take_from_client(Client& client, const protocol::Frame& frame);
    void take_own(Client& client, const protocol::Frame& frame);
    void pass_on(Client& client, const protocol::Frame& frame);
    void read_agent();
    void pass_back(const protocol::Frame& frame);
    void take_from_agent(const protocol::Frame& frame);
    void drop(Client& client);
    void lose(const Error& why);
    /// @return false when the other side is gone
    static bool flush(int handle, std::string& outgoing);

    int agent_, listener_;
    const std::string host_;  ///< what a client must ask for
    const std::string name_;  ///< for error texts
    const protocol::LinkTiming timing_;
    protocol::FrameReader from_agent_;
    std::string to_agent_, greeting_;
    std::deque<std::unique_ptr<Client>> clients_;
    std::map<std::uint32_t, Owner> owners_;  ///< our number → whose
    std::uint32_t next_ = 1;
    Clock::time_point heard_ = Clock::now(), pinged_ = Clock::now(), used_ = Clock::now();
    bool ends_ = false;
    std::optional<Error> lost_;
};

}  // namespace locald::backends
