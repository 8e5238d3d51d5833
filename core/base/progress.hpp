#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace locald {

/// One step of a long call. `done` and `total` are bytes; `total` is 0 when it is not known.
struct Progress {
    std::string step;    ///< what is done: `download`, `unpack`, `resolve`, …
    std::string object;  ///< on what: a short digest, a reference
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    bool finished = false;  ///< the last report for this step and object
};

/// Called from any thread of the long call, never twice at the same time. May be empty.
using ProgressSink = std::function<void(const Progress&)>;

/// Asks a long call to end; copies share one flag. A default-made token can be asked as well.
class CancelToken {
public:
    void cancel() const noexcept { flag_->store(true); }
    bool cancelled() const noexcept { return flag_->load(); }
    /// @throws Error(cancelled) once cancel() was called
    void check() const;

private:
    std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace locald
