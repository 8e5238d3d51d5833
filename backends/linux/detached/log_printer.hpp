#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "backends/linux/detached/log_format.hpp"
#include "core/runtime/detached.hpp"

namespace locald::backends {

/// Chooses the lines of a log that are wanted, and writes them to two handles.
class LogPrinter {
public:
    LogPrinter(const runtime::LogOptions& options, int out, int err);

    /// The first pass: only counts the lines, so that the last of them can be told.
    void count(const LogPiece& piece);
    /// Begins the second pass.
    void begin();
    /// The second pass. @throws Error(unavailable) when nobody reads
    void print(const LogPiece& piece);
    /// Tells of bytes that are missing.
    void tell_lost(std::uint64_t bytes);
    /// What is told of where it is, when all before `position` was printed; nothing while it passes over what the
    /// reader has already.
    std::optional<runtime::OutputPlace> place(std::uint64_t position) const;

private:
    struct Line {
        bool open = false;  ///< begun, and its end has not come
        bool shown = false;
    };
    Line& line_of(OutputStream stream) { return lines_[stream == OutputStream::out ? 0 : 1]; }
    bool is_in_time(std::int64_t time) const;
    bool begins_shown(std::int64_t time);
    void write(std::size_t stream, std::string_view text);

    runtime::LogOptions options_;
    int out_, err_;
    std::array<Line, 2> lines_{};
    std::uint64_t lines_counted_ = 0;
    std::uint64_t to_skip_ = 0;
    std::array<std::uint64_t, 2> had_{}, written_{};  ///< bytes of each stream
};

}  // namespace locald::backends
