#pragma once

#include <string>
#include <vector>

#include "core/runtime/host_setup.hpp"

namespace locald::cli {

/// One step for people: how it stands, its name, what it is, and below it what to type.
std::string setup_text(const runtime::SetupStep& step);

/// All steps for programs: `good`, and `items[]` with id, state, what and undo.
std::string setup_json(const std::vector<runtime::SetupStep>& steps);

/// 1 when something is not as setup leaves it, else 0.
int setup_exit_code(const std::vector<runtime::SetupStep>& steps) noexcept;

}  // namespace locald::cli
