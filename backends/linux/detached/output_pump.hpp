#pragma once

#include <array>
#include <functional>
#include <mutex>

#include "backends/linux/detached/output_hub.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

/// Reads all that a container says into a hub.
class OutputPump {
public:
    explicit OutputPump(OutputHub& hub);
    /// Reads until both ends, or a while after ended() when something keeps one open. A terminal's end comes only then.
    /// @param err  -1 for a terminal
    void run(int out, int err, bool terminal);
    /// The container is gone. From any thread.
    void ended() noexcept;

private:
    OutputHub& hub_;
    posix::UniqueFd wake_read_, wake_write_;
    std::mutex mutex_;
};

}  // namespace locald::backends
