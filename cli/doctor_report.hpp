#pragma once

#include <string>

#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// For people: one line a finding, the remedy below it, and a last line with the verdict.
std::string doctor_text(const runtime::ProbeReport& report);

/// For programs: `backend`, `mode` (enabled, or degraded when containers cannot run), `checks[]` with everything that
/// was looked at, `problems[]` with what is not in order, `strategy` of the cgroups, and `fixes[]`.
std::string doctor_json(const runtime::ProbeReport& report);

/// 1 when something critical is wrong, else 0.
int doctor_exit_code(const runtime::ProbeReport& report) noexcept;

}  // namespace locald::cli
