#pragma once

// The log of a detached container: segments named by where in the output they begin, `log.00000000000000012345`, and
// in each one records
//
//     o 1732860000123456789 12345 17\n<17 bytes>\n
//
// stream (o or e), nanoseconds since 1970, where in the output of both streams the bytes begin, how many they are. What
// could not be written is a gap between one record's end and the next one's beginning.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::backends {

enum class OutputStream : char { out = 'o', err = 'e' };

/// Some bytes of output.
struct LogPiece {
    OutputStream stream = OutputStream::out;
    std::int64_t time = 0;     ///< nanoseconds since 1970
    std::uint64_t offset = 0;  ///< of its first byte in all the output
    std::string bytes;
    std::uint64_t lost = 0;  ///< bytes in front of it that are not there
};

/// A segment is closed above this, and the oldest one goes when there are more than so many.
inline constexpr std::size_t segment_most = 4U << 20U;
inline constexpr std::size_t segments_most = 4;
/// Output is read in blocks of at most this.
inline constexpr std::size_t piece_most = 64U << 10U;

void append_log_record(std::string& out, OutputStream stream, std::int64_t time, std::uint64_t offset,
                       std::string_view bytes);

/// The record at the front of `text`, and how long it is there. Nothing when there is no whole one.
struct ParsedRecord {
    LogPiece piece;
    std::size_t length = 0;
};
std::optional<ParsedRecord> parse_log_record(std::string_view text);

std::string segment_name(std::uint64_t offset);
/// Where each segment of a directory begins, in order.
std::vector<std::uint64_t> list_segments(const std::string& directory);

}  // namespace locald::backends
