#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "backends/remote/agent_client.hpp"
#include "core/base/progress.hpp"

namespace locald::backends {

/// Connects to an agent, by a way that is looked up anew each time.
using Connect = std::function<std::shared_ptr<AgentClient>()>;

/// How long to wait before each next attempt: 100 ms, then twice as long each time up to 5 s, and a part of that by
/// chance, so that those who lost one host do not all come back at once.
class Backoff {
public:
    /// @param chance  from 0 to 1
    std::chrono::milliseconds next(double chance) noexcept;
    std::chrono::milliseconds next();

private:
    std::chrono::milliseconds longest_ = std::chrono::milliseconds(100);
};

/// Whether the same may succeed in a moment: nobody answered, or he was gone again. A host that shows another key,
/// refuses ours or has another version of the agent does so the next time as well.
bool may_pass(const Error& error) noexcept;

/// For people: its kernel is not the one that was there before.
std::string told_as_started_anew(const AgentClient& client);

/// Connects again until it succeeds, it cannot succeed, or `most` is over. @throws Error of the last attempt
std::shared_ptr<AgentClient> connect_again(const Connect& connect, std::chrono::milliseconds most,
                                           const CancelToken& cancel);

}  // namespace locald::backends
