#pragma once

#include <string>

#include "core/base/progress.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// How a container is attached to where locald runs.
struct Foreground {
    bool interactive = false;  ///< it gets our stdin
    bool tty = false;          ///< it gets a terminal, whose other side is ours
    bool quiet = false;
    bool may_leave = false;  ///< it goes on when we end
};

/// How the user is attached to a container that is there.
struct Attached {
    bool no_stdin = false, sig_proxy = true;
    std::string detach_keys = "ctrl-p,ctrl-q";
};

/// Shows what a detached container says from now on, until it ends or the user leaves it.
/// @return the container's exit code; 0 when the user left by his keys, 128 + the signal when by one
int attach_in_foreground(runtime::ContainerRuntime& runtime, const std::string& id, const Attached& how);

/// Runs one more process in a container to its end, as run_in_foreground() does.
int exec_in_foreground(runtime::ContainerRuntime& runtime, const std::string& id, const runtime::ExecOptions& options,
                       const Foreground& how);

/// Runs a container to its end: streams, terminal and signals are handed on, and our terminal is put back on every way
/// out.
/// @return the exit code: the container's, or 128 + the signal that ended it, or that ended us before it ran
/// @throws Error
int run_in_foreground(runtime::ContainerRuntime& runtime, const bundle::Source& source,
                      const bundle::RunOptions& options, const Foreground& how);

}  // namespace locald::cli
