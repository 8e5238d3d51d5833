#pragma once

#include <memory>

#include "core/base/credentials.hpp"
#include "core/base/progress.hpp"
#include "core/image/store.hpp"
#include "core/oci/reference.hpp"

namespace locald::image {

/// Pulls images with one registry client, whose connections and logins serve every call. For those who know the store
/// and not the registry. Thread-safe.
class Puller {
public:
    Puller();
    ~Puller();
    Puller(const Puller&) = delete;
    Puller& operator=(const Puller&) = delete;

    /// As image::pull() with a client of default options.
    /// @param credentials  who is asked; then the client is this call's own, and what it learns goes with it
    ImageRecord pull(Store& store, const oci::Reference& reference, const oci::Platform& platform,
                     const CredentialSource& credentials, const ProgressSink& progress, const CancelToken& cancel);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace locald::image
