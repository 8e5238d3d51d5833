#include "shim/cgroup/stats.hpp"

#include "core/base/text.hpp"
#include "shim/cgroup/places.hpp"
#include "shim/cgroup/stats_read.hpp"

namespace locald::shim {

CgroupStats read_stats(const std::vector<std::string>& cgroups) {
    CgroupStats stats;
    for (const auto& place : places_of(cgroups)) {
        if (place.mount->v2) {
            read_v2_stats(place.dir, stats);
        } else {
            read_v1_stats(place.dir, *place.mount, stats);
        }
    }
    return stats;
}

std::optional<Pressure> parse_pressure(std::string_view text) {
    Pressure pressure;
    bool any = false;
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        if (words.front() != "some" && words.front() != "full") continue;
        Pressure::Line& out = words.front() == "some" ? pressure.some : pressure.full;
        for (const auto word : words) {
            const auto equals = word.find('=');
            if (equals == std::string_view::npos) continue;
            const auto key = word.substr(0, equals);
            const auto value = word.substr(equals + 1);
            if (value.empty() || value.find_first_not_of("0123456789.") != std::string_view::npos) continue;
            if (key == "avg10") out.avg10 = value;
            if (key == "avg60") out.avg60 = value;
            if (key == "avg300") out.avg300 = value;
            if (key == "total") out.total = parse_u64(value).value_or(0);
        }
        any = true;
    }
    return any ? std::optional(pressure) : std::nullopt;
}

std::vector<std::uint16_t> parse_number_list(std::string_view text) {
    constexpr std::uint64_t most = 0xFFFF;
    std::vector<std::uint16_t> numbers;
    for (const auto part : split(trim(text), ',')) {
        const auto dash = part.find('-');
        const auto first = parse_u64(part.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_u64(part.substr(dash + 1));
        if (!first || !last || *last > most) continue;
        for (std::uint64_t number = *first; number <= *last; ++number) {
            numbers.push_back(static_cast<std::uint16_t>(number));
        }
    }
    return numbers;
}

std::vector<CgroupStats::Interface> parse_interfaces(std::string_view net_dev) {
    // `  eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop …`
    constexpr std::size_t least = 12, sent = 8;
    std::vector<CgroupStats::Interface> interfaces;
    for (const auto line : split(net_dev, '\n')) {
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const std::string name(trim(line.substr(0, colon)));
        if (name == "lo") continue;
        std::vector<std::uint64_t> counts;
        for (const auto word : split(line.substr(colon + 1), ' ')) {
            if (const auto count = parse_u64(word)) counts.push_back(*count);
        }
        if (counts.size() < least) continue;
        interfaces.push_back({name, counts[0], counts[1], counts[2], counts[3], counts[sent], counts[sent + 1],
                              counts[sent + 2], counts[sent + 3]});
    }
    return interfaces;
}

}  // namespace locald::shim
