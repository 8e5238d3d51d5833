#include "backends/protocol/timing.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::protocol {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t lease_most_seconds = 86'400;  // a day
// A login shell has a profile to read, however short the lease is.
constexpr std::chrono::milliseconds greeting_least = 5s;

}  // namespace

LinkTiming timing_between_hosts() {
    LinkTiming timing;
    const char* wanted = std::getenv("LOCALD_LEASE");
    if (wanted == nullptr || *wanted == '\0') return timing;
    const auto seconds = parse_u64(wanted);
    if (!seconds || *seconds < 1 || *seconds > lease_most_seconds) {
        throw Error(ErrorKind::invalid, "use LOCALD_LEASE: " + json_quote(wanted) + " is no number of seconds")
            .with_remedy("set it to a number from 1 to 86400, or not at all");
    }
    timing.lease = std::chrono::seconds(*seconds);
    timing.ping = std::min(timing.ping, timing.lease / 6);
    timing.silence = std::min(timing.silence, timing.lease * 2 / 3);
    timing.greeting = std::clamp(timing.lease * 2 / 3, greeting_least, timing.greeting);
    return timing;
}

}  // namespace locald::protocol
