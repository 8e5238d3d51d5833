#pragma once

#include "core/oci/runtime_spec.hpp"
#include "core/runtime/detached.hpp"

namespace locald::backends {

/// The process that `options` ask for: the container's own with another command and what else they change.
/// @param root  the container's root directory as this process sees it, for names of users
oci::Process make_exec_process(const oci::Process& own, const runtime::ExecOptions& options, const std::string& root);

}  // namespace locald::backends
