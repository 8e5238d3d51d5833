#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/host/handle.hpp"

namespace locald::backends {

/// A key that ssh-agent holds.
struct AgentKey {
    std::string blob;  ///< its public half as it goes over the wire
    std::string comment;
    /// ssh-ed25519, ssh-rsa, …: how the blob begins.
    std::string type() const;
};

/// The keys of ssh-agent(1), by its own protocol (draft-miller-ssh-agent): libssh2 1.10 waits for a silent agent
/// without end, takes a part of an answer for all of it, and has RSA sign by SHA-1 whatever the server said.
class KeyAgent {
public:
    using Deadline = std::chrono::steady_clock::time_point;

    /// @param place  the path of its socket, or `$NAME` for the variable that has it
    /// @throws Error(not_found) when the variable is not set, Error(unavailable), Error(denied) for another user's
    KeyAgent(const std::string& place, Deadline end);

    /// @throws Error also when it does not answer in time
    std::vector<AgentKey> keys();
    /// The signature alone, without the name of its kind.
    /// @param data  what a client of SSH signs to log in (RFC 4252, section 7); it names the kind
    /// @throws Error(denied) when the agent will not
    std::string sign(const AgentKey& key, std::string_view data);

private:
    std::string ask(std::string_view request);
    void transfer(char* bytes, std::size_t size, bool out);

    std::string path_;
    host::Handle socket_;
    Deadline end_;
};

/// The answer to "which keys": one byte of its kind, then its body. @throws Error(corrupt)
std::vector<AgentKey> parse_agent_keys(std::string_view answer);
/// The kind of signature that a request to log in names. @throws Error(corrupt)
std::string signature_kind_of(std::string_view request);
/// The answer to "sign", whose signature must be of this kind. @throws Error(corrupt), Error(denied)
std::string parse_agent_signature(std::string_view answer, const std::string& kind);

}  // namespace locald::backends
