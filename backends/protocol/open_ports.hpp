#pragma once

#include <condition_variable>
#include <mutex>
#include <set>

#include "backends/protocol/frame.hpp"

namespace locald::protocol {

/// The ports of one stream whose end has not come, to wait for it. Thread-safe.
class OpenPorts {
public:
    void opened(FrameType type) {
        const std::lock_guard lock(mutex_);
        open_.insert(type);
    }
    void closed(FrameType type) {
        const std::lock_guard lock(mutex_);
        open_.erase(type);
        changed_.notify_all();
    }
    void wait_closed() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return open_.empty(); });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<FrameType> open_;
};

}  // namespace locald::protocol
