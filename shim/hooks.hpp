#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// Runs hooks in order, each with the state on stdin, its own environment and nothing else of ours, killed past its
/// timeout.
/// @param name  prestart, createRuntime, … for the error text: `error running createRuntime hook #0: …, stdout: …,
/// stderr: …`
/// @throws Error at the first that fails
void run_hooks(const std::vector<oci::Hook>& hooks, const char* name, const std::string& state_json);
/// The same for poststop: failures become warnings and the rest still runs.
void run_hooks_forgiving(const std::vector<oci::Hook>& hooks, const char* name, const std::string& state_json,
                         std::vector<std::string>& warnings);

}  // namespace locald::shim
