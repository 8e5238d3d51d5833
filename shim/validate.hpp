#pragma once

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// Refuses a configuration that cannot be carried out as it stands, before anything was done. Error texts are those
/// that engines know from runc.
void validate(const oci::Spec& spec);

}  // namespace locald::shim
