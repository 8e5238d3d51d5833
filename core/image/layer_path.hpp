#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::image {

/// A name of an archive as the components of a path below the layer's root: `./`, leading, doubled and trailing slashes
/// are gone, `a/../b` is b. Empty for the root itself.
/// @throws Error(corrupt) for names that climb above the root, and for components above 255 bytes
std::vector<std::string> layer_components(std::string_view name);

/// Components joined by `/`.
std::string join_components(const std::vector<std::string>& components);

/// `parent/name`, or `name` for the root.
std::string join_path(const std::string& parent, std::string_view name);

/// How many symlinks one path may go through.
inline constexpr int most_links = 40;

}  // namespace locald::image
