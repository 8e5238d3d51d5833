#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/credentials.hpp"
#include "core/base/progress.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"

namespace locald::registry {

/// How a client behaves towards every registry. Sizes are bytes.
struct ClientOptions {
    /// docker's config.json; empty: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`, else
    /// `$XDG_RUNTIME_DIR/containers/auth.json`.
    std::string auth_file;
    CredentialSource credentials;  ///< who is asked in place of files of this host; empty: nobody
    /// `host[:port]` that may be spoken to without TLS. Loopback hosts (localhost, 127.0.0.0/8, ::1) always may when
    /// TLS fails.
    std::vector<std::string> plain_http;
    std::string ca_file;  ///< additional PEM certificates; empty: the system's alone
    std::chrono::seconds connect_timeout{20};
    std::chrono::seconds idle_timeout{60};  ///< without a byte
    std::size_t most_redirects = 5;
    std::size_t largest_manifest = 4U << 20U;
    std::size_t largest_token = 64U << 10U;
    std::size_t most_retries = 3;  ///< of one request, on 429, 5xx and broken connections
};

/// A manifest for one platform, verified by its digest.
struct ResolvedManifest {
    oci::Descriptor descriptor;  ///< media type, digest and size of `json`
    std::string json;            ///< the exact bytes
    oci::Manifest manifest;
    Digest index;  ///< of the index it came from; empty when the reference named a manifest
};

/// Takes the bytes of a blob in order.
class BlobSink {
public:
    virtual ~BlobSink() = default;
    virtual void write(std::span<const std::byte> bytes) = 0;
};

/// Whoever images are pulled from: distribution-spec 1.1, "Pull". Thread-safe: blobs of one image are fetched in
/// parallel.
class Registry {
public:
    virtual ~Registry() = default;

    /// The manifest of `reference` for `platform` (index → platform).
    /// @throws Error not_found, denied (with what login is missing), unavailable, corrupt
    virtual ResolvedManifest resolve(const oci::Reference& reference, const oci::Platform& platform,
                                     const CancelToken& cancel) = 0;

    /// Streams a blob into `sink`; its size and digest are verified while it streams.
    /// @throws Error(corrupt) when they differ; `sink` has then seen bytes that must be thrown away
    virtual void fetch_blob(const oci::Reference& reference, const oci::Descriptor& blob, BlobSink& sink,
                            const ProgressSink& progress, const CancelToken& cancel) = 0;
};

/// The client for real registries, linked in (make_registry.cpp) or loaded at its first use (late/).
std::unique_ptr<Registry> make_registry(const ClientOptions& options = {});

}  // namespace locald::registry
