#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/image/store.hpp"
#include "core/posix/idmap.hpp"

namespace locald::image {

/// How the worker process is started that unpacks and removes with the owners of a user namespace: tar bytes of
/// strangers meet a process of their own, and a process with threads cannot enter a user namespace itself.
struct WorkerCommand {
    std::vector<std::string> argv;  ///< program and first words; the worker's own words are appended
};

/// What storage work needs besides the store. `maps` is empty for root, who needs no user namespace.
struct UnpackContext {
    WorkerCommand worker;
    std::optional<posix::IdMaps> maps;
    posix::UniqueFd user_namespace;  ///< made from `maps` at first need; kept for the next call
    /// Who makes it; empty: posix::make_user_namespace().
    std::function<posix::UniqueFd(const posix::IdMaps&)> make_user_namespace;
};

/// The unpacked layers of an image, bottom first: absolute directories that overlayfs takes as lower layers (whiteouts
/// as character devices 0:0, opaque directories by `user.overlay.opaque`, so mount with `userxattr`).
struct UnpackedImage {
    std::vector<std::string> layers;
    std::vector<std::string> warnings;  ///< what was lost: owners under a single-id map, device nodes
};

/// Unpacks the layers that are not there yet, in parallel, each verified against its diff id. Locked per layer; a crash
/// leaves nothing that a later call uses.
UnpackedImage ensure_unpacked(Store& store, const ImageRecord& image, UnpackContext& context,
                              const ProgressSink& progress, const CancelToken& cancel);

/// The layer directories of an image when all are there, without any check beyond their markers: the fast way of a warm
/// start.
std::optional<UnpackedImage> find_unpacked(const Store& store, const ImageRecord& image,
                                           const std::optional<posix::IdMaps>& maps);

/// Makes one plain directory out of the layers (reflink where the file system can, else copy), with owners, xattrs and
/// hard links: the root filesystem of `bundle prepare`. `destination` must not exist or be empty.
void flatten(const UnpackedImage& image, const std::string& destination, UnpackContext& context,
             const CancelToken& cancel);

/// Removes a tree whose owners are of the user namespace.
void remove_mapped_tree(const std::string& path, UnpackContext& context);

/// The body of the worker process: `words` are what was appended to WorkerCommand::argv. Returns its exit code; errors
/// go as one JSON line to descriptor 3.
int worker_main(const std::vector<std::string>& words);

}  // namespace locald::image
