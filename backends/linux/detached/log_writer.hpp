#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "backends/linux/detached/log_format.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

/// Writes the log of one container. What cannot be written is left out, so that a full disk stops nobody.
class LogWriter {
public:
    explicit LogWriter(std::string directory) : directory_(std::move(directory)) {}
    /// @param offset  of the first byte in all the output
    void append(OutputStream stream, std::int64_t time, std::uint64_t offset, std::string_view bytes) noexcept;

private:
    bool open_segment(std::uint64_t offset);

    std::string directory_;
    posix::UniqueFd file_;
    std::string record_;
    std::size_t size_ = 0;
    std::deque<std::string> segments_;
};

}  // namespace locald::backends
