#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/remote/agent_client.hpp"

namespace locald::backends {

/// A process of the user's that keeps the connection to one host, so that the next command needs no key exchange.
/// Its socket is below the runtime directory, in a directory that is the user's alone.
struct Holder {
    std::string host;    ///< as it was named
    std::string socket;  ///< a path
    int pid = 0;
    unsigned clients = 0;  ///< beside whoever asks
};

/// An agent by way of the holder of `host`, which is started when there is none: `program host-holder HOST`.
/// @throws Error what the new holder says about why it cannot connect
std::shared_ptr<AgentClient> connect_by_holder(const std::string& host, const std::string& program);

/// The holders that run. Sockets that nobody listens at are removed.
std::vector<Holder> list_holders();
/// Ends the holder of `host`, or all when it is empty. @return those that were ended
std::vector<Holder> end_holders(const std::string& host);

/// A connection to an agent, and whatever it needs to live.
struct AgentLink {
    int handle = -1;                             ///< whoever takes it closes it
    std::function<Error(const Error&)> explain;  ///< says why an agent ended before it greeted
    std::shared_ptr<void> keeps;
};
/// The body of the holder: connects, listens, tells whoever started it that it is ready or why not, and serves until
/// nobody used it for some minutes. @return an exit code
int hold(const std::string& host, const std::function<AgentLink()>& connect);

}  // namespace locald::backends
