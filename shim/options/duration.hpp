#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace locald::shim {

/// A time as Go programs write it: `5s`, `1m30s`, `1.5h`, `100ms`. Nothing for anything else; a number alone is nothing
/// but 0.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace locald::shim
