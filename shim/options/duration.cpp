#include "shim/options/duration.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace locald::shim {

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, double>, 8> units{
        {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"μs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}}};
    if (text == "0") return std::chrono::nanoseconds(0);
    double sign = 1;
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
        sign = text.front() == '-' ? -1 : 1;
        text.remove_prefix(1);
    }
    if (text.empty()) return std::nullopt;
    double sum = 0;
    while (!text.empty()) {
        double number = 0;
        const auto result = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
        // from_chars knows `inf` and `nan`, too.
        if (result.ec != std::errc() || text.front() == '-' || !std::isfinite(number)) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(result.ptr - text.data()));
        bool known = false;
        for (const auto& [name, scale] : units) {
            // `m` must not be taken from `ms`.
            if (!text.starts_with(name) || (name == "m" && text.starts_with("ms"))) continue;
            sum += number * scale;
            text.remove_prefix(name.size());
            known = true;
            break;
        }
        if (!known) return std::nullopt;
    }
    constexpr double most = 9e18;
    if (sum > most) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(sign * sum));
}

}  // namespace locald::shim
