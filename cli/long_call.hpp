#pragma once

#include <functional>

#include "core/base/progress.hpp"

namespace locald::cli {

/// Runs a long call with progress on stderr. A signal asks it to end, a second one ends this process at once.
/// @return 0, or 128 + the signal when one ended the call
/// @throws whatever `call` throws otherwise
int run_long_call(bool quiet, const std::function<void(const ProgressSink&, const CancelToken&)>& call);

}  // namespace locald::cli
