#include "core/image/puller.hpp"

#include "core/image/transfer.hpp"
#include "core/registry/client.hpp"

namespace locald::image {

struct Puller::Impl {
    registry::Client client;
};

Puller::Puller() : impl_(std::make_unique<Impl>()) {}
Puller::~Puller() = default;

ImageRecord Puller::pull(Store& store, const oci::Reference& reference, const oci::Platform& platform,
                         const ProgressSink& progress, const CancelToken& cancel) {
    return image::pull(store, impl_->client, reference, platform, progress, cancel);
}

}  // namespace locald::image
