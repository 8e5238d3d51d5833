#pragma once

#include <memory>

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Containers on this kernel, by locald-shim.
std::unique_ptr<runtime::ContainerRuntime> make_linux_runtime(const runtime::RuntimeChoice& choice);
/// The same for a keeper, whose record already has the id of the container that it starts.
std::unique_ptr<runtime::ContainerRuntime> make_linux_runtime_of_keeper(const runtime::RuntimeChoice& choice);

}  // namespace locald::backends
