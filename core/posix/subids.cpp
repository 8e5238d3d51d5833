#include "core/posix/subids.hpp"

#include <fcntl.h>

#include <algorithm>
#include <limits>

#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::posix {

namespace {

constexpr std::uint64_t most_id = std::numeric_limits<std::uint32_t>::max();

struct Line {
    std::string owner;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
};

/// Those that are ranges; the others are passed over, as the programs of shadow do.
std::vector<Line> lines_of(const std::string& text) {
    std::vector<Line> found;
    for (const auto line : split(text, '\n')) {
        const auto fields = split(trim(line), ':');
        if (fields.size() != 3) continue;
        const auto first = parse_u64(fields[1]);
        const auto count = parse_u64(fields[2]);
        if (!first || !count || *count == 0 || *first > most_id || *count > most_id) continue;
        found.push_back({std::string(fields[0]), *first, *count});
    }
    return found;
}

/// A number of /etc/login.defs: `KEY value`.
std::uint64_t number_of(const std::string& login_defs, std::string_view key, std::uint64_t otherwise) {
    for (auto line : split(login_defs, '\n')) {
        line = trim(line);
        if (!line.starts_with(key) || line.size() == key.size() ||
            (line[key.size()] != ' ' && line[key.size()] != '\t'))
            continue;
        const auto value = parse_u64(trim(line.substr(key.size())));
        if (value && *value > 0 && *value <= most_id) return *value;
    }
    return otherwise;
}

std::string text_of(const char* path) {
    const UniqueFd file = open_if_exists(path, O_RDONLY);
    return file ? read_all(file, path) : std::string();
}

bool is_same_user(const std::string& one, const std::string& other) {
    const auto name = [](const std::string& owner) {
        const auto number = parse_u64(owner);
        const std::string known = number && *number <= most_id ? user_name(static_cast<uid_t>(*number)) : std::string();
        return known.empty() ? owner : known;
    };
    return name(one) == name(other);
}

}  // namespace

std::string user_name(uid_t uid) {
    const std::string text = text_of("/etc/passwd");
    for (const auto line : split(text, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() >= 4 && parse_u64(fields[2]) == uid) return std::string(fields[0]);
    }
    return {};
}

std::vector<IdRange> parse_subid(const std::string& text, const std::string& user, std::uint32_t id) {
    std::vector<IdRange> ranges;
    for (const auto& line : lines_of(text)) {
        const bool ours = (!user.empty() && line.owner == user) || parse_u64(line.owner) == id;
        if (!ours || line.count > most_id - line.first) continue;
        // Root's id or the caller's own inside a grant would map one id twice, or hand out more than a grant may.
        if (line.first == 0 || (id >= line.first && id - line.first < line.count)) continue;
        ranges.push_back({static_cast<std::uint32_t>(line.first), static_cast<std::uint32_t>(line.count)});
    }
    return ranges;
}

std::optional<IdRange> free_subid_range(const std::string& subuid, const std::string& subgid,
                                        const std::string& login_defs) {
    const std::uint64_t count = number_of(login_defs, "SUB_UID_COUNT", 65536);
    std::uint64_t end = number_of(login_defs, "SUB_UID_MIN", 100000);
    for (const auto* text : {&subuid, &subgid}) {
        for (const auto& line : lines_of(*text)) end = std::max(end, line.first + line.count);
    }
    const std::uint64_t first = (end + count - 1) / count * count;
    if (first + count > most_id) return std::nullopt;
    return IdRange{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count)};
}

std::string subid_command(const std::string& user) {
    const auto range = free_subid_range(text_of("/etc/subuid"), text_of("/etc/subgid"), text_of("/etc/login.defs"));
    if (!range) return {};
    const std::string ids =
        std::to_string(range->first) + "-" + std::to_string(std::uint64_t{range->first} + range->count - 1);
    return "sudo usermod --add-subuids " + ids + " --add-subgids " + ids + " " + user;
}

std::string SubidOverlap::str() const {
    return one + " and " + other + " have the ids " + std::to_string(first) + " to " + std::to_string(last);
}

std::vector<SubidOverlap> subid_overlaps(const std::string& text,
                                         bool (*same_user)(const std::string& one, const std::string& other)) {
    auto lines = lines_of(text);
    std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.first < b.first; });
    constexpr std::size_t most = 1000;  // a file in which everybody has everything is told by fewer
    std::vector<SubidOverlap> found;
    for (std::size_t i = 0; i < lines.size() && found.size() < most; ++i) {
        const std::uint64_t end = lines[i].first + lines[i].count;
        for (std::size_t j = i + 1; j < lines.size() && lines[j].first < end && found.size() < most; ++j) {
            if (same_user(lines[i].owner, lines[j].owner)) continue;
            const std::uint64_t last = std::min(end, lines[j].first + lines[j].count) - 1;
            found.push_back({lines[i].owner, lines[j].owner, lines[j].first, last});
        }
    }
    return found;
}

std::vector<SubidOverlap> subid_overlaps_in(const char* path) { return subid_overlaps(text_of(path), is_same_user); }

}  // namespace locald::posix
