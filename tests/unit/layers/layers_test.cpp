#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

// Who may include whom. CMake's PRIVATE and PUBLIC links stop a wrong call at the linker; this stops it where it is
// written, and keeps what is header-only (JSON, formatting, the command line parser) in the rooms that may know it.

namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// One room: which other rooms its files may include. A room may always include itself. Its path is a folder, or the
/// start of file names up to an underscore.
struct Room {
    std::string path;  ///< folder from the root; the longest that fits a file is its room
    std::set<std::string> may_use;
};

const std::vector<Room>& rooms() {
    static const std::vector<Room> table = {
        {"core/base", {}},
        {"core/posix", {"core/base"}},
        {"core/host", {"core/base"}},
        {"core/oci", {"core/base"}},
        {"core/registry/credentials", {"core/base", "core/host"}},
        {"core/registry", {"core/base", "core/host", "core/oci", "core/registry/credentials"}},
        {"core/image", {"core/base", "core/posix", "core/host", "core/oci", "core/registry"}},
        {"core/bundle", {"core/base", "core/oci"}},
        {"core/bundle/rootfs", {"core/base", "core/posix", "core/host", "core/oci", "core/image", "core/bundle"}},
        {"core/runtime", {"core/base", "core/host", "core/oci", "core/bundle"}},
        // What runs without a C library.
        {"shim/start", {}},
        {"shim/base", {"core/base", "core/posix", "core/oci"}},
        {"shim/options", {"core/base", "core/posix", "core/oci"}},
        {"shim/namespaces", {"core/base", "core/posix", "core/oci", "shim/start"}},
        {"shim/seccomp", {"core/base", "core/posix", "core/oci", "shim/start"}},
        {"shim/cgroup", {"core/base", "core/posix", "core/oci", "shim/start", "shim/base"}},
        {"shim/mounts",
         {"core/base", "core/posix", "core/oci", "shim/start", "shim/base", "shim/namespaces", "shim/cgroup"}},
        {"shim/criu", {"core/base", "core/posix", "core/oci", "shim/options", "shim/mounts"}},
        {"shim/process", {"core/base", "core/posix", "core/oci", "shim/start", "shim/base", "shim/mounts"}},
        {"shim/container",
         {"core/base", "core/posix", "core/oci", "shim/base", "shim/options", "shim/namespaces", "shim/seccomp",
          "shim/cgroup", "shim/mounts", "shim/process", "shim/start"}},
        {"shim/verbs",
         {"core/base", "core/posix", "core/oci", "shim/base", "shim/options", "shim/namespaces", "shim/seccomp",
          "shim/cgroup", "shim/mounts", "shim/criu", "shim/process", "shim/container"}},
        // What main starts, and what stands in for a libc.
        {"shim", {"core/base", "core/posix", "core/oci", "shim/start", "shim/base", "shim/process", "shim/verbs"}},
        {"hello", {"core/base", "core/oci"}},
        {"backends", {"core/base"}},
        // The table of backends sees every backend, and nothing else does.
        {"backends/table",
         {"core/base", "core/host", "core/oci", "core/bundle", "core/runtime", "backends", "backends/linux",
          "backends/remote", "backends/ssh"}},
        {"backends/linux",
         {"core/base", "core/posix", "core/host", "core/oci", "core/image", "core/bundle", "core/bundle/rootfs",
          "core/runtime", "backends", "backends/protocol", "backends/agent", "backends/remote", "hello"}},
        // What both ends of a link say, and the two ends.
        {"backends/protocol", {"core/base", "core/host", "core/oci", "core/bundle", "core/runtime"}},
        {"backends/agent", {"core/base", "core/host", "core/oci", "core/bundle", "core/runtime", "backends/protocol"}},
        {"backends/remote",
         {"core/base", "core/host", "core/oci", "core/bundle", "core/runtime", "backends/protocol", "backends/hosts"}},
        // Hosts that have names, and which of their trees are shared.
        {"backends/hosts", {"core/base", "core/host", "core/runtime"}},
        {"backends/ssh",
         {"core/base", "core/host", "core/oci", "core/bundle", "core/runtime", "backends/protocol", "backends/remote",
          "backends/hosts", "core/registry/credentials"}},
        {"cli",
         {"core/base", "core/host", "core/oci", "core/bundle", "core/runtime", "backends", "backends/agent",
          "backends/hosts", "backends/remote", "backends/table"}},
    };
    return table;
}

/// Headers of other projects and the only files that may include them: prefixes of paths from the root.
struct Foreign {
    std::string header;  ///< prefix of what stands between < and >
    Strings only_in;
};

