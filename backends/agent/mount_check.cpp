#include "backends/agent/mount_check.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "backends/protocol/seen_path.hpp"

namespace locald::backends {

namespace {

namespace fs = std::filesystem;
using protocol::Json;

/// proc(5): blanks, tabs, line ends and backslashes are octal in mountinfo.
std::string unescaped(const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size()) {
            result += text[i];
            continue;
        }
        result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
        i += 3;
    }
    return result;
}

std::vector<std::string> mount_points() {
    std::vector<std::string> points;
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string id, parent, device, root, point;
        words >> id >> parent >> device >> root >> point;
        points.push_back(unescaped(point));
    }
    return points;
}

/// The mount point with the longest name that `path`, which has no links, lies below.
std::string mount_of(const std::string& path, const std::vector<std::string>& points) {
    std::string best;
    for (const auto& point : points) {
        const bool inside = point == "/" || path == point || path.starts_with(point + "/");
        if (inside && point.size() >= best.size()) best = point;
    }
    return best;
}

Json check(const std::string& path, const std::vector<std::string>& points) {
    auto seen = protocol::look_at(path);
    if (seen.kind == "none") return protocol::write_seen_path(seen);
    std::error_code error;
    const auto real = fs::canonical(path, error);
    if (!error) seen.mount = mount_of(real.string(), points);
    return protocol::write_seen_path(seen);
}

}  // namespace

Json check_mounts(const Json& paths) {
    const auto points = mount_points();
    auto all = Json::array();
    for (const auto& path : paths) all.push_back(check(path.get<std::string>(), points));
    return all;
}

}  // namespace locald::backends
