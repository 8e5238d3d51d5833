#pragma once

#include <cstdint>
#include <string>

namespace locald::cli {

/// A moment as docker takes it: a duration before `now` (`90s`, `1h30m`), an RFC 3339 time, or seconds since 1970.
/// @return nanoseconds since 1970
/// @throws Error(invalid) that names the flag
std::int64_t parse_time_flag(const std::string& flag, const std::string& text, std::int64_t now);

}  // namespace locald::cli
