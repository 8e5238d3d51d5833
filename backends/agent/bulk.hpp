#pragma once

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// One image in or out over a connection of its own (protocol/bulk_link.hpp). Takes both handles. Returns when it is
/// done or the other side is gone; an import that was cut leaves nothing but the beginning of a large blob, which the
/// next one goes on with.
void serve_bulk(runtime::ContainerRuntime& runtime, int in, int out);

}  // namespace locald::backends
