#pragma once

#include <cstdint>
#include <functional>

#include "core/image/layer_tree.hpp"
#include "core/image/tar_reader.hpp"

namespace locald::image {

/// What came of a layer.
struct AppliedLayer {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;  ///< of file contents
    Losses losses;
};

/// Unpacks a layer's archive into a directory of its own, as overlayfs takes it: image-spec layer.md, with whiteouts as
/// devices 0:0 and opaque directories by xattr. Nothing outside `root` is read or changed, whatever the archive says.
/// @param root   the layer's `diff`, empty
/// @param lower  the layers below, merged; empty function for the bottom layer
/// @throws Error(corrupt) for archives that break the rules, Error that names the entry otherwise
AppliedLayer apply_layer(TarReader& archive, const posix::UniqueFd& root, const LayerTree::Lower& lower,
                         const Owners& owners);

}  // namespace locald::image
