#pragma once

#include <string>

#include "core/base/progress.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"
#include "core/registry/client.hpp"
#include "core/registry/session.hpp"

namespace locald::registry {

/// A Content-Type without its parameters, when it says something about a manifest; empty for general ones such as
/// `application/json`. @throws Error(unsupported) for docker's schema 1
std::string declared_type(std::string_view content_type);

/// Client::resolve.
ResolvedManifest resolve_manifest(Session& session, const ClientOptions& options, const oci::Reference& reference,
                                  const oci::Platform& platform, const CancelToken& cancel);

}  // namespace locald::registry
