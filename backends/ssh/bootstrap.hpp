#pragma once

#include <string>
#include <vector>

#include "backends/ssh/bootstrap_script.hpp"
#include "backends/ssh/guest_pair.hpp"
#include "backends/ssh/session.hpp"

namespace locald::backends {

/// Starts the agent on the other host, which is the pair for its architecture at a place named by its content; puts the
/// pair there first where it is not. The start is one command, so one way there and back.
/// @param host  for error texts
/// @return the channel to the agent, of which the next byte is the agent's first
/// @throws Error that names the stage, the host, the words of the other side and the remedy
SshChannel start_agent(SshSession& session, const std::string& host, const std::vector<GuestPair>& pairs,
                       AgentMode mode = AgentMode::link);

/// What to say about an agent that ended before its greeting.
Error explain_agent_end(const Error& error, const std::string& host, const RemoteExit& exit);

}  // namespace locald::backends
