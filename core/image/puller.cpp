#include "core/image/puller.hpp"

#include <mutex>

#include "core/image/transfer.hpp"
#include "core/registry/registry.hpp"

namespace locald::image {

struct Puller::Impl {
    std::once_flag made;
    std::unique_ptr<registry::Registry> registry;
};

Puller::Puller() : impl_(std::make_unique<Impl>()) {}
Puller::~Puller() = default;

ImageRecord Puller::pull(Store& store, const oci::Reference& reference, const oci::Platform& platform,
                         const CredentialSource& credentials, const ProgressSink& progress, const CancelToken& cancel) {
    if (credentials.find) {
        registry::ClientOptions options;
        options.credentials = credentials;
        return image::pull(store, *registry::make_registry(options), reference, platform, progress, cancel);
    }
    std::call_once(impl_->made, [this] { impl_->registry = registry::make_registry(); });
    return image::pull(store, *impl_->registry, reference, platform, progress, cancel);
}

}  // namespace locald::image
