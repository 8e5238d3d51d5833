#include "cli/flags_values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "core/base/signal_name.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

constexpr std::int64_t cpu_period_us = 100'000;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter_or_digit(char c) noexcept {
    const char l = lower(c);
    return is_digit(c) || (l >= 'a' && l <= 'z');
}

/// A decimal number without sign and exponent: `1`, `1.5`, `.5`.
std::optional<double> parse_decimal(std::string_view text) {
    const bool digits = std::any_of(text.begin(), text.end(), is_digit);
    const bool only = std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || c == '.'; });
    if (!digits || !only || std::count(text.begin(), text.end(), '.') > 1 || text.size() > 30) return std::nullopt;
    double value = 0;
    const auto end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
    return value;
}

std::optional<std::int64_t> parse_i64(std::string_view text) {
    std::int64_t value = 0;
    const auto end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
    return value;
}

bool is_ipv4(std::string_view text) {
    const auto parts = split(text, '.');
    return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
               const auto number = parse_u64(part);
               return part.size() <= 3 && number.value_or(256) <= 255;
           });
}

/// Enough to keep names and typing errors out of /etc/hosts; the container's resolver is the judge of the rest.
bool looks_like_ipv6(std::string_view text) {
    const auto colons = std::count(text.begin(), text.end(), ':');
    return colons >= 2 && colons <= 8 && std::all_of(text.begin(), text.end(), [](char c) {
               const char l = lower(c);
               return is_digit(c) || (l >= 'a' && l <= 'f') || c == ':' || c == '.';
           });
}

}  // namespace

Error bad_value(std::string_view flag, std::string_view value, std::string_view why) {
    return {ErrorKind::invalid, std::string(flag) + " " + json_quote(value) + ": " + std::string(why)};
}

std::uint64_t parse_size(std::string_view flag, std::string_view value) {
    const auto fail = [&] { return bad_value(flag, value, "expected a size like 512m, 1.5g or a number of bytes"); };
    const auto unit_at = value.find_first_not_of("0123456789.");
    std::string unit;
    if (unit_at != std::string_view::npos) {
        std::string_view rest = value.substr(unit_at);
        if (rest.starts_with(' ')) rest.remove_prefix(1);
        for (const char c : rest) unit += lower(c);
    }
    const auto number = parse_decimal(value.substr(0, unit_at));
    if (!number) throw fail();
    double factor = 1;
    if (unit != "b" && !unit.empty()) {
        const auto power = std::string_view("kmgtp").find(unit[0]);
        const std::string_view rest = std::string_view(unit).substr(1);
        if (power == std::string_view::npos || (!rest.empty() && rest != "b" && rest != "ib")) throw fail();
        factor = std::ldexp(1.0, 10 * (static_cast<int>(power) + 1));
    }
    const double bytes = *number * factor;
    if (bytes >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
        throw bad_value(flag, value, "that is more than any host has");
    }
    return static_cast<std::uint64_t>(bytes);
}

std::optional<std::int64_t> parse_memory(std::string_view value) {
    constexpr std::uint64_t least = 6U << 20U;
    const auto bytes = parse_size("--memory", value);
    if (bytes == 0) return std::nullopt;
    if (bytes < least) throw bad_value("--memory", value, "the least is 6m");
    return static_cast<std::int64_t>(bytes);
}

std::optional<std::int64_t> parse_cpus(std::string_view value) {
    const auto number = parse_decimal(value);
    if (!number) throw bad_value("--cpus", value, "expected a number of processors like 2 or 0.5");
    if (*number == 0) return std::nullopt;
    // The kernel takes no quota below 1 ms.
    if (*number < 0.01) throw bad_value("--cpus", value, "the least is 0.01");
    if (*number > 1'000'000) throw bad_value("--cpus", value, "that is more than any host has");
    return std::llround(*number * static_cast<double>(cpu_period_us));
}

std::optional<std::int64_t> parse_pids_limit(std::string_view value) {
    const auto number = parse_i64(value);
    if (!number || *number < -1) {
        throw bad_value("--pids-limit", value, "expected a number of processes, or -1 for no limit");
    }
    if (*number == 0) return std::nullopt;
    return number;
}

