#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/posix/unique_fd.hpp"

namespace locald::image {

/// True for overlayfs's whiteout: a character device 0:0.
bool is_whiteout(const struct stat& st) noexcept;

/// The xattr by which overlayfs, mounted with `userxattr`, hides what lies below a directory.
inline constexpr const char* opaque_xattr = "user.overlay.opaque";

/// True when the open directory hides what lies below it.
bool is_opaque(int directory) noexcept;

/// What an overlay of unpacked layers would show, read without a mount. Follows no symlink.
class MergedTree {
public:
    /// What one path is.
    struct Node {
        struct stat st {};                ///< of the topmost layer that has it
        std::size_t layer = 0;            ///< that layer's index
        std::vector<std::size_t> merged;  ///< of a directory: all layers that it is made of, top first
    };

    /// @param layers  `diff` directories, bottom first; they outlive this object
    explicit MergedTree(std::vector<const posix::UniqueFd*> layers) : layers_(std::move(layers)) {}

    std::size_t layer_count() const noexcept { return layers_.size(); }
    /// `path` is components joined by `/`, empty for the root; nothing when the overlay would not show it.
    std::optional<Node> find(const std::string& path);
    /// Opens `path` in one layer, with every component of it a real one.
    posix::UniqueFd open(std::size_t layer, const std::string& path, int flags) const;
    /// The target of a symlink.
    std::string read_link(const Node& node, const std::string& path) const;
    /// The names in a directory, sorted, whiteouts taken into account.
    std::vector<std::string> names(const Node& node, const std::string& path) const;

private:
    std::optional<Node> child(const Node& directory, const std::string& path, const std::string& name);

    std::vector<const posix::UniqueFd*> layers_;
    std::unordered_map<std::string, std::optional<Node>> directories_;
};

}  // namespace locald::image
