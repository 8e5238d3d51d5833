#pragma once

#include "shim/options/options.hpp"

namespace locald::shim {

/// Makes the container of `options`. Errors are reported here: on --report-fd, else on standard error and in the log.
/// @param own_exit_codes  failures end with 125, 126 or 127 (`bundle run`), else with 1
/// @return the exit code
int make_container(Options options, bool own_exit_codes);

}  // namespace locald::shim
