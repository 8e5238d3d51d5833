#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace locald::backends {

/// When a reader's place is to be told again: after some output or some time.
class MarkPace {
public:
    bool is_due(std::uint64_t position) {
        const auto now = Clock::now();
        if (told_at_ && position < position_ + bytes && now < *told_at_ + time) return false;
        told_at_ = now;
        position_ = position;
        return true;
    }

private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::uint64_t bytes = 64U << 10U;
    static constexpr std::chrono::milliseconds time{100};

    std::optional<Clock::time_point> told_at_;
    std::uint64_t position_ = 0;
};

}  // namespace locald::backends
