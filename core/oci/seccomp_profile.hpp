#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"

namespace locald::oci {

/// The default seccomp profile as a plain resolved list for the given capabilities of the bounding set.
Seccomp default_seccomp(const std::vector<std::string>& capabilities);

}  // namespace locald::oci
