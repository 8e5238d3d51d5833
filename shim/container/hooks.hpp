#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// The files of the annotations run.oci.hooks.stdout and run.oci.hooks.stderr, which hooks append to; empty: their
/// output is ours, for the error text.
struct HookOutputs {
    posix::UniqueFd out, err;
};
/// Opened by the caller's rights and in his namespaces, whichever the hooks run in. @throws Error that names the
/// annotation
HookOutputs open_hook_outputs(const oci::Annotations& annotations);

/// Runs hooks in order, each with the state on stdin, its own environment and nothing else of ours, killed past its
/// timeout.
/// @param name  prestart, createRuntime, … for the error text: `error running createRuntime hook #0: …, stdout: …,
/// stderr: …`
/// @throws Error at the first that fails
void run_hooks(const std::vector<oci::Hook>& hooks, const char* name, const std::string& state_json,
               const HookOutputs& outputs = {});
/// The same for poststop: failures become warnings and the rest still runs.
void run_hooks_forgiving(const std::vector<oci::Hook>& hooks, const char* name, const std::string& state_json,
                         std::vector<std::string>& warnings, const HookOutputs& outputs = {});

}  // namespace locald::shim
