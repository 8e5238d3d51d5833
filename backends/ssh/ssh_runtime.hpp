#pragma once

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Containers of another Linux host, `choice.host`, over SSH. Nothing is connected before the first call.
std::unique_ptr<runtime::ContainerRuntime> make_ssh_runtime(const runtime::RuntimeChoice& choice);

}  // namespace locald::backends
