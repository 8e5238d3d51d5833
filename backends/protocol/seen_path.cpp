#include "backends/protocol/seen_path.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "core/base/error.hpp"

namespace locald::protocol {

namespace {

const char* kind_of(const struct stat& info) {
    if (S_ISDIR(info.st_mode)) return "directory";
    if (S_ISREG(info.st_mode)) return "file";
    if (S_ISSOCK(info.st_mode)) return "socket";
    if (S_ISFIFO(info.st_mode)) return "fifo";
    return "device";
}

}  // namespace

SeenPath look_at(const std::string& path) {
    SeenPath seen;
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
        seen.why = errno_text(errno);
        return seen;
    }
    seen.kind = kind_of(info);
    if (S_ISDIR(info.st_mode)) {
        std::error_code error;
        const std::filesystem::directory_iterator entries(path, error);
        seen.empty = !error && entries == std::filesystem::directory_iterator();
    }
    return seen;
}

Json write_seen_path(const SeenPath& seen) {
    return {{"kind", seen.kind}, {"empty", seen.empty}, {"mount", seen.mount}, {"why", seen.why}};
}

SeenPath read_seen_path(const Json& json) {
    SeenPath seen;
    seen.kind = json.at("kind").get<std::string>();
    seen.empty = json.at("empty").get<bool>();
    seen.mount = without_escapes(json.at("mount").get<std::string>());
    seen.why = without_escapes(json.at("why").get<std::string>());
    return seen;
}

}  // namespace locald::protocol
