#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/progress.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"
#include "core/registry/client.hpp"
#include "core/registry/session.hpp"

namespace locald::registry {

/// A Content-Range of a 206 answer: `bytes first-last/total` (RFC 9110 §14.4).
struct ContentRange {
    std::uint64_t first = 0, last = 0;
    std::optional<std::uint64_t> total;  ///< nothing for `*`
    bool operator==(const ContentRange&) const = default;
};
std::optional<ContentRange> parse_content_range(std::string_view value);

/// Client::fetch_blob. A connection that breaks is taken up again by a Range request from the byte reached; a server
/// that answers it with the whole blob has the known bytes skipped. The digest covers all bytes in any case.
void fetch_blob(Session& session, const ClientOptions& options, const oci::Reference& reference,
                const oci::Descriptor& blob, BlobSink& sink, const ProgressSink& progress, const CancelToken& cancel);

}  // namespace locald::registry
