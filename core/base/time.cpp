#include "core/base/time.hpp"

#include <array>
#include <chrono>
#include <cstdio>

#include "core/base/text.hpp"

namespace locald {

namespace {

constexpr std::int64_t second = 1'000'000'000;

/// Takes `digits` decimal digits, and `after` where it is not NUL, from the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits, char after) {
    if (text.size() < digits) return std::nullopt;
    const auto number = parse_u64(text.substr(0, digits));
    if (!number) return std::nullopt;
    text.remove_prefix(digits);
    if (after != '\0') {
        if (text.empty() || text.front() != after) return std::nullopt;
        text.remove_prefix(1);
    }
    return static_cast<int>(*number);
}

/// `.123`, which is no part of the number when it is missing.
std::int64_t take_fraction(std::string_view& text) {
    if (text.empty() || text.front() != '.') return 0;
    text.remove_prefix(1);
    std::int64_t fraction = 0;
    for (std::int64_t unit = second / 10; !text.empty() && text.front() >= '0' && text.front() <= '9'; unit /= 10) {
        fraction += unit * (text.front() - '0');
        text.remove_prefix(1);
    }
    return fraction;
}

/// Minutes east of Greenwich.
std::optional<int> take_offset(std::string_view& text) {
    if (text.empty()) return 0;
    const char sign = text.front();
    text.remove_prefix(1);
    if (sign == 'Z' || sign == 'z') return 0;
    if (sign != '+' && sign != '-') return std::nullopt;
    const auto hours = take_number(text, 2, ':');
    const auto minutes = hours ? take_number(text, 2, '\0') : std::nullopt;
    if (!minutes) return std::nullopt;
    return (sign == '-' ? -1 : 1) * (*hours * 60 + *minutes);
}

}  // namespace

std::int64_t now_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string rfc3339(std::int64_t nanoseconds) {
    using namespace std::chrono;
    const auto seconds_part = floor<seconds>(std::chrono::nanoseconds(nanoseconds));
    const sys_seconds when{seconds_part};
    const auto day = floor<days>(when);
    const year_month_day date{day};
    const hh_mm_ss time{when - day};
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%09dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()),
                  static_cast<int>(nanoseconds - seconds_part.count() * second));
    return text.data();
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    const auto y = take_number(text, 4, '-');
    const auto m = y ? take_number(text, 2, '-') : std::nullopt;
    const auto d = m ? take_number(text, 2, '\0') : std::nullopt;
    if (!d) return std::nullopt;
    const year_month_day date{year(*y), month(static_cast<unsigned>(*m)), day(static_cast<unsigned>(*d))};
    if (!date.ok()) return std::nullopt;
    std::int64_t total = std::int64_t{sys_days(date).time_since_epoch().count()} * 86'400;
    std::int64_t fraction = 0;
    if (!text.empty()) {
        if (text.front() != 'T' && text.front() != 't' && text.front() != ' ') return std::nullopt;
        text.remove_prefix(1);
        const auto hour = take_number(text, 2, ':');
        const auto minute = hour ? take_number(text, 2, '\0') : std::nullopt;
        if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
        total += *hour * 3'600 + *minute * 60;
        if (!text.empty() && text.front() == ':') {
            text.remove_prefix(1);
            const auto seconds_part = take_number(text, 2, '\0');
            if (!seconds_part || *seconds_part > 60) return std::nullopt;
            total += *seconds_part;
            fraction = take_fraction(text);
        }
        const auto east = take_offset(text);
        if (!east || !text.empty()) return std::nullopt;
        total -= *east * 60;
    }
    return total * second + fraction;
}

}  // namespace locald
