#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/progress.hpp"
#include "core/image/unpack.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::bundle {

/// A bundle directory being filled. Unless it is kept, all that was made in it goes away with the object, and the
/// directory too when it was not there before.
class BundleDirectory {
public:
    /// Creates `path` (0700) or takes one that is empty. @throws Error(exists) for one that is not
    BundleDirectory(const std::string& path, image::UnpackContext& context);
    ~BundleDirectory();
    BundleDirectory(const BundleDirectory&) = delete;
    BundleDirectory& operator=(const BundleDirectory&) = delete;

    /// Absolute.
    const std::string& path() const noexcept { return path_; }

    /// A directory with mode 0755, whatever the umask says: in an overlay it is the container's root.
    void make_directory(const std::string& name);
    /// A file with mode 0644, readable for every user of the container. Not synced: a bundle is worth nothing after a
    /// crash.
    void write_file(const std::string& name, std::string_view text);
    /// Makes `rootfs` out of the layers.
    void flatten(const image::UnpackedImage& layers, const CancelToken& cancel);

    /// Gives the directory up to the caller and returns its path.
    std::string keep();

private:
    void remove_all() noexcept;

    std::string path_;
    image::UnpackContext& context_;
    posix::UniqueFd dir_;
    std::vector<std::string> made_;
    bool is_ours_ = false;     ///< the directory itself was made here
    bool has_mapped_ = false;  ///< `rootfs` may have owners of the user namespace
    bool kept_ = false;
};

}  // namespace locald::bundle