const std::vector<Foreign>& foreign_headers() {
    static const std::vector<Foreign> table = {
        {"Poco/", {"core/registry/"}},
        {"CLI/", {"cli/"}},
        {"libssh2", {"backends/ssh/"}},
        {"openssl/", {"core/base/sha256.cpp", "core/registry/"}},
        {"zstd", {"core/image/"}},
        {"zlib", {"core/image/"}},
        {"isa-l", {"core/image/"}},
        {"seccomp", {"shim/"}},
        {"fmt/", {"core/registry/", "core/image/", "core/bundle/", "core/runtime/", "core/host/", "backends/", "cli/"}},
        {"gtest/", {}},
        {"gmock/", {}},
    };
    return table;
}

/// Where code for one platform lives; everywhere else the build adds or leaves out whole folders.
const Strings& platform_folders() {
    static const Strings table = {"core/posix/",     "core/host/posix/", "core/host/windows/",
                                  "backends/linux/", "backends/agent/",  "shim/",
                                  "hello/"};
    return table;
}

bool starts_with_any(const std::string& text, const Strings& prefixes) {
    for (const std::string& prefix : prefixes) {
        if (text.starts_with(prefix)) return true;
    }
    return false;
}

const Room* room_of(const std::string& file) {
    const Room* best = nullptr;
    for (const Room& room : rooms()) {
        const bool inside = file.starts_with(room.path + "/") || file.starts_with(room.path + "_");
        if (inside && (best == nullptr || room.path.size() > best->path.size())) {
            best = &room;
        }
    }
    return best;
}

/// Helpers of one room that speak JSON's own types: not installed, and not for other rooms.
bool is_json_helper(const std::string& file) { return fs::path(file).filename().string().starts_with("json_"); }

void check_own_include(const std::string& file, const std::string& target, Strings& findings) {
    const Room* from = room_of(file);
    const Room* to = room_of(target);
    if (to == nullptr) {
        findings.push_back(file + ": \"" + target + "\" is not a path from the root of the repository");
    } else if (from != to && is_json_helper(target)) {
        findings.push_back(file + ": \"" + target + "\" is for its own room only");
    } else if (from != to && !from->may_use.contains(to->path)) {
        findings.push_back(file + ": " + from->path + " may not use " + to->path + " (" + target + ")");
    }
}

/// Rooms whose business is messages in JSON, and whose headers nobody else includes.
bool speaks_json(const std::string& file) {
    return starts_with_any(file, {"backends/protocol/", "backends/agent/", "backends/remote/", "backends/ssh/"});
}

void check_foreign_include(const std::string& file, const std::string& header, Strings& findings) {
    for (const Foreign& rule : foreign_headers()) {
        if (header.starts_with(rule.header) && !starts_with_any(file, rule.only_in)) {
            findings.emplace_back(file).append(": <").append(header).append("> is not for this room");
        }
    }
    if (header.starts_with("nlohmann/") && file.ends_with(".hpp") && !is_json_helper(file) && !speaks_json(file)) {
        findings.push_back(file + ": <" + header + "> in a header makes every user of it parse JSON's templates");
    }
    if (header.starts_with("linux/") && !starts_with_any(file, platform_folders()) &&
        !file.starts_with("core/image/") && !file.starts_with("core/bundle/rootfs/")) {
        findings.push_back(file + ": <" + header + "> outside the folders for Linux");
    }
}

