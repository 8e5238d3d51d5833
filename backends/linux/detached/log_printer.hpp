#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "backends/linux/detached/log_format.hpp"
#include "core/runtime/detached.hpp"

namespace locald::backends {

/// Chooses the lines of a log that are wanted, and writes them to two handles.
class LogPrinter {
public:
    LogPrinter(const runtime::LogOptions& options, int out, int err) : options_(options), out_(out), err_(err) {}

    /// The first pass: only counts the lines, so that the last of them can be told.
    void count(const LogPiece& piece);
    /// The second pass. @throws Error(unavailable) when nobody reads
    void print(const LogPiece& piece);
    /// Tells of bytes that are missing.
    void tell_lost(std::uint64_t bytes) const;

private:
    struct Line {
        bool open = false;  ///< begun, and its end has not come
        bool shown = false;
    };
    Line& line_of(OutputStream stream) { return lines_[stream == OutputStream::out ? 0 : 1]; }
    bool is_in_time(std::int64_t time) const;
    bool begins_shown(std::int64_t time);

    runtime::LogOptions options_;
    int out_, err_;
    std::array<Line, 2> lines_{};
    std::uint64_t lines_counted_ = 0;
    std::uint64_t to_skip_ = 0;
    bool printing_ = false;
};

}  // namespace locald::backends
