#pragma once

#include "core/image/puller.hpp"
#include "core/image/transfer.hpp"
#include "core/registry/client.hpp"

namespace locald::image {

/// The puller that is linked with the registry client.
class ClientPuller final : public Puller {
public:
    ImageRecord pull(Store& store, const oci::Reference& reference, const oci::Platform& platform,
                     const ProgressSink& progress, const CancelToken& cancel) override {
        return image::pull(store, client_, reference, platform, progress, cancel);
    }

private:
    registry::Client client_;
};

}  // namespace locald::image