/// Everything that is wrong with the includes and platform switches of one file; `file` is its path from the root.
Strings findings_in(const std::string& file, std::istream& text) {
    static const std::regex own_include(R"(^\s*#\s*include\s*"([^"]+)\")");
    static const std::regex foreign_include(R"(^\s*#\s*include\s*<([^>]+)>)");
    static const std::regex platform_switch(
        R"(^\s*#\s*(if|ifdef|ifndef|elif)\b.*\b(__linux__|__APPLE__|_WIN32|_WIN64|__unix__|__MACH__|_MSC_VER)\b)");
    Strings findings;
    std::smatch match;
    for (std::string line; std::getline(text, line);) {
        if (std::regex_search(line, match, own_include)) {
            check_own_include(file, match[1], findings);
        } else if (std::regex_search(line, match, foreign_include)) {
            check_foreign_include(file, match[1], findings);
        } else if (std::regex_search(line, platform_switch) && !starts_with_any(file, platform_folders())) {
            findings.emplace_back(file).append(": a platform switch outside the platform folders: ").append(line);
        }
    }
    return findings;
}

Strings findings_in(const std::string& file, const std::string& text) {
    std::istringstream stream(text);
    return findings_in(file, stream);
}

/// Every C and C++ file of the product, as paths from the root.
Strings product_sources() {
    static const std::set<std::string> kinds = {".c", ".cpp", ".h", ".hpp"};
    Strings files;
    for (const char* folder : {"core", "shim", "hello", "backends", "cli"}) {
        for (const auto& entry : fs::recursive_directory_iterator(fs::path(LOCALD_SOURCE_DIR) / folder)) {
            if (!entry.is_regular_file() || !kinds.contains(entry.path().extension().string())) continue;
            files.push_back(fs::relative(entry.path(), LOCALD_SOURCE_DIR).string());
        }
    }
    return files;
}

TEST(Layers, EveryFileStandsInARoom) {
    const Strings files = product_sources();
    EXPECT_GT(files.size(), 50U) << "the sources were not found below " << LOCALD_SOURCE_DIR;
    for (const std::string& file : files) EXPECT_NE(room_of(file), nullptr) << file << " is in no room of the table";
}

TEST(Layers, NobodyIncludesWhatHisRoomMayNotUse) {
    for (const std::string& file : product_sources()) {
        std::ifstream text(fs::path(LOCALD_SOURCE_DIR) / file);
        EXPECT_THAT(findings_in(file, text), IsEmpty());
    }
}

TEST(Layers, EveryIncludedFileOfOursExists) {
    static const std::regex own_include(R"(^\s*#\s*include\s*"([^"]+)\")");
    for (const std::string& file : product_sources()) {
        std::ifstream text(fs::path(LOCALD_SOURCE_DIR) / file);
        std::smatch match;
        for (std::string line; std::getline(text, line);) {
            if (!std::regex_search(line, match, own_include) || match[1] == "core/base/version.hpp") continue;
            EXPECT_TRUE(fs::exists(fs::path(LOCALD_SOURCE_DIR) / match[1].str())) << file << " includes " << match[1];
        }
    }
}

TEST(Layers, TheTableHasNoCycle) {
    std::map<std::string, std::set<std::string>> left;
    for (const Room& room : rooms()) left[room.path] = room.may_use;
    while (!left.empty()) {
        std::string free_room;
        for (const auto& [name, uses] : left) {
            if (uses.empty()) free_room = name;
        }
        ASSERT_FALSE(free_room.empty()) << "these rooms use each other in a circle, " << left.begin()->first << " too";
        left.erase(free_room);
        for (auto& [name, uses] : left) uses.erase(free_room);
    }
}

TEST(LayerRules, TheShimMayNotKnowTheFacade) {
    EXPECT_THAT(findings_in("shim/main.cpp", "#include \"core/runtime/container_runtime.hpp\"\n"),
                Contains(HasSubstr("shim may not use core/runtime")));
}

TEST(LayerRules, PortableValuesMayNotReachTheRootFilesystem) {
    EXPECT_THAT(findings_in("core/bundle/bundle.hpp", "#include \"core/bundle/rootfs/image_source.hpp\"\n"),
                Contains(HasSubstr("core/bundle may not use core/bundle/rootfs")));
    EXPECT_THAT(
        findings_in("core/bundle/rootfs/image_source.cpp", std::string("#include \"core/bundle/bundle.hpp\"\n")),
        IsEmpty());
}

TEST(LayerRules, PocoStaysInTheRegistry) {
    const std::string text = "#include <Poco/Net/HTTPClientSession.h>\n";
    EXPECT_THAT(findings_in("core/registry/session.cpp", text), IsEmpty());
    EXPECT_THAT(findings_in("cli/main.cpp", text), Contains(HasSubstr("is not for this room")));
}

TEST(LayerRules, JsonStaysOutOfHeaders) {
    const std::string text = "#include <nlohmann/json.hpp>\n";
    EXPECT_THAT(findings_in("core/oci/state.cpp", text), IsEmpty());
    EXPECT_THAT(findings_in("core/oci/state.hpp", text), Contains(HasSubstr("in a header")));
    EXPECT_THAT(findings_in("backends/protocol/values.hpp", text), IsEmpty());
}

TEST(LayerRules, JsonHelpersStayInTheirRoom) {
    const std::string text = "#include \"core/oci/json_reader.hpp\"\n";
    EXPECT_THAT(findings_in("core/oci/state.cpp", text), IsEmpty());
    EXPECT_THAT(findings_in("core/image/store.cpp", text), Contains(HasSubstr("its own room only")));
}

TEST(LayerRules, PlatformSwitchesStayInPlatformFolders) {
    const std::string text = "#  if defined(__linux__) && 1\n";
    EXPECT_THAT(findings_in("core/host/posix/terminal.cpp", text), IsEmpty());
    EXPECT_THAT(findings_in("core/runtime/process_runtime.cpp", text), Contains(HasSubstr("platform switch")));
}

TEST(LayerRules, IncludesAreWrittenFromTheRoot) {
    EXPECT_THAT(findings_in("cli/output.cpp", "#include \"output.hpp\"\n"),
                Contains(HasSubstr("not a path from the root")));
}

}  // namespace
