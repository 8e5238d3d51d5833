#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "shim/cgroup/dir.hpp"

namespace locald::shim {

/// Pauses that double from 100 µs to 10 ms, until a deadline.
class Backoff {
public:
    using Clock = std::chrono::steady_clock;
    explicit Backoff(Clock::duration most) : deadline_(Clock::now() + most) {}
    /// False when the time is up.
    bool wait();

private:
    static constexpr long first = 100'000, longest = 10'000'000;
    Clock::time_point deadline_;
    long pause_ = first;
};

/// A container's directory in one hierarchy.
struct CgroupPlace {
    const CgroupMount* mount = nullptr;
    std::string processes;  ///< where its processes are
    CgroupDir dir;          ///< of the limits, so that everything of the container is below it
};

/// Those of the recorded paths whose directories still exist.
std::vector<CgroupPlace> places_of(const std::vector<std::string>& paths);

}  // namespace locald::shim
