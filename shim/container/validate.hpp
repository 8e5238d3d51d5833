#pragma once

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// Refuses a configuration that cannot be carried out as it stands, before anything was done. Error texts are those
/// that engines know from runc.
/// @param need_process  false for `create`, whose process may come later
void validate(const oci::Spec& spec, bool need_process);

/// What --no-pivot does not go together with.
void check_no_pivot(const oci::Spec& spec);

/// The same for a process object alone.
void validate_process(const oci::Process& process);

}  // namespace locald::shim
