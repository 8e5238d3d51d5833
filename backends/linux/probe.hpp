#pragma once

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// What `doctor` shows for this host. Changes nothing.
runtime::ProbeReport probe_host(const runtime::RuntimeChoice& choice);

}  // namespace locald::backends
