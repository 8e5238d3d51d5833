#pragma once

#include <functional>

#include "cli/command.hpp"
#include "core/base/progress.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// Runs a call that brings an image, as run_long_call() does, and prints what came: its id, or with `as_json` all of
/// it.
/// @return the exit status
int bring_image(const Globals& globals, bool as_json,
                const std::function<runtime::ImageSummary(const ProgressSink&, const CancelToken&)>& call);

}  // namespace locald::cli
