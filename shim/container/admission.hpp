#pragma once

namespace locald::shim {

/// Throws where the setuid prologue refused this start: the administrator finds it in the system's log as well.
/// @throws Error(denied) with the rule, the value and what would be allowed
void check_admitted();

}  // namespace locald::shim
