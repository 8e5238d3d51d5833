#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "core/base/progress.hpp"

namespace locald::cli {

/// Shows how far a long call is, on stderr: one line that is written over on a terminal, else one line for everything
/// that is done. Nothing appears for what takes no time.
class ProgressLine {
public:
    explicit ProgressLine(bool quiet);
    /// Takes the line away.
    ~ProgressLine();
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    /// What a long call takes; refers to this object.
    ProgressSink sink();
    /// Takes the line away until the next report, so that others can write.
    void clear();

private:
    struct Item {
        std::uint64_t done = 0, total = 0;
        bool finished = false;
    };
    using Clock = std::chrono::steady_clock;

    void report(const Progress& progress);
    std::string line() const;

    std::mutex mutex_;
    bool quiet_, terminal_, shown_ = false;
    Clock::time_point last_{};
    std::map<std::pair<std::string, std::string>, Item> items_;  ///< by step and object
};

}  // namespace locald::cli
