#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/linux/detached/log_format.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

/// Reads the log of one container, also while it is being written.
class LogReader {
public:
    /// @param from  bytes of output, counted from its start
    LogReader(std::string directory, std::uint64_t from) : directory_(std::move(directory)), position_(from) {}
    /// The next piece; nothing when all was read that is there now.
    std::optional<LogPiece> next();
    /// Where the next piece begins, if nothing is missing.
    std::uint64_t position() const noexcept { return position_; }

private:
    bool open_first();
    bool open_next();
    void fill();
    std::optional<LogPiece> parse();
    std::optional<LogPiece> read_on();

    std::string directory_;
    std::uint64_t position_;
    posix::UniqueFd file_;
    std::uint64_t segment_ = 0;  ///< where the open one begins
    off_t file_at_ = 0;          ///< of the front of `buffer_`
    std::string buffer_;
    std::size_t at_ = 0;
};

}  // namespace locald::backends
