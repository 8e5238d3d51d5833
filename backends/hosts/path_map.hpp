#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Whether two names of a file system here are the same file when only their case differs: macOS and Windows by
/// default.
enum class PathCase { sensitive, insensitive };

/// Where a path of this host is on the host of the containers.
struct MappedPath {
    std::string path;
    const runtime::SharedTree* tree = nullptr;
};

/// Which trees of this host another one sees, and where. No I/O but by `resolve`.
class PathMap {
public:
    /// @param resolve  a path of this host with all its links followed, as far as it exists
    /// @throws Error(invalid) for a tree that is not absolute, or is there twice
    PathMap(std::vector<runtime::SharedTree> trees, PathCase path_case,
            std::function<std::string(const std::string&)> resolve);

    /// @param path  absolute. @throws Error for one that no tree has, which lists them, and for one that a link leads
    /// out of its tree
    MappedPath map(const std::string& path) const;

private:
    const runtime::SharedTree* find(std::string_view path) const;
    bool is_within(std::string_view path, std::string_view tree) const noexcept;
    std::string all_trees() const;

    std::vector<runtime::SharedTree> trees_;
    std::vector<std::string> real_;  ///< of each, with its links followed
    PathCase case_;
    std::function<std::string(const std::string&)> resolve_;
};

/// `/here=/there[:ro][:mount]`, as `host add --map` takes it. @throws Error(invalid)
runtime::SharedTree parse_shared_tree(std::string_view text);
std::string to_string(const runtime::SharedTree& tree);

/// For PathMap: what realpath(3) says of as much of `path` as there is, and the rest as it stands.
std::string resolve_links(const std::string& path);

}  // namespace locald::backends
