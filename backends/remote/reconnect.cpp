#include "backends/remote/reconnect.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include "core/base/log.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds rest_most = 5s;
// A cancel token cannot wake anybody, so it is looked at.
constexpr std::chrono::milliseconds look_at_cancel = 50ms;

}  // namespace

std::chrono::milliseconds Backoff::next(double chance) noexcept {
    const auto longest = std::exchange(longest_, std::min(longest_ * 2, rest_most));
    return longest / 2 + std::chrono::milliseconds(static_cast<std::int64_t>(
                             static_cast<double>((longest / 2).count()) * std::clamp(chance, 0.0, 1.0)));
}

std::chrono::milliseconds Backoff::next() {
    std::random_device random;
    return next(std::uniform_real_distribution<>(0, 1)(random));
}

bool may_pass(const Error& error) noexcept {
    return error.kind() == ErrorKind::unavailable || error.kind() == ErrorKind::lost;
}

std::string told_as_started_anew(const AgentClient& client) {
    return client.host() + " was started anew meanwhile: what ran there is gone";
}

std::shared_ptr<AgentClient> connect_again(const Connect& connect, std::chrono::milliseconds most,
                                           const CancelToken& cancel) {
    const auto end = Clock::now() + most;
    for (Backoff backoff;;) {
        try {
            return connect();
        } catch (const Error& e) {
            if (!may_pass(e)) throw;
            const auto next = Clock::now() + backoff.next();
            if (next >= end) throw;
            log(LogLevel::debug, std::string("connect again: ") + e.what());
            while (Clock::now() < next) {
                cancel.check();
                std::this_thread::sleep_for(std::min<Clock::duration>(look_at_cancel, next - Clock::now()));
            }
        }
    }
}

}  // namespace locald::backends
