#pragma once

#include "cli/flags_run.hpp"

namespace locald::cli {

/// The working directory, environment and files of this process.
Caller this_process();

}  // namespace locald::cli
