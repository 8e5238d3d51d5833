#include "core/registry/client.hpp"

#include <mutex>
#include <utility>

#include "core/registry/blob.hpp"
#include "core/registry/manifest.hpp"
#include "core/registry/session.hpp"

namespace locald::registry {

struct Client::Impl {
    explicit Impl(ClientOptions given) : options(std::move(given)), session(options) {}

    /// Blobs come in parallel and a sink is never called twice at the same time.
    ProgressSink one_at_a_time(const ProgressSink& sink) {
        if (!sink) return {};
        return [this, &sink](const Progress& progress) {
            const std::lock_guard lock(progress_mutex);
            sink(progress);
        };
    }

    ClientOptions options;
    Session session;
    std::mutex progress_mutex;
};

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

ResolvedManifest Client::resolve(const oci::Reference& reference, const oci::Platform& platform,
                                 const CancelToken& cancel) {
    return resolve_manifest(impl_->session, impl_->options, reference, platform, cancel);
}

void Client::fetch_blob(const oci::Reference& reference, const oci::Descriptor& blob, BlobSink& sink,
                        const ProgressSink& progress, const CancelToken& cancel) {
    registry::fetch_blob(impl_->session, impl_->options, reference, blob, sink, impl_->one_at_a_time(progress), cancel);
}

}  // namespace locald::registry
