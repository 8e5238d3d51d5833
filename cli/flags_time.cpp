#include "cli/flags_time.hpp"

#include <limits>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

namespace locald::cli {

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::uint64_t most_seconds = std::numeric_limits<std::int64_t>::max() / second;

std::optional<std::int64_t> parse_duration(std::string_view text) {
    std::uint64_t total = 0;
    while (!text.empty()) {
        const auto digits = text.find_first_not_of("0123456789");
        if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
        const auto number = parse_u64(text.substr(0, digits));
        const char unit = text[digits];
        const std::uint64_t scale = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3'600 : 0;
        if (!number || scale == 0 || *number > most_seconds / 3'600) return std::nullopt;
        total += *number * scale;
        text.remove_prefix(digits + 1);
    }
    if (total > most_seconds) return std::nullopt;
    return static_cast<std::int64_t>(total) * second;
}

}  // namespace

std::int64_t parse_time_flag(const std::string& flag, const std::string& text, std::int64_t now) {
    if (const auto seconds = parse_u64(text); seconds && *seconds <= most_seconds) {
        return static_cast<std::int64_t>(*seconds) * second;
    }
    if (const auto duration = text.empty() ? std::nullopt : parse_duration(text)) return now - *duration;
    if (const auto time = parse_rfc3339(text)) return *time;
    throw Error(ErrorKind::invalid, flag + " " + json_quote(text) +
                                        ": expected a duration like 10m, a time like 2024-03-01T12:00:00Z, or seconds");
}

}  // namespace locald::cli
