#pragma once

#include <functional>
#include <string>

#include "backends/remote/holder.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Opens a connection to an agent that carries one image and nothing else (protocol/bulk_link.hpp).
using ConnectBulk = std::function<AgentLink()>;

/// An image of this host's files for the other one, which asks for what it lacks.
runtime::ImageSummary import_over(const ConnectBulk& connect, const oci::ImageName& name, const std::string& name_as,
                                  const ProgressSink& progress, const CancelToken& cancel);
/// An image of the other host's, written here.
void export_over(const ConnectBulk& connect, const std::string& name_or_id, const std::string& path,
                 const ProgressSink& progress, const CancelToken& cancel);

}  // namespace locald::backends
