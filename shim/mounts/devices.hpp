#pragma once

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// True unless the configuration binds a /dev of its own, which is left alone then.
bool wants_devices(const oci::Spec& spec);

/// linux.devices, the default devices and links of runtime-spec config-linux.md. Nodes are made where the kernel lets
/// us (root outside of user namespaces), else the host's are bound.
void make_devices(const posix::UniqueFd& root, const oci::Spec& spec, bool by_bind);

/// Binds the terminal `slave` on /dev/console.
void bind_console(const posix::UniqueFd& root, const posix::UniqueFd& slave);

}  // namespace locald::shim
