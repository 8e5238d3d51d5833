#pragma once

#include <string>
#include <vector>

#include "core/bundle/config_builder.hpp"

namespace locald::bundle {

/// Reads /etc/passwd and /etc/group as the stacked directories would show them: the topmost wins, whiteouts (character
/// devices 0:0) and opaque directories (`user.overlay.opaque`) hide what lies below, links stay inside. Images are
/// hostile: only regular files are read, at most 1 MiB of each, and nothing is opened that could block
/// (CVE-2024-9676, CVE-2026-47262).
/// @param layers  absolute directories, bottom first; one for a plain root filesystem
/// @throws Error(invalid) for a file that is too long or not regular
AccountFiles read_account_files(const std::vector<std::string>& layers);

}  // namespace locald::bundle
