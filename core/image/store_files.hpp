#pragma once

#include <string>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/image/store.hpp"
#include "core/oci/image_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::image {

inline constexpr std::string_view ref_name_annotation = "org.opencontainers.image.ref.name";
/// overlayfs takes no more lower layers (OVL_MAX_STACK), and nothing sane has them.
inline constexpr std::size_t most_layers = 500;
inline constexpr std::size_t largest_document = 4U << 20U;

/// A blob below `tmp/` that comes from far away. One that was cut stays for this long, for the next try to go on with.
inline constexpr std::string_view ingest_prefix = "ingest-";
inline constexpr long ingest_seconds = 24L * 60 * 60;

/// Where things are below a store's root.
struct StorePaths {
    std::string root;
    std::string index() const { return root + "/index.json"; }
    std::string blobs() const { return root + "/blobs/sha256"; }
    std::string blob(const Digest& digest) const { return blobs() + "/" + digest.hex(); }
    std::string layers() const { return root + "/layers"; }
    std::string containers() const { return root + "/containers"; }
    std::string temporaries() const { return root + "/tmp"; }
    std::string ingest(const Digest& digest) const {
        return temporaries() + "/" + std::string(ingest_prefix) + digest.hex();
    }
    std::string lock(const std::string& name) const { return root + "/locks/" + name; }
};

/// Throws what went wrong with a file of the store, with what to do about a full or read-only disk.
[[noreturn]] void throw_store_error(int err, const StorePaths& paths, const std::string& what);
/// Gives an Error of a lower layer the same remedies.
void add_store_remedy(Error& error, const StorePaths& paths);

/// `index.json` as it is now.
oci::Index read_index(const StorePaths& paths);

/// The chain ids of an image's layers, bottom first: image-spec config.md, "Layer ChainID".
std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids);

/// A directory below `layers/<map>` while it fills, and when its turn to go has come.
inline constexpr std::string_view unfinished_prefix = "tmp-";
inline constexpr std::string_view trash_prefix = "trash-";
/// The file that makes a layer directory count, {"bytes":…,"entries":…}. Syncing a whole file system for each layer
/// would cost more than unpacking it, so until the kernel has written the files back by itself the marker carries the
/// boot id: `complete-<boot id>`. After a power failure such a layer does not count and is unpacked again.
inline constexpr std::string_view complete_marker = "complete";
/// The marker's name for a layer that was unpacked just now.
std::string fresh_marker();
/// True when the layer directory counts. A fresh marker of this boot that is old enough gets its final name here.
bool is_complete(const std::string& layer);

}  // namespace locald::image
