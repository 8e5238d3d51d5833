#pragma once

#include <chrono>

namespace locald::protocol {

/// How long the two ends of a link wait for each other.
struct LinkTiming {
    std::chrono::milliseconds greeting = std::chrono::seconds(20);  ///< from the start of the agent
    std::chrono::milliseconds ping = std::chrono::seconds(5);       ///< how often each asks whether the other is there
    std::chrono::milliseconds silence = std::chrono::seconds(20);   ///< when the client takes the connection for lost
    std::chrono::milliseconds lease = std::chrono::seconds(30);     ///< when the agent takes the client for gone
};

/// That of links to other hosts. LOCALD_LEASE says the lease in seconds; below 30 of them all else is as much shorter.
/// @throws Error(invalid)
LinkTiming timing_between_hosts();

}  // namespace locald::protocol
