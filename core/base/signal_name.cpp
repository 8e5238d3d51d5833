#include "core/base/signal_name.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald {

namespace {

constexpr int rt_min = 34, rt_max = 64;  // as glibc and musl number them for programs: 32 and 33 are the library's own

constexpr std::array<std::pair<std::string_view, int>, 35> names{{
    {"HUP", 1},   {"INT", 2},    {"QUIT", 3},    {"ILL", 4},   {"TRAP", 5},  {"ABRT", 6},  {"IOT", 6},
    {"BUS", 7},   {"FPE", 8},    {"KILL", 9},    {"USR1", 10}, {"SEGV", 11}, {"USR2", 12}, {"PIPE", 13},
    {"ALRM", 14}, {"TERM", 15},  {"STKFLT", 16}, {"CHLD", 17}, {"CLD", 17},  {"CONT", 18}, {"STOP", 19},
    {"TSTP", 20}, {"TTIN", 21},  {"TTOU", 22},   {"URG", 23},  {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26},
    {"PROF", 27}, {"WINCH", 28}, {"IO", 29},     {"POLL", 29}, {"PWR", 30},  {"SYS", 31},  {"UNUSED", 31},
}};

int find_number(std::string_view name) {
    for (const auto& [known, number] : names) {
        if (known == name) return number;
    }
    if (name == "RTMIN") return rt_min;
    if (name == "RTMAX") return rt_max;
    const auto offset = name.size() > 6 ? parse_u64(name.substr(6)) : std::nullopt;
    if (!offset || *offset > static_cast<std::uint64_t>(rt_max - rt_min)) return 0;
    if (name.starts_with("RTMIN+")) return rt_min + static_cast<int>(*offset);
    if (name.starts_with("RTMAX-")) return rt_max - static_cast<int>(*offset);
    return 0;
}

}  // namespace

int parse_signal(std::string_view text) {
    std::string upper(text);
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (const auto number = parse_u64(upper); number && *number >= 1 && *number <= static_cast<std::uint64_t>(rt_max)) {
        return static_cast<int>(*number);
    }
    std::string_view name = upper;
    if (name.starts_with("SIG")) name.remove_prefix(3);
    if (const int number = find_number(name); number != 0) return number;
    throw Error(ErrorKind::invalid, "unknown signal " + json_quote(text))
        .with_remedy("take a name such as TERM or SIGKILL, a number from 1 to 64, or SIGRTMIN+N");
}

}  // namespace locald
