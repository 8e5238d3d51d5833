#pragma once

#include "core/base/error.hpp"

namespace locald::shim {

/// Throws where the setuid prologue refused this start: the administrator finds it in the system's log as well.
/// @throws Error(denied) with the rule, the value and what would be allowed
void check_admitted();

/// Of a setuid start: what is refused after the prologue goes to the system's log as well. Elsewhere nothing.
void tell_administrator(const Error& refusal);

}  // namespace locald::shim
