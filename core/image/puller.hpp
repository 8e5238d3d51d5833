#pragma once

#include <memory>

#include "core/base/progress.hpp"
#include "core/image/store.hpp"
#include "core/oci/reference.hpp"

namespace locald::image {

/// Pulls images with one registry client, whose connections and logins serve every call. For those who know the store
/// and not the registry. Thread-safe.
class Puller {
public:
    virtual ~Puller() = default;
    /// As image::pull() with a client of default options.
    virtual ImageRecord pull(Store& store, const oci::Reference& reference, const oci::Platform& platform,
                             const ProgressSink& progress, const CancelToken& cancel) = 0;
};

/// One of two definitions is linked: the client itself (what a program links that stays, such as a daemon), or a module
/// that is loaded at the first pull: loading the client's libraries takes longer than a whole container, and most runs
/// need no registry.
/// @throws Error(not_found) that names the module when it is missing
std::unique_ptr<Puller> make_puller();

}  // namespace locald::image
