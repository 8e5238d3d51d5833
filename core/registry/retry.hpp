#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "core/base/progress.hpp"
#include "core/registry/transport.hpp"

namespace locald::registry {

/// The longest Retry-After that is waited for; a longer one is the caller's business.
inline constexpr std::chrono::seconds longest_retry_after{60};

/// A Retry-After value: seconds, or an HTTP date counted from now. Nothing when it is neither.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value);

/// Counts the tries of one request and waits between them: 0.5 s, doubled each time up to 10 s, the upper half of it at
/// random, or what the server asked for.
class Retries {
public:
    explicit Retries(std::size_t most) : most_(most) {}

    /// Waits before the next try. @throws the failure itself when there is none left or the server asks for more
    /// patience than longest_retry_after; Error(cancelled)
    void wait_or_throw(const Transient& failure, const CancelToken& cancel);
    /// After real progress the count begins anew.
    void reset() noexcept { used_ = 0; }

private:
    std::size_t most_;
    std::size_t used_ = 0;
};

/// Runs `request` until it succeeds, fails for good or the tries are used up.
template <class F>
auto with_retries(std::size_t most, const CancelToken& cancel, F&& request) {
    Retries retries(most);
    for (;;) {
        try {
            return request();
        } catch (const Transient& failure) {
            retries.wait_or_throw(failure, cancel);
        }
    }
}

}  // namespace locald::registry
