#include "shim/mounts/mount_table.hpp"

#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>

#include "core/base/text.hpp"
#include "shim/base/mountinfo.hpp"

namespace locald::shim {

std::vector<MountEntry> parse_mount_table(std::string_view text) {
    std::vector<MountEntry> table;
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        constexpr std::ptrdiff_t fixed = 6;  // words before the optional ones
        if (words.size() < fixed + 2 || !words[4].starts_with('/')) continue;
        const auto dash = std::find(words.begin() + fixed, words.end(), "-");
        if (dash == words.end() || dash + 1 == words.end()) continue;
        const auto id = parse_u64(words[0]);
        const auto parent = parse_u64(words[1]);
        const auto colon = words[2].find(':');
        const auto major = parse_u64(words[2].substr(0, colon));
        const auto minor = colon == std::string_view::npos ? std::nullopt : parse_u64(words[2].substr(colon + 1));
        if (!id || !parent || !major || !minor) continue;
        const auto device = makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor));
        table.push_back({*id, *parent, device, unescape_mountinfo(words[3]), unescape_mountinfo(words[4]),
                         std::string(*(dash + 1))});
    }
    return table;
}

bool is_on_mount(const std::vector<MountEntry>& table, std::uint64_t id, std::uint64_t below) {
    for (std::size_t steps = 0; steps <= table.size(); ++steps) {
        if (id == below) return true;
        const auto at = std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.id == id; });
        if (at == table.end()) return false;
        id = at->parent;
    }
    return false;
}

}  // namespace locald::shim
