#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/hosts/ssh_address.hpp"
#include "backends/remote/holder.hpp"
#include "backends/ssh/bootstrap_script.hpp"
#include "backends/ssh/session.hpp"
#include "backends/ssh/ssh_config.hpp"

namespace locald::backends {

/// A host after ssh_config was read: where it is and how to get in.
struct SshRoute {
    std::string name;  ///< as the user wrote it
    std::string host, user;
    unsigned port = 22;
    std::vector<std::string> identity_files;
    std::vector<std::string> known_hosts;
    std::string known_as;              ///< its name in known_hosts
    std::string host_key;              ///< `[TYPE ]SHA256:…`: this key, whatever known_hosts says
    std::string agent;                 ///< as Login has it
    bool agent_keys_of_files = false;  ///< as Login has it
    std::vector<SshRoute> jumps;       ///< from here on, the first first
};

/// Reads ~/.ssh/config and /etc/ssh/ssh_config. @throws Error
SshRoute find_route(const SshAddress& address);

/// Connects through all jumps and logs in. The sessions of the jumps live as long as the result.
std::shared_ptr<SshSession> open_session(const SshRoute& route, std::chrono::milliseconds most);

/// The key that the server shows, which nobody has checked; it is not logged in.
HostKey ask_host_key(const SshRoute& route);

/// An agent over a session of its own, put there first where it is not.
AgentLink open_agent(const SshRoute& route, AgentMode mode = AgentMode::link);
/// The same with its client.
std::shared_ptr<AgentClient> connect_agent(const SshRoute& route);

}  // namespace locald::backends
