#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

/// One line that the shim wrote to its report descriptor.
struct ShimEvent {
    enum class Kind { started, exited, failed, warning } kind = Kind::warning;
    int pid = 0;                 ///< started
    host::ExitStatus status;     ///< exited
    bool oom_killed = false;     ///< exited
    std::optional<Error> error;  ///< failed
    std::string text;            ///< warning
};

/// @throws Error(corrupt) for a line that is no event
ShimEvent parse_shim_event(std::string_view line);

/// Reads the report of one shim, line by line.
class ShimReport {
public:
    /// Of nobody: has no event.
    ShimReport() = default;
    explicit ShimReport(posix::UniqueFd pipe) : pipe_(std::move(pipe)) {}
    /// The next event; nothing when the shim has closed its end. Blocks.
    std::optional<ShimEvent> next();
    /// Gives our end up; a shim that still runs then ends its container.
    void close() noexcept { pipe_.reset(); }

private:
    posix::UniqueFd pipe_;
    std::string pending_;
};

}  // namespace locald::backends
