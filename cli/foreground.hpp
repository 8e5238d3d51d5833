#pragma once

#include "core/base/progress.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// How a container is attached to where locald runs.
struct Foreground {
    bool interactive = false;  ///< it gets our stdin
    bool tty = false;          ///< it gets a terminal, whose other side is ours
    bool quiet = false;
};

/// Runs a container to its end: streams, terminal and signals are handed on, and our terminal is put back on every way
/// out.
/// @return the exit code: the container's, or 128 + the signal that ended it, or that ended us before it ran
/// @throws Error
int run_in_foreground(runtime::ContainerRuntime& runtime, const bundle::Source& source,
                      const bundle::RunOptions& options, const Foreground& how);

}  // namespace locald::cli
