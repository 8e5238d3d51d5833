#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace locald {

/// The wall clock in nanoseconds since 1970.
std::int64_t now_nanoseconds();
/// `2024-03-01T12:00:00.000000001Z`.
std::string rfc3339(std::int64_t nanoseconds);
/// An RFC 3339 time with `Z` or an offset; the date alone, or without an offset, is in UTC.
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace locald