bundle::UlimitOption parse_ulimit(std::string_view value) {
    static constexpr std::array<std::string_view, 16> names{
        "as",     "core", "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
        "nofile", "nice", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
    const auto fail = [&](std::string_view why) { return bad_value("--ulimit", value, why); };
    const auto equals = value.find('=');
    if (equals == std::string_view::npos) throw fail("expected NAME=SOFT[:HARD], like nofile=1024:4096");
    const std::string_view name = value.substr(0, equals);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
        std::string known;
        for (const auto one : names) known += (known.empty() ? "" : ", ") + std::string(one);
        throw fail("unknown limit; known are " + known);
    }
    const auto limit = [&](std::string_view text) -> std::uint64_t {
        if (text == "-1" || text == "unlimited") return std::numeric_limits<std::uint64_t>::max();
        const auto number = parse_u64(text);
        if (!number) throw fail("expected a number, or -1 for no limit");
        return *number;
    };
    const auto limits = split(value.substr(equals + 1), ':');
    if (limits.size() > 2) throw fail("expected NAME=SOFT[:HARD]");
    bundle::UlimitOption option;
    option.type = "RLIMIT_";
    for (const char c : name) option.type += static_cast<char>(c - 'a' + 'A');
    option.soft = limit(limits.front());
    option.hard = limit(limits.back());
    if (option.soft > option.hard) throw fail("the soft limit is above the hard limit");
    return option;
}

std::string parse_stop_signal(std::string_view value) {
    in_step("--stop-signal", [&] { locald::parse_signal(value); });
    return std::string(value);
}

std::pair<std::string, std::string> parse_add_host(std::string_view value, bundle::NetworkMode network) {
    const auto fail = [&](std::string_view why) { return bad_value("--add-host", value, why); };
    // docker takes `=` as well, which an IPv6 address cannot be confused with.
    auto cut = value.find('=');
    if (cut == std::string_view::npos) cut = value.find(':');
    if (cut == std::string_view::npos || cut == 0) throw fail("expected NAME:ADDRESS");
    const std::string name(value.substr(0, cut));
    if (!std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_'; })) {
        throw fail("that is no host name");
    }
    std::string_view address = value.substr(cut + 1);
    if (address == "host-gateway") {
        if (network != bundle::NetworkMode::host) throw fail("without a network there is no way to the host");
        return {name, "127.0.0.1"};
    }
    if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
    }
    if (!is_ipv4(address) && !looks_like_ipv6(address)) throw fail("expected an IPv4 or IPv6 address");
    return {name, std::string(address)};
}

std::string parse_hostname(std::string_view value) {
    constexpr std::size_t most = 64;  // the kernel's own bound, __NEW_UTS_LEN
    const bool legal =
        !value.empty() && value.size() <= most && is_letter_or_digit(value.front()) &&
        is_letter_or_digit(value.back()) &&
        std::all_of(value.begin(), value.end(), [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-'; });
    if (!legal) throw bad_value("--hostname", value, "expected at most 64 letters, digits, dots and hyphens");
    return std::string(value);
}

std::string parse_workdir(std::string_view value) {
    if (!value.starts_with('/')) throw bad_value("--workdir", value, "it needs to be an absolute path");
    return std::string(value);
}

bundle::NetworkMode parse_network(std::string_view value) {
    if (value == "host") return bundle::NetworkMode::host;
    if (value == "none") return bundle::NetworkMode::none;
    throw bad_value("--network", value, "this network is not available")
        .with_remedy("use host or none; " + std::string(network_sentence));
}

bundle::PullPolicy parse_pull(std::string_view value) {
    if (value == "missing") return bundle::PullPolicy::missing;
    if (value == "always") return bundle::PullPolicy::always;
    if (value == "never") return bundle::PullPolicy::never;
    throw bad_value("--pull", value, "expected always, missing or never");
}

bundle::UserNamespaceMode parse_userns(std::string_view value) {
    if (value == "keep-id") return bundle::UserNamespaceMode::keep_id;
    if (value.empty() || value == "auto") return bundle::UserNamespaceMode::automatic;
    throw bad_value("--userns", value, "expected keep-id or auto");
}

bool parse_security_opt(std::string_view value) {
    for (const std::string_view separator : {"=", ":"}) {
        if (value == "no-new-privileges" || value == "no-new-privileges" + std::string(separator) + "true") return true;
        if (value == "no-new-privileges" + std::string(separator) + "false") return false;
    }
    throw bad_value("--security-opt", value, "only no-new-privileges is available");
}

}  // namespace locald::cli
