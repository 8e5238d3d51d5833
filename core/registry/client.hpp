#pragma once

#include <memory>

#include "core/registry/registry.hpp"

namespace locald::registry {

/// The registry client on Poco::Net.
class Client final : public Registry {
public:
    explicit Client(ClientOptions options = {});
    ~Client() override;
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    ResolvedManifest resolve(const oci::Reference& reference, const oci::Platform& platform,
                             const CancelToken& cancel) override;
    void fetch_blob(const oci::Reference& reference, const oci::Descriptor& blob, BlobSink& sink,
                    const ProgressSink& progress, const CancelToken& cancel) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace locald::registry
