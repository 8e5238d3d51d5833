#pragma once

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// process and the single values of linux: what each of them may be, whatever the others are.
/// @throws Error(invalid) that names the field
void check_process(const oci::Process& process);
void check_fields(const oci::Spec& spec);

}  // namespace locald::shim
