#pragma once

#include <optional>
#include <string>

#include "core/bundle/bundle.hpp"
#include "core/bundle/config_builder.hpp"
#include "core/image/store.hpp"
#include "core/image/unpack.hpp"

namespace locald::bundle {

/// How the root filesystem of a bundle is made.
enum class RootfsMode {
    overlay,    ///< a mount entry with destination "/" that the shim makes in the container's mount namespace; starting
                ///< copies nothing
    directory,  ///< a plain directory that every OCI runtime takes
};

/// A bundle from an image that is in the store already, or from a plain root filesystem. In overlay mode the layers
/// stay in the store, so the caller holds a Store::Lease from before prepare() until the container is gone.
class ImageSource final : public BundleSource {
public:
    /// @param image  nothing: `rootfs` names a directory that is used in place, in either mode
    ImageSource(image::Store& store, std::optional<image::ImageRecord> image, std::string rootfs, RunOptions options,
                HostFacts host, RootfsMode mode, image::UnpackContext& context);

    ContainerBundle prepare(const std::string& destination, const ProgressSink& progress,
                            const CancelToken& cancel) override;

private:
    image::Store& store_;
    std::optional<image::ImageRecord> image_;
    std::string rootfs_;
    RunOptions options_;
    HostFacts host_;
    RootfsMode mode_;
    image::UnpackContext& context_;
};

/// What `bundle inspect` shows: config.json read and checked. @throws Error that names file and field
ContainerBundle load_bundle(const std::string& dir);

}  // namespace locald::bundle
